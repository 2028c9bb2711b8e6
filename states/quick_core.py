"""The core for long simulations: it decides the same, and asks less often for what it knows.

An event of the machine's library takes a while, and a long simulation has hundreds of thousands. What the machine does
depends on nothing but what is in the key here; whom it starts and stops, on the record alone. Stories and reports of
transitions are left out. A test holds it to the core itself.
"""

from __future__ import annotations

from typing import cast

from .core import Core
from .effects import Effect, StartServer, StopServer
from .events import Event
from .group import Group, GroupLife, GroupState, Signal
from .settings import ModelId, Settings


class QuickLife(GroupLife):
    """A door to the machine that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[object, ...], tuple[GroupState, bool, bool]] = {}

    def tell(self, group: Group, signal: Signal, *, now: float, cause: str, grace_s: float = 0.0) -> list[Effect]:
        """Move `group` as the machine would; see `GroupLife.tell`."""
        key = (group.state, signal, group.pressure, group.resident is None, bool(group.awaiting))
        known = self._known.get(key)
        if known is None:
            effects = super().tell(group, signal, now=now, cause=cause, grace_s=grace_s)
            kinds = {type(effect) for effect in effects}
            self._known[key] = group.state, StartServer in kinds, StopServer in kinds
            return effects
        group.state, starts, stops = known
        if starts:
            group.server = cast(ModelId, group.resident)
            return [StartServer(group=group.id, model=group.server)]
        if stops:
            return [StopServer(group=group.id, model=cast(ModelId, group.server), grace_s=grace_s)]
        if group.state is GroupState.IDLE:
            group.server = None
        return []


class QuickCore(Core):
    """A core that is asked for its next deadline before every event, as a simulation does, and need not ask again."""

    def __init__(self, settings: Settings) -> None:
        """Start with nothing loaded and nobody waiting; see `Core`."""
        super().__init__(settings, QuickLife())
        self._due: float | None = None
        """The next deadline; None: something has happened since it was looked for."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event into account; see `Core.handle`."""
        effects = super().handle(event, now)
        self._due = None
        return effects

    def next_deadline(self) -> float:
        """When time alone changes something next; see `Core.next_deadline`."""
        if self._due is None:
            self._due = super().next_deadline()
        return self._due

    def _fall_due(self, due: float) -> bool:
        self._due = None
        return super()._fall_due(due)
