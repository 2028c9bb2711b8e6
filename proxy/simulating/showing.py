"""Pictures of simulations that were played: timelines in a terminal and as SVG, and the waits of each variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy.pictures.lanes import Block, draw_timelines
from proxy.pictures.strips import key, strips
from proxy.pictures.waits import Row, draw_waits
from states.clients import Fate
from states.settings import ModelId
from states.timeline import timeline

from .running import Played


def terminal_timelines(played: Sequence[Played], models: Sequence[ModelId], *, plain: bool) -> Iterator[str]:
    """Return the lines of all timelines, over the same time."""
    end = max(each.record.ended_at for each in played)
    for each in played:
        yield f"{each.variant.name}: {_remark(each)}"
        yield from strips(timeline(each.record, models), plain=plain, end=end)
        yield ""
    yield key(plain=plain)


def timelines_svg(played: Sequence[Played], models: Sequence[ModelId]) -> str:
    """Draw all timelines one above the other."""
    return draw_timelines(
        [
            Block(f"{each.variant.name}: {each.variant.summary}", _remark(each), timeline(each.record, models))
            for each in played
        ]
    )


def waits_svg(played: Sequence[Played], *, curve: bool) -> str:
    """Draw the waits of each; `curve`: they are the values of one setting."""
    rows = []
    for each in played:
        waits = [request.wait_s for request in each.record.requests if request.fate is Fate.SERVED]
        rows.append(Row(each.variant.name, _remark(each), waits, each.outcome.all_waits))
    return draw_waits(rows, curve=curve)


def _remark(played: Played) -> str:
    loads = len(played.outcome.loads)
    return f"{loads} load{'' if loads == 1 else 's'}, {played.outcome.makespan_s:.0f} s"
