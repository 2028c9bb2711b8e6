"""How long requests waited, as SVG: a row for each variant, a dash for each request, its mean, 95th percentile, worst.

Where the rows are the values of one setting, their means and their 95th percentiles are joined to two curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from states.measures import Waits

from .drawing import Drawing, number, seconds, ticks

_WIDTH: Final = 920.0
_LABELS: Final = 150.0
_RIGHT: Final = 190.0
_ROW: Final = 34.0
_BAR: Final = 14.0
_MOST_DASHES: Final = 600
"""More requests than these in a row are not drawn one by one, only so many of them, evenly by rank."""


@dataclass(frozen=True, slots=True)
class Row:
    """One variant."""

    name: str
    remark: str
    waits: Sequence[float]
    """Of each served request, seconds."""
    summary: Waits


def draw_waits(rows: Sequence[Row], *, curve: bool) -> str:
    """Draw the rows one above the other and return the SVG; `curve` joins them."""
    told = "; ".join(f"{row.name}: {_figures(row.summary)}, {row.remark}" for row in rows)
    drawing = Drawing(width=_WIDTH, title="How long requests waited", description=told)
    end = max((row.summary.worst_s for row in rows if row.waits), default=0.0) or 1.0
    scale = (_WIDTH - _LABELS - _RIGHT) / end
    y = 8.0
    middles: list[tuple[Row, float]] = []
    for row in rows:
        middle = y + _BAR / 2
        drawing.text(_LABELS - 10, middle + 4, row.name, anchor="end")
        drawing.shape([(_LABELS, middle), (_LABELS + end * scale, middle)], "line")
        if row.waits:
            _draw_row(drawing, row, y, scale)
            middles.append((row, middle))
            drawing.text(_WIDTH - _RIGHT + 16, middle, _figures(row.summary), kind="faint")
        drawing.text(_WIDTH - _RIGHT + 16, middle + 13, row.remark, kind="faint")
        y += _ROW
    if curve:
        drawing.shape([(_LABELS + row.summary.mean_s * scale, middle) for row, middle in middles], "curve")
        drawing.shape([(_LABELS + row.summary.p95_s * scale, middle) for row, middle in middles], "curve-late")
    _draw_axis(drawing, y, end, scale)
    _draw_legend(drawing, y + 34)
    return drawing.svg()


def _figures(found: Waits) -> str:
    if not found.count:
        return "nobody was served"
    return f"mean {seconds(found.mean_s)}, p95 {seconds(found.p95_s)}"


def _draw_row(drawing: Drawing, row: Row, y: float, scale: float) -> None:
    ordered = sorted(row.waits)
    if len(ordered) > _MOST_DASHES:
        ordered = [ordered[place * (len(ordered) - 1) // (_MOST_DASHES - 1)] for place in range(_MOST_DASHES)]
    columns = dict.fromkeys(number(_LABELS + wait * scale) for wait in ordered)
    for column in columns:
        drawing.box(float(column) - 0.75, y, 1.5, _BAR, kind="dash")
    middle, found = y + _BAR / 2, row.summary
    drawing.box(
        _LABELS + found.p95_s * scale - 1.5, y - 4, 3, _BAR + 8, kind="late", tip=f"p95: {seconds(found.p95_s)}"
    )
    mean = _LABELS + found.mean_s * scale
    diamond = [(mean - 6, middle), (mean, middle - 8), (mean + 6, middle), (mean, middle + 8), (mean - 6, middle)]
    drawing.shape(diamond, "mean")


def _draw_axis(drawing: Drawing, y: float, end: float, scale: float) -> None:
    drawing.shape([(_LABELS, y), (_LABELS + end * scale, y)], "line")
    for tick in ticks(end, 8):
        x = _LABELS + tick * scale
        drawing.shape([(x, y), (x, y + 4)], "line")
        drawing.text(x, y + 16, seconds(tick), kind="faint", anchor="middle")


def _draw_legend(drawing: Drawing, y: float) -> None:
    x = _LABELS
    drawing.box(x + 4, y, 1.5, 12, kind="dash")
    drawing.text(x + 14, y + 10, "a request", kind="faint")
    x += 90
    drawing.shape([(x, y + 6), (x + 5, y), (x + 10, y + 6), (x + 5, y + 12), (x, y + 6)], "mean")
    drawing.text(x + 16, y + 10, "mean", kind="faint")
    x += 66
    drawing.box(x, y - 1, 3, 14, kind="late")
    drawing.text(x + 9, y + 10, "95 percent waited no longer", kind="faint")
