"""The timeline of a simulation in a terminal: a lane of characters for every model, 80 columns wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from states.timeline import Lane, Phase, Timeline, cells

from .drawing import seconds, ticks

WIDTH: Final = 80
_LONGEST_NAME: Final = 16

_BLOCKS: Final[Mapping[Phase | None, str]] = {
    Phase.LOADING: "/", Phase.SERVING: "█", Phase.HELD: "▒", Phase.IDLE: "─", Phase.STOPPING: "\\", None: " ",
}  # fmt: skip
_PLAIN: Final = {**_BLOCKS, Phase.SERVING: "#", Phase.HELD: "=", Phase.IDLE: "-"}
_MEANINGS: Final = (
    (Phase.LOADING, "loading"), (Phase.SERVING, "serving"), (Phase.HELD, "held"),
    (Phase.IDLE, "idle"), (Phase.STOPPING, "stopping"),
)  # fmt: skip
_MOST_COUNTED: Final = 9


def strips(found: Timeline, *, plain: bool, end: float | None = None) -> list[str]:
    """Draw a timeline, and an axis below it.

    Args:
        found: what to draw.
        plain: with ASCII only.
        end: seconds that the width stands for; None: until the timeline ends.
    """
    names = max((len(lane.model) for lane in found.lanes), default=0)
    indent = min(names, _LONGEST_NAME) + 1
    end = end or found.ended_at or 1.0
    lines = []
    for lane in found.lanes:
        bar, waiting = _lane(lane, end, WIDTH - indent, _PLAIN if plain else _BLOCKS)
        lines.append(f"{_short(lane.model, indent - 1):<{indent}}{bar}".rstrip())
        if waiting.strip():
            lines.append(f"{'':<{indent}}{waiting}".rstrip())
    return [*lines, *_axis(end, indent)]


def key(*, plain: bool) -> str:
    """Say what the characters mean."""
    signs = _PLAIN if plain else _BLOCKS
    return ", ".join([*(f"{signs[phase]} {meaning}" for phase, meaning in _MEANINGS), "1 to 9 and + so many wait"])


def _lane(lane: Lane, end: float, width: int, signs: Mapping[Phase | None, str]) -> tuple[str, str]:
    pieces = cells(lane, end, width)
    bar = "".join(signs[phase] for phase, _ in pieces)
    return bar, "".join(_count(most) for _, most in pieces)


def _count(waiting: int) -> str:
    if not waiting:
        return " "
    return str(waiting) if waiting <= _MOST_COUNTED else "+"


def _short(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 2]}.."


def _axis(end: float, indent: int) -> Sequence[str]:
    width = WIDTH - indent
    marks, words = [" "] * WIDTH, [" "] * WIDTH
    for tick in ticks(end, 6):
        column = indent + min(width - 1, int(tick / end * width))
        label = seconds(tick)
        start = min(column, WIDTH - len(label))
        marks[column] = "|"
        words[start : start + len(label)] = label
    return "".join(marks).rstrip(), "".join(words).rstrip()
