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
from .abstraction import Abstraction
from .errors import CoreError
from .frames import RUNS, Frame
from .group import GroupState, Signal
from .happenings import Step, What, steps
from .playing import Player, RememberedLife
from .sight import FoulError
from .small_world import SmallWorld
from .storytelling import first_line, retell
from .visits import BoundError


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

    def __init__(
        self, scene: SmallWorld, caught: Caught, message: str, path: tuple[Step, ...], cycle: tuple[Step, ...] = ()
    ) -> None:
        """Tell what it is.

        Args:
            scene: where it was seen.
            caught: what noticed it.
            message: a sentence without a full stop.
            path: from the beginning to what is wrong.
            cycle: from there, what can go on for ever.
        """
        self.story = retell(scene, path, cycle, message)
        """The way there, a line for each step."""
        super().__init__("\n".join((f"caught by {caught.value}, after {len(path)} steps:", *self.story)))
        self.caught = caught
        self.message = message
        self.path = path
        self.cycle = cycle


class TooLargeError(Exception):
    """There are more states than were to be explored."""


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
    first_edges: array[int] = field(default_factory=lambda: array("q", [0]))
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


_PROMISED: Final = frozenset({What.READY, What.STOPPED, What.SERVED, What.TIME})
"""Whether the core takes notice of a time is not asked: of two that count, as in a hold of two halves, one goes by."""
Progress = Callable[[int, int], None]
"""Is told, now and then, how many states were visited, and how many are known."""


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
        self._scene = explored.abstraction.scene
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
            state = self._take(frame, step, number)
            explored.targets.append(self.found(state, number, taken))
            explored.taken.append(taken)
            goes_on = goes_on or step.what in _PROMISED
        if not goes_on:
            message = "somebody waits, nothing is under way, and no timer runs"
            raise ViolationError(self._scene, Caught.DEADLOCK, message, explored.path_to(number))
        explored.first_edges.append(len(explored.targets))

    def _take(self, frame: Frame, step: Step, number: int) -> bytes:
        player = self._player
        try:
            player.take(frame, step)
        except CoreError as error:
            raise self._violation(Caught.CORE, first_line(error), number, step) from error
        try:
            state = player.judge()
            if state not in self._numbers:
                invariants.check(player.core)
        except CoreError as error:
            raise self._violation(Caught.INVARIANT, first_line(error), number, step) from error
        except FoulError as error:
            raise self._violation(Caught.REFEREE, str(error), number, step) from error
        except BoundError as error:
            raise self._violation(Caught.BOUND, str(error), number, step) from error
        return state

    def _number_of(self, step: Step) -> int:
        number = self._step_numbers.setdefault(step, len(self._step_numbers))
        if number == len(self._explored.steps):
            self._explored.steps.append(step)
        return number

    def _violation(self, caught: Caught, message: str, state: int, step: Step) -> ViolationError:
        return ViolationError(self._scene, caught, message, (*self._explored.path_to(state), step))
