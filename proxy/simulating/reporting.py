"""What came of simulations, as a table: a line for each variant, and below it one for each of its models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Final

from states.measures import Outcome, Waits
from states.settings import ModelId

from .running import Played

_HEAD: Final = ("", "loads", "swap", "makespan", "mean wait", "p95", "worst", "starved", "gave up")
_MOST_MODELS: Final = 12
"""More models than these are not told one by one, only those that waited longest."""


def outcome_table(played: Sequence[Played], models: Sequence[ModelId]) -> list[str]:
    """Return the table, in lines without line ends."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for each in played:
        rows.append(_total(each))
        told = worth_telling([each.outcome], models)
        rows += [_of_model(each.outcome, model) for model in told]
        if len(told) < len(each.outcome.waits):
            rows.append((f"  and {len(each.outcome.waits) - len(told)} more", *[""] * (len(_HEAD) - 1)))
    return table(rows)


def worth_telling(outcomes: Sequence[Outcome], models: Sequence[ModelId]) -> list[ModelId]:
    """Return all models, or those of very many that somebody waited longest for, in the order given."""
    if len(models) <= _MOST_MODELS:
        return list(models)
    worst = {
        model: max((outcome.waits[model].worst_s for outcome in outcomes if model in outcome.waits), default=0.0)
        for model in models
    }
    longest = sorted(models, key=lambda model: -worst[model])[:_MOST_MODELS]
    return [model for model in models if model in longest]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows of cells: the first column to the left, the others to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(_cells(row, widths)).rstrip() for row in rows]


def duration(seconds: float) -> str:
    """Write seconds with a tenth, as every table here does; a dash where there are none."""
    return "-" if isnan(seconds) else f"{seconds:.1f} s"


def _cells(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.rjust(width) if place else cell.ljust(width)


def _total(played: Played) -> tuple[str, ...]:
    found = played.outcome
    ended = (str(found.starved), str(found.gave_up + found.refused))
    makespan = duration(found.makespan_s)
    return (
        played.variant.name, str(len(found.loads)), f"{found.swapping:.0%}", makespan, *_waits(found.all_waits), *ended,
    )  # fmt: skip


def _of_model(found: Outcome, model: ModelId) -> tuple[str, ...]:
    return (f"  {model}", str(found.loads.count(model)), "", "", *_waits(found.waits.get(model)), "", "")


def _waits(found: Waits | None) -> tuple[str, str, str]:
    if found is None:
        return "-", "-", "-"
    return duration(found.mean_s), duration(found.p95_s), duration(found.worst_s)
