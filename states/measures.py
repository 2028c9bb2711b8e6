"""What a simulation came to, in figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, nan

from .clients import Fate
from .settings import ModelId
from .simulation import Record, Request


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits of served requests, from arrival to the start of the service, in seconds; nan where there are none."""

    count: int
    mean_s: float
    p95_s: float
    """The shortest wait that at least 95 percent do not exceed."""
    worst_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulation came to. Times are seconds."""

    loads: tuple[ModelId, ...]
    """In order."""
    swapping: float
    """The share of the time, from the first arrival to the end, in which a server was loading or stopping."""
    makespan_s: float
    """From the first arrival to the end of the last request."""
    waits: Mapping[ModelId, Waits]
    """Of every model that somebody asked for."""
    all_waits: Waits
    starved: int
    """Requests that waited longer than they should have under any rule; see `measure`."""
    gave_up: int
    refused: int


def measure(record: Record, models: Iterable[ModelId], limits_s: Mapping[ModelId, float]) -> Outcome:
    """Sum up a record.

    Args:
        record: of a simulation that has ended.
        models: in the order that the waits are wanted in.
        limits_s: of each model, the wait in seconds beyond which a request counts as starved, served or not.
    """
    requests = record.requests
    begin = min((request.arrived_at for request in requests), default=0.0)
    makespan = record.ended_at - begin
    by_model: dict[ModelId, list[float]] = {model: [] for model in models}
    for request in requests:
        if request.seated_at is not None:
            by_model[request.model].append(request.seated_at - request.arrived_at)
    return Outcome(
        loads=tuple(record.loads),
        swapping=swapping_s(record) / makespan if makespan else 0.0,
        makespan_s=makespan,
        waits={model: waits(found) for model, found in by_model.items() if found},
        all_waits=waits([wait for found in by_model.values() for wait in found]),
        starved=sum(_wait_s(request, record.ended_at) > limits_s[request.model] for request in requests),
        gave_up=sum(request.fate is Fate.GAVE_UP for request in requests),
        refused=sum(request.fate is Fate.REFUSED for request in requests),
    )


def waits(found: Sequence[float]) -> Waits:
    """Sum up waits."""
    if not found:
        return Waits(0, nan, nan, nan)
    ordered = sorted(found)
    return Waits(len(ordered), sum(ordered) / len(ordered), ordered[ceil(0.95 * len(ordered)) - 1], ordered[-1])


def swapping_s(record: Record) -> float:
    """For how many seconds at least one server was loading or stopping."""
    spans = []
    for visit in record.visits:
        spans.append((visit.started_at, min(visit.ready_at, visit.stop_at, record.ended_at)))
        spans.append((visit.stop_at, min(visit.stopped_at, record.ended_at)))
    total, covered = 0.0, -inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, covered))
        covered = max(covered, end)
    return total


def _wait_s(request: Request, end: float) -> float:
    if request.seated_at is not None:
        return request.seated_at - request.arrived_at
    return min(request.ended_at, end) - request.arrived_at
