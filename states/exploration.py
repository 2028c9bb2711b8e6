"""Every state that a small world can reach, with the real core in each of them.

One core is put into each state that was found, told each thing that could happen next, and read again; a state is
visited once. Breadth first, so that the way to a state is a shortest one. After every step the core's invariants are
checked and the `referee` judges; what a step cannot show, deadlock and starvation, is for `promises`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from . import invariants
from .abstraction import INSTANT_S, RUNS, Abstraction, Frame
from .core import Core
from .effects import Effect
from .errors import CoreError
from .group import Group, GroupLife, GroupState, Signal
from .happenings import Step, What, event_of, steps
from .referee import FoulError, Referee
from .small_world import SmallWorld, in_order
from .visits import BoundError, Visits


class Caught(Enum):
    """What noticed that something is wrong."""

    CORE = "the core itself"
    INVARIANT = "the invariants"
    REFEREE = "a rule that is judged from outside"
    BOUND = "the bound of rule 7"
    DEADLOCK = "the search for deadlocks"
    LIVELOCK = "the search for livelocks"


class ViolationError(Exception):
    """Something that must never happen, and the shortest way to it."""

    def __init__(self, caught: Caught, message: str, path: tuple[Step, ...], cycle: tuple[Step, ...] = ()) -> None:
        super().__init__(f"{message} ({caught.value}, after {len(path)} steps)")
        self.caught = caught
        self.message = message
        self.path = path
        """From the beginning to what is wrong."""
        self.cycle = cycle
        """From there, what can go on for ever."""


class TooLargeError(Exception):
    """There are more states than were to be explored."""


class RememberedLife(GroupLife):
    """The machine, asked once for everything that it can be told: an event of the library takes its time.

    It looks at nothing of a record but what is in the key. Stories and causes are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[object, ...], tuple[GroupState, object, list[Effect]]] = {}
        self.moves: set[tuple[GroupState, Signal, GroupState]] = set()
        """Every transition that was taken."""

    def tell(self, group: Group, signal: Signal, *, now: float, cause: str, grace_s: float = 0.0) -> list[Effect]:
        """Move `group` as the machine would."""
        source = group.state
        awaits = bool(group.awaiting)
        key = (group.id, source, signal, group.pressure, group.resident, group.server, awaits, grace_s)
        known = self._known.get(key)
        if known is None:
            effects = super().tell(group, signal, now=now, cause=cause, grace_s=grace_s)
            self._known[key] = group.state, group.server, effects
            self.moves.add((source, signal, group.state))
            return effects
        group.state, group.server, effects = known  # type: ignore[assignment]
        return effects


@dataclass(slots=True)
class Explored:
    """The graph of a small world's states."""

    abstraction: Abstraction
    states: list[bytes] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    """Every different one that was taken."""
    parents: array[int] = field(default_factory=lambda: array("i"))
    """Of each state: the state that it was first reached from; -1 for the first."""
    reached_by: array[int] = field(default_factory=lambda: array("i"))
    """Of each state: the step, as a number in `steps`, that first led there."""
    first_edges: array[int] = field(default_factory=lambda: array("l", [0]))
    """Of each state: where its edges begin in `targets` and `taken`."""
    targets: array[int] = field(default_factory=lambda: array("i"))
    taken: array[int] = field(default_factory=lambda: array("i"))
    observed_at: bytearray = field(default_factory=bytearray)
    """Of each state: 0 where whoever is observed does not wait for a seat; else one more than its place."""
    observed_runs: bytearray = field(default_factory=bytearray)
    """Of each state: whether whoever is observed waits there and is not overdue yet, but will be."""
    moves: set[tuple[GroupState, Signal, GroupState]] = field(default_factory=set)
    """The transitions of the machine that were taken."""

    def path_to(self, state: int) -> tuple[Step, ...]:
        """A shortest way from the beginning."""
        way: list[Step] = []
        while self.parents[state] >= 0:
            way.append(self.steps[self.reached_by[state]])
            state = self.parents[state]
        return tuple(reversed(way))

    def edges(self, state: int) -> Iterable[tuple[int, int]]:
        """The steps, by number, that lead out of a state, and where to."""
        begin, end = self.first_edges[state], self.first_edges[state + 1]
        return zip(self.taken[begin:end], self.targets[begin:end], strict=True)


_PROMISED: Final = frozenset({What.READY, What.STOPPED, What.SERVED})
Progress = Callable[[int, int], None]
"""Is told, now and then, how many states were visited, and how many are known."""


class Player:
    """One core, put into any state of a small world and taken a step further."""

    def __init__(self, scene: SmallWorld, life: GroupLife | None = None) -> None:
        settings = in_order(scene.settings)
        self.abstraction = Abstraction(scene, settings)
        self.core = Core(settings, life)
        policy = self.core.world.policy
        self._referee = Referee(settings, {model: policy.displaced_by(model) for model in settings.models})
        self._visits = Visits(self.abstraction, self.core.world)
        self._before = self._referee.remember(self.core.world)
        self._untouched = False
        self.woke = False
        """Whether the core had agreed to be told of the last step, where that was one of time."""

    def begin(self) -> bytes:
        """The first state."""
        world = self.core.world
        world.clock = 0.0
        return self.abstraction.write(world, self.abstraction.beyond_at_first())

    def enter(self, frame: Frame) -> None:
        """Look at a state before the first step out of it."""
        self.abstraction.put_back(frame, self.core)
        self._before = self._referee.remember(self.core.world)
        self._untouched = True

    def take(self, frame: Frame, step: Step) -> tuple[bytes, list[Effect]]:
        """Take a step out of the state that was entered, and judge it.

        Raises:
            CoreError: the core's own mistake, or a broken invariant.
            FoulError: a broken rule.
        """
        core, abstraction, before = self.core, self.abstraction, self._before
        if not self._untouched or step.timers:
            abstraction.put_back(frame, core, step.timers)
        self._untouched = False
        event, beyond = event_of(abstraction, frame, step), frame.beyond
        if step.what is not What.TIME:
            effects = core.handle(event, 0.0)
            if step.what is What.ARRIVES:
                beyond = abstraction.one_less(beyond, crowd=step.of)
            elif step.what is What.ASKED:
                beyond = abstraction.one_less(beyond, operation=step.of)
        else:
            before = self._referee.remember(core.world, before)
            self.woke = core.next_deadline() <= INSTANT_S
            if self.woke:
                effects = core.handle(event, INSTANT_S)
            else:
                # Nobody wakes the core: what it has decided must still be right.
                core.world.clock, effects = INSTANT_S, []
        invariants.check(core, only_derived=True)
        self._referee.judge(before, event, effects, core.world)
        beyond = self._visits.count(before, event, core.world, beyond)
        return abstraction.write(core.world, beyond), effects


def explore(scene: SmallWorld, *, most: int = 2_000_000, progress: Progress | None = None) -> Explored:
    """Visit every state that a small world can reach.

    Args:
        scene: the world.
        most: states at which to give up.
        progress: told now and then.

    Raises:
        ViolationError: a step broke a rule; the exploration ended there.
        TooLargeError: there are more states than `most`.
    """
    life = RememberedLife()
    player = Player(scene, life)
    explored = Explored(player.abstraction, moves=life.moves)
    walk = _Walk(explored, player, most)
    walk.found(player.begin(), -1, -1)
    at = 0
    while at < len(explored.states):
        walk.visit(at)
        at += 1
        if progress is not None and at % 500 == 0:
            progress(at, len(explored.states))
    return explored


class _Walk:
    def __init__(self, explored: Explored, player: Player, most: int) -> None:
        self._explored, self._player, self._most = explored, player, most
        self._numbers: dict[bytes, int] = {}
        self._step_numbers: dict[Step, int] = {}

    def found(self, state: bytes, parent: int, step: int) -> int:
        number = self._numbers.setdefault(state, len(self._numbers))
        explored = self._explored
        if number == len(explored.states):
            if number >= self._most:
                raise TooLargeError(f"more than {self._most} states")
            explored.states.append(state)
            explored.parents.append(parent)
            explored.reached_by.append(step)
        return number

    def visit(self, number: int) -> None:
        explored, player = self._explored, self._player
        frame = explored.abstraction.read(explored.states[number])
        player.enter(frame)
        at = explored.abstraction.observed_at(frame)
        explored.observed_at.append(at)
        explored.observed_runs.append(at > 0 and frame.places[at - 1].deadline == RUNS)
        goes_on = not frame.places and not frame.unloads
        for step in steps(explored.abstraction, frame):
            taken = self._number_of(step)
            try:
                state, _ = player.take(frame, step)
                if state not in self._numbers:
                    invariants.check(player.core)
            except FoulError as error:
                raise self._violation(Caught.REFEREE, str(error), number, step) from error
            except BoundError as error:
                raise self._violation(Caught.BOUND, str(error), number, step) from error
            except CoreError as error:
                raise self._violation(Caught.CORE, str(error), number, step) from error
            explored.targets.append(self.found(state, number, taken))
            explored.taken.append(taken)
            goes_on = goes_on or step.what in _PROMISED or (step.what is What.TIME and player.woke)
        if not goes_on:
            message = "somebody waits, nothing is under way, and no time is agreed at which to look again"
            raise ViolationError(Caught.DEADLOCK, message, explored.path_to(number))
        explored.first_edges.append(len(explored.targets))

    def _number_of(self, step: Step) -> int:
        number = self._step_numbers.setdefault(step, len(self._step_numbers))
        if number == len(self._explored.steps):
            self._explored.steps.append(step)
        return number

    def _violation(self, caught: Caught, message: str, state: int, step: Step) -> ViolationError:
        return ViolationError(caught, message, (*self._explored.path_to(state), step))
