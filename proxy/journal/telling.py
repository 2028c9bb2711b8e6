"""What a replay came to, in words and in a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from proxy.simulating.reporting import duration, table
from states.clients import Fate
from states.measures import waits
from states.settings import ModelId
from states.simulation import Record, Request

from .playback import Difference, Replayed

_HEAD: Final = ("", "requests", "served", "refused", "left", "loads", "mean wait", "p95", "worst")


def verdict(replayed: Replayed, program: str) -> Iterator[str]:
    """Say what was played, and whether it went as it did then; `program` is the version that plays."""
    first = replayed.first
    began = datetime.fromtimestamp(first.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    files = f"{replayed.files[0]} to {replayed.files[-1]}" if len(replayed.files) > 1 else str(replayed.files[0])
    yield f"{files}: {replayed.events} events in {replayed.ended_at - first.at:.1f} s from {began}"
    if first.part:
        yield f"older files are gone: this begins with part {first.part + 1} of its run, and the state of that moment"
    if replayed.missed:
        yield f"{replayed.missed} events were not written down: after them it goes on with the state of that moment"
    if replayed.torn is not None:
        yield f"{replayed.torn}: the last line was cut off, as when the proxy is killed; it is left out"
    if replayed.difference is not None:
        yield from _difference(replayed.difference)
        if first.program != program:
            yield f"it was written by trio-swap {first.program}, and this is {program}: that one may decide otherwise"
    elif replayed.broke is not None:
        yield f"the scheduler broke at the last event, then as now; please report this: {replayed.broke}"
    else:
        yield "every event had the effects that were written down"


def _difference(found: Difference) -> Iterator[str]:
    yield f"{found.place}: this event does not have the effects that were written down"
    yield f"  {found.what}"
    for name, said in (("written down", found.recorded), ("replayed", found.replayed)):
        yield f"  {name}:{'' if said else ' nothing'}"
        yield from (f"    {each}" for each in said)


def figures(record: Record, models: Sequence[ModelId]) -> list[str]:
    """Return a table of requests, loads and waits: everybody first, then each model that took part."""
    rows: list[tuple[str, ...]] = [_HEAD, _row("all", record.requests, len(record.visits))]
    for model in models:
        mine = [request for request in record.requests if request.model == model]
        loads = record.loads.count(model)
        if mine or loads:
            rows.append(_row(f"  {model}", mine, loads))
    return table(rows)


def _row(name: str, requests: Sequence[Request], loads: int) -> tuple[str, ...]:
    fates = [request.fate for request in requests]
    ended = (str(fates.count(fate)) for fate in (Fate.SERVED, Fate.REFUSED, Fate.GAVE_UP))
    found = waits([request.wait_s for request in requests if request.seated_at is not None])
    times = (duration(each) for each in (found.mean_s, found.p95_s, found.worst_s))
    return (name, str(len(requests)), *ended, str(loads), *times)
