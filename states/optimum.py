"""The best that anybody could have done who knew everything in advance: exactly, for few requests.

The fewest loads are searched over the sets of jobs done: with a model there, everything that it can serve is served.
For times a schedule is a row of visits: a model is loaded as soon as the one before has given its last answer, perhaps
before anybody asks for it; it serves the requests that come for it first, in order of arrival and as soon as a seat is
free; after some number of them, at least one, it leaves. Where no request follows another, no schedule that serves a
model's requests in order of arrival is better than the best of these. It is dynamic programming over what is done and
who is there; of two ways to the same point, one that is neither earlier nor better is dropped. Makespan, mean and
worst wait are each on their own: no schedule need be the best in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from heapq import heapify, heapreplace
from math import inf
from typing import Final

from .hindsight import Instance, swap_s
from .settings import ModelId

MOST_JOBS: Final = 2000
MOST_SETS: Final = 20_000
"""Sets of jobs done that `fewest_loads` looks at ..."""
MOST_STEPS: Final = 40_000
"""... and requests that `best` tries to serve; either takes a few seconds."""


class Aim(Enum):
    """What a schedule is best in."""

    MAKESPAN = "makespan"
    """Seconds from the first arrival to the last answer."""
    MEAN_WAIT = "mean wait"
    """Seconds from arrival to a seat."""
    WORST_WAIT = "worst wait"


class TooLargeError(Exception):
    """There is too much to look at for an exact answer."""


def fewest_loads(instance: Instance) -> int:
    """Return how many loads serve every job in some order, however long it takes.

    Raises:
        TooLargeError: more than `MOST_JOBS` jobs, or `MOST_SETS` sets.
    """
    if len(instance.jobs) > MOST_JOBS:
        raise TooLargeError
    needs = [sum(1 << place for place in job.after) for job in instance.jobs]
    jobs_of: dict[ModelId, list[int]] = {model: [] for model in instance.models}
    for place, job in enumerate(instance.jobs):
        jobs_of[job.model].append(place)
    everything = (1 << len(instance.jobs)) - 1
    reached, loads, seen = {0}, 0, 1
    while everything not in reached:
        loads += 1
        reached = {after for done in reached for after in _visits(done, jobs_of, needs)}
        reached = _largest(reached) if len(reached) < 500 else reached  # noqa: PLR2004 (comparing takes its square)
        seen += len(reached)
        if seen > MOST_SETS:
            raise TooLargeError
    return loads


def _visits(done: int, jobs_of: dict[ModelId, list[int]], needs: list[int]) -> list[int]:
    """Return what can be done after one load more; only that if it does all that is left for a model."""
    found = []
    for places in jobs_of.values():
        after, left = done, False
        for place in places:
            if not after >> place & 1:
                if needs[place] & ~after:
                    left = True
                else:
                    after |= 1 << place
        if after != done:
            if not left:
                return [after]  # it has to be loaded once more, and later would be no better
            found.append(after)
    return found


def _largest(sets: set[int]) -> set[int]:
    return {each for each in sets if not any(each != other and each & ~other == 0 for other in sets)}


@dataclass(frozen=True, slots=True)
class _Point:
    """A way to have done something: when the last answer was given, and at what cost."""

    time: float
    cost: float
    known: tuple[tuple[int, float], ...]
    """When jobs that follow others and are not done come: (place, time)."""


def best(instance: Instance, aim: Aim, at_most: float = inf) -> float:
    """Return the best value of `aim` that any schedule has, seconds.

    Args:
        instance: what is to be done.
        aim: what counts.
        at_most: a value that some schedule has, as the module describes them: it is looked for nothing worse.

    Raises:
        TooLargeError: more than `MOST_JOBS` jobs, or `MOST_STEPS` steps.
    """
    if len(instance.jobs) > MOST_JOBS:
        raise TooLargeError
    if not instance.jobs:
        return 0.0
    search = _Search(instance, aim, at_most)
    return search.run() / (len(instance.jobs) if aim is Aim.MEAN_WAIT else 1)


class _Search:
    """Points by what is done, and within it by who is there; what is done only grows."""

    def __init__(self, instance: Instance, aim: Aim, at_most: float) -> None:
        self._instance, self._aim = instance, aim
        self._bound = (at_most * len(instance.jobs) if aim is Aim.MEAN_WAIT else at_most) + 1e-6
        self._followers: list[list[int]] = [[] for _ in instance.jobs]
        for place, job in enumerate(instance.jobs):
            for earlier in job.after:
                self._followers[earlier].append(place)
        self._alone: dict[ModelId, int] = dict.fromkeys(instance.models, 0)
        """The jobs that follow no other, a bit each; within a model they are in order of arrival."""
        for place, job in enumerate(instance.jobs):
            if not job.after:
                self._alone[job.model] |= 1 << place
        self._most_seats = max(instance.seats.values(), default=1)
        self._least_service = min(job.service_s for job in instance.jobs)
        swaps = (swap_s(instance, one, two) for one in instance.models for two in instance.models if one != two)
        self._least_swap = min(swaps, default=0.0)
        self._soonest = {
            there: min((swap_s(instance, there, other) for other in instance.models if other != there), default=0.0)
            for there in (None, *instance.models)
        }
        self._points: list[dict[tuple[int, ModelId | None], list[_Point]]] = [{} for _ in range(len(instance.jobs) + 1)]
        self._steps = 0

    def run(self) -> float:
        self._points[0][0, None] = [_Point(0.0, 0.0, ())]
        for level, found in enumerate(self._points[:-1]):
            for (done, there), points in found.items():
                for point in points:
                    if self._outlook(done, point, there) <= self._bound:
                        for model in self._instance.models:
                            if model != there:
                                self._visit(level, done, point, there, model)
            found.clear()
        costs = [point.cost for points in self._points[-1].values() for point in points]
        return min(costs, default=self._bound)

    def _outlook(self, done: int, point: _Point, there: ModelId | None) -> float:
        """What it will cost at least: another model has to be there first, and seats are taken one after the other."""
        loaded = point.time + self._soonest[there]
        jobs = self._instance.jobs
        if self._aim is Aim.MAKESPAN:
            work: dict[ModelId, float] = {}
            for place, job in enumerate(jobs):
                if not done >> place & 1:
                    work[job.model] = work.get(job.model, 0.0) + job.service_s / self._instance.seats[job.model]
            return loaded + sum(work.values()) + (len(work) - 1) * self._least_swap
        alone = (job.delay_s for place, job in enumerate(jobs) if not job.after and not done >> place & 1)
        arrivals = sorted((*alone, *(time for _, time in point.known)))
        # The earliest seats go to whoever came first: no other way to give them is better in the mean or the worst.
        starts = (loaded + place // self._most_seats * self._least_service for place in range(len(arrivals)))
        waits = [start - arrival for start, arrival in zip(starts, arrivals, strict=True) if start > arrival]
        return point.cost + sum(waits) if self._aim is Aim.MEAN_WAIT else max(point.cost, *waits, 0.0)

    def _visit(self, level: int, done: int, point: _Point, there: ModelId | None, model: ModelId) -> None:
        """Load a model, and leave it after each number of requests."""
        loaded = point.time + swap_s(self._instance, there, model)
        coming = dict(point.known)
        ends: dict[int, float] = {}
        seats = [loaded] * self._instance.seats[model]
        heapify(seats)
        cost, last = point.cost, loaded
        while True:
            following = self._next(done, coming, model)
            if following is None:
                return
            arrival, place = following
            job = self._instance.jobs[place]
            start = max(arrival, seats[0])
            ends[place] = start + job.service_s
            heapreplace(seats, ends[place])
            last = max(last, ends[place])
            done |= 1 << place
            level += 1
            coming.pop(place, None)
            self._release(place, done, ends, coming)
            cost = self._cost(cost, start - arrival, last)
            if cost > self._bound:
                return
            self._keep(level, done, model, _Point(last, cost, tuple(sorted(coming.items()))))

    def _next(self, done: int, coming: dict[int, float], model: ModelId) -> tuple[float, int] | None:
        """Which request for the model comes first of those that will come by themselves: (when, place)."""
        jobs = self._instance.jobs
        found = min(((time, place) for place, time in coming.items() if jobs[place].model == model), default=None)
        left = self._alone[model] & ~done
        if left:
            place = (left & -left).bit_length() - 1
            arrival = (jobs[place].delay_s, place)
            return arrival if found is None else min(arrival, found)
        return found

    def _release(self, place: int, done: int, ends: dict[int, float], coming: dict[int, float]) -> None:
        for follower in self._followers[place]:
            job = self._instance.jobs[follower]
            if all(done >> earlier & 1 for earlier in job.after):
                # Whatever was answered in an earlier visit was answered before any of these.
                coming[follower] = max(ends.get(earlier, -inf) for earlier in job.after) + job.delay_s

    def _cost(self, cost: float, wait: float, last: float) -> float:
        match self._aim:
            case Aim.MAKESPAN:
                return last
            case Aim.MEAN_WAIT:
                return cost + wait
            case _:
                return max(cost, wait)

    def _keep(self, level: int, done: int, model: ModelId, point: _Point) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooLargeError
        points = self._points[level].setdefault((done, model), [])
        if any(self._beats(other, point) for other in points):
            return
        points[:] = [other for other in points if not self._beats(point, other)]
        points.append(point)

    def _beats(self, one: _Point, other: _Point) -> bool:
        if one.time > other.time or one.cost > other.cost:
            return False
        if self._aim is not Aim.MAKESPAN:
            return one.known == other.known
        return all(mine <= theirs for (_, mine), (_, theirs) in zip(one.known, other.known, strict=True))
