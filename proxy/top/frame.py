"""From what a proxy said to the lines that are shown: a function of its arguments, without terminal or clock.

From the top: who it is and how it is, its groups, who waits and why, the last swaps. Between two answers ages go on
and holds run down; when no answer comes any more, time stands still and everything but the news of that is dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from proxy.answers import GroupAnswer, QueueAnswer, SwapAnswer, TicketAnswer

from .layout import Glyphs, fitted, harmless, span, wrapped
from .polling import Look
from .tables import Cell, Column, Lines, Section, table

STYLES: Final = {
    "idle": "dim",
    "loading": "yellow",
    "active": "green",
    "draining": "magenta",
    "debounce": "cyan",
    "unloading": "yellow",
}
"""Of the states of a group: `states.group.GroupState`, which is not imported because its library takes its time."""
_LOADED: Final = frozenset({"active", "draining", "debounce"})
_ALARM: Final = "bold red"
_OUTCOMES: Final = {"failed": _ALARM, "abandoned": "magenta", "loading": "yellow", "unloading": "yellow"}
_ALARM_LINES: Final = 3
_NARROW: Final = 72
_TIME: Final = 6
"""Cells of a column of times, so that nothing moves when a second passes."""
_NOBODY: Final = "-"
_TABLE: Final = 4
"""Lines of the smallest table: an empty one, titles, a row, and how many more there are."""
_ENDLESS: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What there is to show."""

    target: str
    """Where the proxy is."""
    look: Look
    """The last thing that it said."""
    elapsed_s: float = 0.0
    """How much later it is now; stands still once something is the matter."""
    trouble: str = ""
    """Why it says nothing any more; empty: it does."""
    silent_s: float = 0.0
    """Since its last answer."""


def frame(sight: Sight, width: int, height: int | None, glyphs: Glyphs, *, footer: str = "") -> Lines:
    """Return the lines to show, none wider than `width`.

    Args:
        sight: what there is to show.
        width: cells of a line, two at least.
        height: the most lines; None: as many as it takes.
        glyphs: what can be drawn.
        footer: what stands in the last line, if anything.
    """
    head = _head(sight, width, glyphs)
    foot = [Text(fitted(footer, width, glyphs), "dim")] if footer and height else []
    room = _ENDLESS if height is None else height - len(head) - len(foot)
    body = _body(sight.look.queue, sight.elapsed_s, width, room, glyphs)
    if sight.trouble:
        for line in body:
            line.stylize("dim")
    blank = [Text()] * (room - len(body)) if foot else []
    lines = (head + body + blank + foot)[:height]
    for line in lines:
        line.truncate(width, overflow="crop")
    return lines


def _body(queue: QueueAnswer, elapsed_s: float, width: int, room: int, glyphs: Glyphs) -> Lines:
    """Groups may take a third, then who waits two thirds of the rest; what one leaves, the others may have."""
    waiting, swaps = _waiting(queue, elapsed_s, width, glyphs), _swaps(queue, elapsed_s, width, glyphs)
    left = room - waiting.needs(room) - swaps.needs(room)
    most = min(max(room // 3, _TABLE, left), room)
    groups = _groups(queue, elapsed_s, width, most, glyphs).lines(most)
    room -= len(groups)
    changes = swaps.lines(room - waiting.needs(max(room - room // 3, 0)))
    return groups + waiting.lines(room - len(changes)) + changes


def _head(sight: Sight, width: int, glyphs: Glyphs) -> Lines:
    """Two lines, and what is the matter."""
    queue, counts = sight.look.queue, sight.look.queue.counts
    facts = [("trio-swap", "bold"), (harmless(sight.target, glyphs), "")]
    alarm = ""
    if sight.trouble:
        alarm = f"no answer for {span(sight.silent_s)}: {sight.trouble}; trying again"
    elif queue.shutting_down:
        facts.append(("shutting down", "bold yellow"))
    elif sight.look.ailment:
        alarm = f"unhealthy: {sight.look.ailment}"
    else:
        facts.append(("healthy", "bold green"))
    facts += [(f"up {span(queue.uptime_s + sight.elapsed_s)}", ""), (harmless(queue.strategy, glyphs), "")]
    loaded = sum(group.state in _LOADED for group in queue.groups)
    told = {"loaded": loaded, "waiting": len(queue.waiting), "served": counts.served}
    told["swap" if counts.swaps == 1 else "swaps"] = counts.swaps
    rarely = {"refused": counts.refused, "cut off": counts.cut_off, "left early": counts.left}
    told |= {what: number for what, number in rarely.items() if number}
    numbers = [(f"{number} {what}", "") for what, number in told.items()]
    lines = [_joined(facts, "  ", width, glyphs), _joined(numbers, f" {glyphs.dot} ", width, glyphs)]
    if alarm:
        lines += [Text(line, _ALARM) for line in wrapped(harmless(alarm, glyphs), width, _ALARM_LINES, glyphs)]
    return lines


def _joined(parts: Sequence[Cell], between: str, width: int, glyphs: Glyphs) -> Text:
    """As many of the first parts as fit side by side, the first in any case."""
    line = Text(fitted(parts[0][0], width, glyphs), parts[0][1])
    for text, style in parts[1:]:
        if line.cell_len + cell_len(between + text) > width:
            break
        line = Text().append_text(line).append(between).append(text, style)
    return line


def _groups(queue: QueueAnswer, elapsed_s: float, width: int, most: int, glyphs: Glyphs) -> Section:
    """The groups in the order of the configuration; the idle ones last where `most` lines are not enough for all."""
    groups = queue.groups
    if len(groups) + 2 > most:
        groups = sorted(groups, key=lambda group: group.state == "idle" and group.next_model is None)
    columns = [
        Column(title="GROUP", gives_way=True),
        Column(title="STATE", least=max(map(len, STYLES))),
        Column(title="MODEL", gives_way=True),
        Column(title="SEATS"),
        Column(title="HOLD", least=_TIME, is_right=True),
    ]
    bar = 5 if width < _NARROW else 10

    def cells(group: GroupAnswer) -> list[Cell]:
        style = STYLES.get(group.state, "")
        hold_s = (group.hold_s or 0.0) - elapsed_s
        model = group.model or _NOBODY
        return [
            (group.group, "bold"),
            (group.state, style),
            (model if group.next_model is None else f"{model} {glyphs.arrow} {group.next_model}", style),
            (_seats(group, bar, glyphs), style),
            (span(hold_s) if hold_s > 0 else "", "cyan"),
        ]

    return table(columns, [(cells(group), ("", "")) for group in groups], width, glyphs)


def _seats(group: GroupAnswer, most: int, glyphs: Glyphs) -> str:
    if group.concurrency < 1:
        return _NOBODY
    taken = min(max(group.seats_taken / group.concurrency, 0.0), 1.0)
    bar = min(group.concurrency, most)
    full = ceil(taken * bar)
    return f"{glyphs.full * full}{glyphs.empty * (bar - full)} {group.seats_taken}/{group.concurrency}"


def _waiting(queue: QueueAnswer, elapsed_s: float, width: int, glyphs: Glyphs) -> Section:
    """Who is next first, as far as that can be told from here; of equals, who has waited longest."""
    if not queue.waiting:
        return Section(Text("nobody waits", "dim"))
    has_ranks = queue.strategy != "fifo"
    tickets = sorted(
        queue.waiting, key=lambda each: (not each.seated, not each.overdue, -each.priority if has_ranks else 0)
    )
    columns = [
        Column(title="TICKET", is_right=True),
        Column(title="MODEL", gives_way=True),
        Column(title="PRI", is_right=True),
        Column(title="AGE", least=_TIME, is_right=True),
    ]

    def cells(ticket: TicketAnswer) -> list[Cell]:
        age = span(ticket.age_s + elapsed_s), _ALARM if ticket.overdue else ""
        return [(str(ticket.ticket), ""), (ticket.model, "bold"), (str(ticket.priority), ""), age]

    def sentence(ticket: TicketAnswer) -> Cell:
        return f"overdue; {ticket.why}" if ticket.overdue else ticket.why, "yellow" if ticket.seated else ""

    return table(columns, [(cells(each), sentence(each)) for each in tickets], width, glyphs, why="WAITS BECAUSE")


def _swaps(queue: QueueAnswer, elapsed_s: float, width: int, glyphs: Glyphs) -> Section:
    """The last ones, newest first; in a proxy with one group, it goes without saying which."""
    if not queue.swaps:
        return Section(Text("nothing was loaded yet", "dim"))
    columns = [
        Column(title="AGO", least=_TIME, is_right=True),
        Column(title="GROUP", gives_way=True),
        Column(title="SWAP", gives_way=True),
        Column(title="STOP", least=_TIME - 1, is_right=True),
        Column(title="LOAD", least=_TIME - 1, is_right=True),
    ]

    def cells(swap: SwapAnswer) -> list[Cell]:
        stop = _NOBODY if swap.stop_s is None else span(swap.stop_s)
        load = _NOBODY if swap.load_s is None else span(swap.load_s)
        return [
            (span(swap.age_s + elapsed_s), ""),
            (swap.group, ""),
            (f"{swap.model_out or _NOBODY} {glyphs.arrow} {swap.model_in or _NOBODY}", "bold"),
            (stop, ""),
            (swap.outcome if swap.outcome in _OUTCOMES else load, _OUTCOMES.get(swap.outcome, "")),
        ]

    kept = [place for place in range(len(columns)) if place != 1 or len(queue.groups) > 1]
    rows = [([cells(swap)[place] for place in kept], (swap.cause, "")) for swap in queue.swaps]
    return table([columns[place] for place in kept], rows, width, glyphs, why="WHY")
