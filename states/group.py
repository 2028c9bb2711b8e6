"""A process group: its record, and the machine that every record lives by.

The machine's whole state lives in the record. One machine serves all groups: it is pointed at the record whose turn it
is, which is an assignment, so a record can be read, hashed and put back as it is. It is told of changes of state only,
never of requests: the library takes its time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Final, Self, cast

from statemachine import State, StateChart

from .effects import Effect, ReportTransition, StartServer, StopServer
from .errors import CoreError
from .settings import GroupId, ModelId

_STORY_LINES: Final = 20
"""Enough for the last two or three loads of a group."""


class Explained(Enum):
    """An enumeration whose members say what they mean: `NAME = value, meaning`."""

    meaning: str
    """For people; short up to the semicolon, where there is one."""

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """Keep the meaning beside the value, by which alone a member is looked up: `GroupState("idle")`."""
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member


class GroupState(Explained):
    """The six states of a process group."""

    IDLE = "idle", "no server; perhaps a model is committed, with victims elsewhere still stopping"
    LOADING = "loading", "server started, and not ready yet"
    ACTIVE = "active", "loaded, and nothing asks it to leave"
    DRAINING = "draining", "asked to leave, and cannot yet; loaded, and something other than its own hold is in the way"
    DEBOUNCE = "debounce", "only its hold keeps a rival out; loaded, and no seat is taken"
    UNLOADING = "unloading", "server is stopping; or what a dead one left behind is being cleared"


LOADED: Final = (GroupState.ACTIVE, GroupState.DRAINING, GroupState.DEBOUNCE)
"""The states in which a server answers. Not a set: members of an enumeration take long to hash."""


class Pressure(Enum):
    """What asks a loaded model to leave."""

    NONE = "none"
    HELD = "held"
    """A rival waits, and nothing but the model's hold keeps it out."""
    BLOCKED = "blocked"
    """A rival waits, or an unload was asked, and something else is in the way."""


class Signal(Explained):
    """What the machine can be told; the value is the name of the machine's event."""

    START = "victims_stopped", "a model is committed here, and nothing is left of its victims"
    READY = "became_ready", "the server answers"
    PRESSURE = "pressure_changed", "what asks the model to leave, or keeps it here, is not what it was"
    EVICTED = "claim_committed", "a rival's claim was committed, and needs this place"
    UNLOAD = "unload_asked", "an unload was asked, and no seat is taken, or none may be any longer"
    EXPIRED = "ttl_expired", "nobody has asked for the model for its `ttl`, and no rival waits"
    FAILED = "server_failed", "the server could not be started, was not ready in time, or died"
    STOPPED = "server_stopped", "nothing is left of the server"


@dataclass(slots=True)
class Group:
    """The record of a process group; the machine writes `state`, the core the rest."""

    id: GroupId
    state: GroupState = GroupState.IDLE
    resident: ModelId | None = None
    """The model that is committed, loading or loaded here."""
    server: ModelId | None = None
    """The model whose server exists: loading, loaded or unloading. Differs from `resident` until that one loads."""
    awaiting: set[GroupId] = field(default_factory=set)
    """The groups whose servers must have stopped before `resident` loads; empty once it does."""
    pressure: Pressure = Pressure.NONE
    since: float = -inf
    """When the server was started, or told to stop: what estimates and reasons count from; -inf: it failed."""
    loaded_at: float = -inf
    idle_since: float = -inf
    """The later of `loaded_at` and the last seat given back."""
    cut_at: float = inf
    """An unload was asked: when the seats that are still taken are cut off. inf: not asked."""
    story: deque[str] = field(default_factory=lambda: deque(maxlen=_STORY_LINES), compare=False)

    @property
    def loaded(self) -> bool:
        """Whether the server of `resident` answers."""
        return self.state in LOADED

    @property
    def closing(self) -> bool:
        """Whether an unload was asked and seated tickets may still finish."""
        return self.cut_at < inf

    @property
    def committed(self) -> bool:
        """Whether `resident` waits for victims to stop before its server is started."""
        return self.resident is not None and self.state in (GroupState.IDLE, GroupState.UNLOADING)


@dataclass(slots=True)
class _Turn:
    """What the machine has in hand: a record, the cause to report, the grace of a stop, and the effects collected."""

    group: Group
    cause: str = ""
    grace_s: float = 0.0
    effects: list[Effect] = field(default_factory=list)

    @property
    def state(self) -> GroupState:
        return self.group.state

    @state.setter
    def state(self, state: GroupState) -> None:
        self.group.state = state


class GroupMachine(StateChart[_Turn]):
    """The life of a process group: the only place that knows its states and transitions."""

    # The library's defaults swallow unknown events and errors in callbacks.
    allow_event_without_transition = False
    catch_errors_as_events = False
    atomic_configuration_update = True
    enable_self_transition_entries = False

    idle = State(value=GroupState.IDLE, initial=True)
    loading = State(value=GroupState.LOADING)
    active = State(value=GroupState.ACTIVE)
    draining = State(value=GroupState.DRAINING)
    debounce = State(value=GroupState.DEBOUNCE)
    unloading = State(value=GroupState.UNLOADING)

    victims_stopped = idle.to(loading)
    became_ready = (
        loading.to(active, cond="unpressed") | loading.to(draining, cond="blocked") | loading.to(debounce, cond="held")
    )
    pressure_changed = (
        active.to(draining, cond="blocked")
        | active.to(debounce, cond="held")
        | draining.to(debounce, cond="held")
        | draining.to(active, cond="unpressed")
        | debounce.to(draining, cond="blocked")
        | debounce.to(active, cond="unpressed")
    )
    claim_committed = loading.to(unloading) | active.to(unloading) | draining.to(unloading) | debounce.to(unloading)
    unload_asked = loading.to(unloading) | active.to(unloading) | draining.to(unloading) | debounce.to(unloading)
    ttl_expired = active.to(unloading)
    server_failed = loading.to(unloading) | active.to(unloading) | draining.to(unloading) | debounce.to(unloading)
    server_stopped = unloading.to(loading, cond="may_load") | unloading.to(idle, unless="may_load")

    def unpressed(self) -> bool:
        """Whether nothing asks the model to leave."""
        return self.model.group.pressure is Pressure.NONE

    def held(self) -> bool:
        """Whether a rival waits, and nothing but the model's own hold keeps it out."""
        return self.model.group.pressure is Pressure.HELD

    def blocked(self) -> bool:
        """Whether the model is asked to leave, and something other than its own hold is in the way."""
        return self.model.group.pressure is Pressure.BLOCKED

    def may_load(self) -> bool:
        """Whether the next model is committed and nothing of its victims is left."""
        return self.model.group.resident is not None and not self.model.group.awaiting

    def on_enter_loading(self) -> None:
        """The committed model's server is to be started."""
        group = self.model.group
        model = cast(ModelId, group.resident)
        group.server = model
        self.model.effects.append(StartServer(group=group.id, model=model))

    def on_enter_unloading(self) -> None:
        """The server is to be stopped."""
        group = self.model.group
        model = cast(ModelId, group.server)
        self.model.effects.append(StopServer(group=group.id, model=model, grace_s=self.model.grace_s))

    def on_enter_idle(self) -> None:
        """There is no server any more."""
        self.model.group.server = None


class GroupLife:
    """The typed door to the machine."""

    def __init__(self) -> None:
        self._turn = _Turn(Group(id=GroupId("")))
        self._machine = GroupMachine(self._turn)

    def tell(self, group: Group, signal: Signal, *, now: float, cause: str, grace_s: float = 0.0) -> list[Effect]:
        """Move `group` by one transition.

        Args:
            group: the record to move.
            signal: what happened to it.
            now: seconds, for the group's story.
            cause: why, for log and story.
            grace_s: seconds that a server gets to stop by itself, should this stop it.

        Returns:
            What is to be done, the report of the transition last.

        Raises:
            CoreError: the group's state knows no such event: a bug of ours.
        """
        turn, source, server = self._turn, group.state, group.server
        turn.group, turn.cause, turn.grace_s, turn.effects = group, cause, grace_s, []
        try:
            self._machine.send(signal.value)
        except GroupMachine.TransitionNotAllowed as error:
            raise CoreError(
                f"group {group.id!r} in {source.value}: no transition for {signal.value}", group.story
            ) from error
        group.story.append(f"{now:.3f} {source.value} -> {group.state.value} ({group.server or server}): {cause}")
        model = cast(ModelId, group.server or server)
        turn.effects.append(
            ReportTransition(
                group=group.id,
                model=model,
                source=source.value,
                target=group.state.value,
                signal=signal.value,
                cause=cause,
            )
        )
        return turn.effects
