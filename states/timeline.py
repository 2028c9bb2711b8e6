"""What a simulation looked like: for every model what its server did when, and how many waited for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from math import inf

from .settings import ModelId
from .simulation import Record, Request, Visit


class Phase(Enum):
    """What a model's server does; where it does none of these, there is none."""

    LOADING = "loading"
    SERVING = "serving"
    HELD = "held"
    """It serves nobody, and somebody waits for another model."""
    IDLE = "idle"
    """It serves nobody, and nobody waits for another model."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Segment:
    """One phase, from `start` to `end`, seconds."""

    phase: Phase
    start: float
    end: float


Steps = list[tuple[float, int]]
"""A count that changes: (second from which on, count), the first at or before everything, zero in the end."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One model."""

    model: ModelId
    segments: tuple[Segment, ...]
    """In order of time."""
    waiting: Steps


@dataclass(frozen=True, slots=True)
class Timeline:
    """All models over the same time."""

    lanes: tuple[Lane, ...]
    ended_at: float

    @property
    def most_waiting(self) -> int:
        """The longest line that any model had."""
        return max((count for lane in self.lanes for _, count in lane.waiting), default=0)


def timeline(record: Record, models: Iterable[ModelId]) -> Timeline:
    """Derive the timeline of `models`, in that order."""
    lanes = []
    end = record.ended_at
    everybody = steps((request.arrived_at, _seated(request)) for request in record.requests)
    for model in models:
        mine = [request for request in record.requests if request.model == model]
        waiting = steps((request.arrived_at, _seated(request)) for request in mine)
        serving = steps((_seated(request), request.ended_at) for request in mine if request.seated_at is not None)
        others = _difference(everybody, waiting)
        visits = (visit for visit in record.visits if visit.model == model)
        segments = (segment for visit in visits for segment in _segments(visit, serving, others, end))
        lanes.append(Lane(model, tuple(segments), waiting))
    return Timeline(tuple(lanes), end)


def cells(lane: Lane, end: float, count: int) -> list[tuple[Phase | None, int]]:
    """Cut a lane into `count` pieces of the same length, from 0 to `end` seconds.

    Returns:
        Of each piece, the phase that has most of it (None: there was no server) and the most who waited.
    """
    width = end / count if end else 1.0
    shares: list[dict[Phase | None, float]] = [{} for _ in range(count)]
    for segment in lane.segments:
        for place, covered in _pieces(segment.start, segment.end, width, count):
            shares[place][segment.phase] = shares[place].get(segment.phase, 0.0) + covered
    waiting = [0] * count
    for (start, number), (until, _) in pairwise(lane.waiting):
        if number:
            for place, _ in _pieces(start, until, width, count):
                waiting[place] = max(waiting[place], number)
    for share in shares:
        share[None] = width - sum(share.values())
    return [(max(share, key=lambda phase: share[phase]), most) for share, most in zip(shares, waiting, strict=True)]


def _pieces(start: float, end: float, width: float, count: int) -> Iterator[tuple[int, float]]:
    """Which pieces something lasts in, and for how long."""
    place = max(0, int(start / width))
    while place < count and place * width < end:
        yield place, min(end, (place + 1) * width) - max(start, place * width)
        place += 1


def steps(spans: Iterable[tuple[float, float]]) -> Steps:
    """How many of the spans (from, to) cover a time, as it changes."""
    changes: dict[float, int] = {}
    for start, end in spans:
        changes[start] = changes.get(start, 0) + 1
        changes[end] = changes.get(end, 0) - 1
    counted: Steps = [(-inf, 0)]
    for time in sorted(changes):
        if changes[time]:
            counted.append((time, counted[-1][1] + changes[time]))
    return counted


def _seated(request: Request) -> float:
    return request.ended_at if request.seated_at is None else request.seated_at


def _difference(whole: Steps, part: Steps) -> Steps:
    times = sorted({time for time, _ in (*whole, *part)})
    counts = zip(_counts_at(whole, times), _counts_at(part, times), strict=True)
    return [(time, all_of - some) for time, (all_of, some) in zip(times, counts, strict=True)]


def _counts_at(counted: Steps, times: Sequence[float]) -> Iterator[int]:
    place = 0
    for time in times:
        while place + 1 < len(counted) and counted[place + 1][0] <= time:
            place += 1
        yield counted[place][1]


def _segments(visit: Visit, serving: Steps, others: Steps, end: float) -> Iterator[Segment]:
    ready, stop = min(visit.ready_at, visit.stop_at, end), min(visit.stop_at, end)
    yield Segment(Phase.LOADING, visit.started_at, ready)
    changes = {time for time, _ in (*serving, *others) if ready < time < stop}
    times = [ready, *sorted(changes), stop]
    served, rivals = _counts_at(serving, times), _counts_at(others, times)
    merged: list[Segment] = []
    for (start, until), busy, rival in zip(pairwise(times), served, rivals, strict=False):
        phase = Phase.SERVING if busy else Phase.HELD if rival else Phase.IDLE
        if merged and merged[-1].phase is phase:
            merged[-1] = Segment(phase, merged[-1].start, until)
        elif until > start:
            merged.append(Segment(phase, start, until))
    yield from merged
    if visit.stop_at < end:
        yield Segment(Phase.STOPPING, visit.stop_at, min(visit.stopped_at, end))
