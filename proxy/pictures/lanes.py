"""The timeline of one or more simulations as SVG: a block for each, over one time axis, a lane for every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Final

from states.timeline import Lane, Phase, Segment, Steps, Timeline, cells

from .drawing import Drawing, seconds, ticks

_WIDTH: Final = 920.0
_LABELS: Final = 130.0
_RIGHT: Final = 16.0
_BAR: Final = 15.0
_LINE: Final = 14.0
"""Height of the strip of those who wait, below a lane's bar."""
_NARROWEST: Final = 0.6
"""Pixels: what is shorter is drawn so wide, so that a swap of a long simulation still shows."""

_MOST_BOXES: Final = 1500
"""A lane of more boxes is drawn in pieces of a pixel, each with what it has most of."""

_MEANINGS: Final = (
    ("loading", "loading"),
    ("serving", "serving"),
    ("held", "held: loaded and idle, others wait"),
    ("idle", "loaded and idle"),
    ("stopping", "stopping"),
    ("waiting", "waiting requests"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """One simulation, and what to write above it."""

    title: str
    remark: str
    timeline: Timeline


def draw_timelines(blocks: Sequence[Block]) -> str:
    """Draw the blocks one above the other and return the SVG."""
    told = "; ".join(f"{block.title}: {block.remark}" for block in blocks)
    drawing = Drawing(width=_WIDTH, title="Which model was loaded when, and who waited", description=told)
    end = max(block.timeline.ended_at for block in blocks) or 1.0
    scale = (_WIDTH - _LABELS - _RIGHT) / end
    deepest = max(block.timeline.most_waiting for block in blocks) or 1
    y = 4.0
    for block in blocks:
        drawing.text(0, y + 12, block.title, kind="title")
        drawing.text(_WIDTH - _RIGHT, y + 12, block.remark, anchor="end")
        y += 22
        for lane in block.timeline.lanes:
            _draw_lane(drawing, lane, y, end, deepest)
            y += _BAR + _LINE + 5
        stop = _LABELS + block.timeline.ended_at * scale
        drawing.shape([(_LABELS, y), (stop, y)], "line")
        y += 14
    _draw_axis(drawing, y - 14, end, scale)
    _draw_legend(drawing, y + 28)
    return drawing.svg()


def _draw_lane(drawing: Drawing, lane: Lane, y: float, end: float, deepest: int) -> None:
    scale = (_WIDTH - _LABELS - _RIGHT) / end
    drawing.text(_LABELS - 8, y + 12, lane.model, anchor="end")
    if len(lane.segments) + len(lane.waiting) > _MOST_BOXES:
        lane = _coarse(lane, end)
    for segment in lane.segments:
        idle = segment.phase is Phase.IDLE
        top, height = (y + _BAR / 2 - 1.5, 3.0) if idle else (y, _BAR)
        width = max((segment.end - segment.start) * scale, _NARROWEST)
        tip = f"{lane.model} {segment.phase.value}: {segment.start:.1f} to {segment.end:.1f} s"
        drawing.box(_LABELS + segment.start * scale, top, width, height, kind=segment.phase.value, tip=tip)
    for (start, count), (until, _) in pairwise(lane.waiting):
        if count:
            height = (_LINE - 2) * count / deepest
            width = max((until - start) * scale, _NARROWEST)
            drawing.box(_LABELS + start * scale, y + _BAR + 1, width, height, kind="waiting", tip=f"{count} waiting")


def _coarse(lane: Lane, end: float) -> Lane:
    count = round(_WIDTH - _LABELS - _RIGHT)
    segments: list[Segment] = []
    waiting: Steps = [(-inf, 0)]
    for place, (phase, most) in enumerate(cells(lane, end, count)):
        start, until = end * place / count, end * (place + 1) / count
        if phase is not None and segments and (segments[-1].phase, segments[-1].end) == (phase, start):
            segments[-1] = Segment(phase, segments[-1].start, until)
        elif phase is not None:
            segments.append(Segment(phase, start, until))
        if most != waiting[-1][1]:
            waiting.append((start, most))
    return Lane(lane.model, tuple(segments), [*waiting, (end, 0)])


def _draw_axis(drawing: Drawing, y: float, end: float, scale: float) -> None:
    drawing.shape([(_LABELS, y), (_LABELS + end * scale, y)], "line")
    for tick in ticks(end, 10):
        x = _LABELS + tick * scale
        drawing.shape([(x, y), (x, y + 4)], "line")
        drawing.text(x, y + 16, seconds(tick), kind="faint", anchor="middle")


def _draw_legend(drawing: Drawing, y: float) -> None:
    x = _LABELS
    for kind, meaning in _MEANINGS:
        middle = kind == "idle"
        drawing.box(x, y + (5 if middle else 0), 18, 3 if middle else 12, kind=kind)
        drawing.text(x + 23, y + 10, meaning, kind="faint")
        x += 23 + 6.0 * len(meaning) + 14
