"""What the environment promises, and whether everybody who waits gets what they wait for, whatever else happens.

Promised is: a server that loads gets ready or fails, one that is told to stop stops, of those who are served one is
done one day, and a timer that runs ends. Nothing else is: clients come, or not; servers fail, or not; operators ask,
or not. Each promise is weakly fair: if it is open in every state from some time on, it is kept. The deadlines of a
crowd that waits are one promise, that one of them waits no more or is overdue: who came first is served, or overdue,
first.

States that lead to each other (a strongly connected component) can be stayed in for ever if and only if every promise
is kept on a step inside, or is not open in one of the states. For weak fairness this is exact: a run through all of
the component's steps keeps every promise; and one that is open throughout and kept nowhere inside is that in every
smaller part of it too. A single state without a step inside is stayed in for ever if no promise is open: a deadlock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

from .exploration import Caught, Explored, ViolationError
from .frames import RUNS, Timer, TimerKind
from .happenings import Step, What
from .settings import ModelId, Strategy

Edge = tuple[int, int, int]
"""From a state, by a step, to a state; all by number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starvation:
    """Whoever is observed can wait for ever, because others keep coming."""

    waiter: ModelId
    by: tuple[ModelId, ...]
    """The models whose requests do not end."""
    path: tuple[Step, ...]
    """A shortest way there."""
    cycle: tuple[Step, ...]
    """What then goes on for ever."""


def starvation(explored: Explored) -> Starvation | None:
    """Look for a way in which whoever is observed waits for ever.

    Returns:
        None: there is none. Else one that needs requests without end, against somebody without a `max_wait`.

    Raises:
        ViolationError: there is one that the contract rules out: nobody new comes, or it is against a `max_wait`, or
            the strategy is `fifo`.
    """
    observed = explored.abstraction.scene.observed
    if observed is None:
        raise ValueError("nobody is observed in this world")
    without = _Search(explored, explored.observed_at, arrivals=False)
    if stay := without.stay():
        caught = Caught.LIVELOCK if len(stay) > 1 else Caught.DEADLOCK
        raise without.violation(caught, stay, f"a ticket for {observed.model} waits for ever, though nobody new comes")
    search = _Search(explored, explored.observed_at, arrivals=True)
    stay = search.stay()
    if stay is None:
        return None
    settings = explored.abstraction.scene.settings
    if settings.strategy is Strategy.FIFO or settings.models[observed.model].max_wait_s > 0:
        raise search.violation(Caught.LIVELOCK, stay, f"a ticket for {observed.model} can wait for ever")
    path, cycle = search.ways(stay)
    crowds = explored.abstraction.scene.crowds
    by = {crowds[step.of].model: None for step in cycle if step.what is What.ARRIVES}
    return Starvation(waiter=observed.model, by=tuple(by), path=path, cycle=cycle)


def assert_ends(explored: Explored) -> None:
    """Assert that a world in which everybody comes once comes to an end, whatever happens.

    There being no deadlock in any of its states, everybody is served or refused.

    Raises:
        ViolationError: something can go on for ever.
    """
    search = _Search(explored, bytearray(b"\1") * len(explored.states), arrivals=True)
    for component in search.components():
        if next(search.inside(component), None) is not None:
            raise search.violation(Caught.LIVELOCK, component, "this can go on for ever, though nobody new comes")


class _Search:
    """Looks at some of the states, and at the steps between them."""

    def __init__(self, explored: Explored, among: bytearray, *, arrivals: bool) -> None:
        """Prepare.

        Args:
            explored: the graph.
            among: of each state, 0 if it is not looked at; else one more than the place of whoever is observed.
            arrivals: whether anybody new comes.
        """
        self._explored, self._among = explored, among
        self._allowed = [arrivals or step.what is not What.ARRIVES for step in explored.steps]
        self._numbers: dict[tuple[What | TimerKind, int], int] = {}
        self._running_of: dict[int, tuple[int, ...]] = {}

    # Staying for ever

    def stay(self) -> list[int] | None:
        """States that can be stayed in for ever while every promise is kept, the first one found first."""
        for component in self.components():
            open_throughout = reduce(and_, map(self._open, component))
            kept = reduce(or_, map(self._kept, self.inside(component)), 0)
            if not open_throughout & ~kept:
                return component
        return None

    def components(self) -> Iterator[list[int]]:
        """Every strongly connected component, its states in order (Tarjan's algorithm, without recursion)."""
        index: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        for root in range(len(self._among)):
            if not self._among[root] or root in index:
                continue
            work = [(root, self._enter(root, index, low, stack))]
            while work:
                state, edges = work[-1]
                target = next((target for _, _, target in edges if target not in index), None)
                if target is not None:
                    work.append((target, self._enter(target, index, low, stack)))
                    continue
                work.pop()
                for _, _, target in self._edges(state):
                    if target in low:  # it is on the stack: what has left it is in a component of its own
                        low[state] = min(low[state], low[target])
                if low[state] == index[state]:
                    yield self._leave(state, low, stack)

    def _enter(self, state: int, index: dict[int, int], low: dict[int, int], stack: list[int]) -> Iterator[Edge]:
        index[state] = low[state] = len(index)
        stack.append(state)
        return self._edges(state)

    def _leave(self, root: int, low: dict[int, int], stack: list[int]) -> list[int]:
        component: list[int] = []
        while not component or component[-1] != root:
            component.append(stack.pop())
            del low[component[-1]]
        return sorted(component)

    def _edges(self, state: int) -> Iterator[Edge]:
        for step, target in self._explored.edges(state):
            if self._allowed[step] and self._among[target]:
                yield state, step, target

    def inside(self, component: list[int]) -> Iterator[Edge]:
        """The steps from a component to itself."""
        members = set(component)
        return (edge for state in component for edge in self._edges(state) if edge[2] in members)

    # Promises, a bit each

    def _open(self, state: int) -> int:
        """The promises that are to be kept in a state."""
        # Others may be overdue first, so that no step makes whoever is observed overdue yet: its time comes anyway.
        waits = self._bit(TimerKind.DEADLINE, 0) if self._explored.observed_runs[state] else 0
        for crowd, many in enumerate(self._running(state)):
            waits |= self._bit(TimerKind.DEADLINE, 1 + crowd) if many else 0
        return reduce(or_, (self._promised(state, step) for step, _ in self._explored.edges(state)), waits)

    def _promised(self, state: int, number: int) -> int:
        step = self._explored.steps[number]
        match step.what:
            case What.READY | What.STOPPED | What.SERVED:
                return self._bit(step.what, step.of)
            case What.TIME:
                return reduce(or_, (self._ends(state, timer) for timer in step.timers), 0)
            case _:
                return 0

    def _kept(self, edge: Edge) -> int:
        """What a step keeps: a server that loads may fail as well, and an answer may break off."""
        state, number, target = edge
        kept, step = 0, self._explored.steps[number]
        for crowd, (before, after) in enumerate(zip(self._running(state), self._running(target), strict=True)):
            kept |= self._bit(TimerKind.DEADLINE, 1 + crowd) if after < before else 0
        match step.what:
            case What.FAILED:
                return kept | self._bit(What.READY, step.of)
            case What.BROKE_OFF:
                return kept | self._bit(What.SERVED, step.of)
            case _:
                return kept | self._promised(state, number)

    def _running(self, state: int) -> tuple[int, ...]:
        """Of each crowd, how many wait and are not overdue yet, but will be."""
        counts = self._running_of.get(state)
        if counts is None:
            abstraction = self._explored.abstraction
            places = abstraction.read(self._explored.states[state]).places
            running = [place.crowd for place in places if place.deadline == RUNS and not place.seated]
            counts = tuple(running.count(crowd) for crowd in range(len(abstraction.scene.crowds)))
            self._running_of[state] = counts
        return counts

    def _ends(self, state: int, timer: Timer) -> int:
        if timer.kind is not TimerKind.DEADLINE:
            return self._bit(timer.kind, timer.of)
        # Whose it is matters of whoever is observed alone; of the others `_running` keeps count.
        return self._bit(timer.kind, 0) if timer.of == self._among[state] - 1 else 0

    def _bit(self, kind: What | TimerKind, of: int) -> int:
        return 1 << self._numbers.setdefault((kind, of), len(self._numbers))

    # Showing it

    def violation(self, caught: Caught, component: list[int], message: str) -> ViolationError:
        """What to raise about a component that should not be."""
        path, cycle = self.ways(component)
        return ViolationError(self._explored.abstraction.scene, caught, message, path, cycle)

    def ways(self, component: list[int]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """A shortest way into a component, and from there a way round in it that keeps every promise."""
        members, steps = set(component), self._explored.steps
        entry = component[0]  # breadth first: the lowest number is the nearest
        way: list[Edge] = []
        goals = [self._fulfils(1 << bit) for bit in range(len(self._numbers))]
        goals.append(lambda edge: steps[edge[1]].what is What.ARRIVES)
        for goal in goals:
            if not any(goal(edge) for edge in way):
                way += self._route(way[-1][2] if way else entry, goal, members)
        if way and way[-1][2] != entry:
            way += self._route(way[-1][2], lambda edge: edge[2] == entry, members)
        return self._explored.path_to(entry), tuple(steps[step] for _, step, _ in way)

    def _fulfils(self, promise: int) -> Callable[[Edge], bool]:
        return lambda edge: bool(self._kept(edge) & promise) or not self._open(edge[0]) & promise

    def _route(self, start: int, goal: Callable[[Edge], bool], members: set[int]) -> list[Edge]:
        """A shortest way to a step that meets the goal, that step included; empty when there is none."""
        came: dict[int, Edge | None] = {start: None}
        todo = deque([start])
        while todo:
            for edge in self._edges(todo.popleft()):
                state, _, target = edge
                if target in members and goal(edge):
                    way = [edge]
                    while (before := came[state]) is not None:
                        way.append(before)
                        state = before[0]
                    return way[::-1]
                if target in members and target not in came:
                    came[target] = edge
                    todo.append(target)
        return []
