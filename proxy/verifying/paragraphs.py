"""A verdict in plain words, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Final, TypeVar

from states.contention import How
from states.settings import ModelId, Strategy
from states.storytelling import retell
from states.without_effect import NoEffect

from .verdict import Apart, Longest, Starving, Verdict

T = TypeVar("T")
WIDTH: Final = 80
_MOST_NAMES: Final = 6
_MOST_LINES: Final = 12
"""Of one kind; more are in what `--json` writes."""
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_SECONDS: Final = frozenset({"unload_delay", "min_loaded", "max_wait"})


def text(found: Verdict, *, stories: bool = False) -> list[str]:
    """Return what the verdict says, in lines.

    Args:
        found: the verdict.
        stories: also tell, step by step, how each model that waits without bound comes to do so.
    """
    lines = [f"{found.file}: {_count(found.models, 'model')}, strategy {found.strategy.value}"]
    for title, paragraphs in (
        ("Who can wait without bound", _waiting(found)),
        ("How long a request waits at most", _longest(found)),
        ("Never loaded together", _together(found)),
        ("Settings that can never matter", _idle(found.idle)),
        ("What was explored", _explored(found)),
    ):
        lines += ["", title, *paragraphs]
    if stories:
        lines += _stories(found)
    return lines


# Waiting


def _waiting(found: Verdict) -> Iterator[str]:
    if not found.starving:
        yield from _paragraph("Nobody, as long as every request ends.")
    for each in _first(found.starving):
        yield from _paragraph(_starved(each))
        yield from _advice(_way_out(each))
    yield from _rest(found.starving)


def _starved(each: Starving) -> str:
    waiters, by, many = _names(each.waiters), _names(each.by, "or"), len(each.by) > 1
    equals = len(each.waiters) > 1 and set(each.waiters) <= set(each.by)
    whom = f"another of {_names(each.by)}" if equals else by
    beginning = f"{waiters}: as long as requests for {whom} keep coming"
    match each.how:
        case How.SERVES:
            who = "The other" if equals else "Any of them" if many else by
            return f"{beginning}. {who} has to leave first, has no lower priority, and is served on and on."
        case How.OVERDUE:
            own = "its own max_wait" if not many else "its model's max_wait"
            return f"{beginning} and wait for longer than {own}: what is overdue goes before any priority."
        case How.IN_TURN:
            return (
                f"{waiters}: as long as requests for two of {_names(each.by)} keep coming. These go first, one after"
                f" the other, and loading any of them unloads {_names(each.waiters, 'or')}."
            )
        case How.BEHIND:
            return f"{waiters}: behind {by}, which goes first and can itself wait without bound."


def _way_out(each: Starving) -> str:
    patient = each.by if each.how is How.BEHIND else each.waiters
    advice = f'give {_names(patient)} a max_wait, such as max_wait = "5m"'
    equals = set(each.waiters) <= set(each.by)
    if each.how is How.SERVES and not equals:
        advice += f", or a higher priority than {_names(each.by)}"
    return advice


def _longest(found: Verdict) -> Iterator[str]:
    bounded = [each for each in found.longest if each.bound is not None]
    starved = {model for each in found.starving for model in each.waiters}
    unbounded = [model for each in found.longest if each.bound is None for model in each.models]
    rest = [model for model in unbounded if model not in starved]
    if found.strategy is Strategy.FIFO and rest:
        swap = duration(found.load_s + found.stop_s)
        yield from _paragraph(
            f"{_names(rest)}: with N requests that came before, waiting or being served, (N + 1) x (S + {swap})."
            f" S is the longest that a request takes, {swap} the longest load_timeout and unload_timeout together."
        )
    elif rest:
        yield from _paragraph(f"{_names(rest)}: not for ever, but without a max_wait there is no formula.")
        yield from _advice(f"give {_names(rest)} a max_wait")
    for each in _first(bounded):
        yield from _formula(each)
    yield from _rest(bounded)
    if starved:
        yield from _paragraph(
            f"{_names(model for model in unbounded if model in starved)}: without bound, as said above"
        )
    if bounded:
        yield from _legend(bounded)
        yield from _advice("a shorter max_wait, load_timeout or unload_timeout, or a lower queue_limit, makes it less")


def _formula(each: Longest) -> Iterator[str]:
    bound = each.bound
    if bound is None:
        return
    swap = duration(bound.swap_s)
    visits = f"{bound.visits} x ({bound.services} S + {swap})" if bound.visits > 1 else f"{bound.services} S + {swap}"
    waits = f"{duration(bound.wait_s)} + {visits}" if bound.wait_s else visits
    total = f" = {duration(bound.fixed_s)} + {bound.all_services} S" if bound.visits > 1 else ""
    yield from _paragraph(f"{_names(each.models)}: {waits}{total}")


def _legend(bounded: Sequence[Longest]) -> Iterator[str]:
    bounds = [each.bound for each in bounded if each.bound is not None]
    parts = ["S is the longest that a request takes."]
    if any(bound.wait_s for bound in bounds):
        parts.append("First comes max_wait, then so many visits: one for each other model with a max_wait, and two.")
    parts.append(
        "In a visit every line may be as long as queue_limit lets it be; where no line is longer than its model's"
        f" concurrency, {_names(sorted({str(bound.services) for bound in bounds}, key=int), 'or')} is 2."
        " The time in it is the longest unload_timeout and load_timeout. Failed loads and unloads on request come"
        " on top."
    )
    yield ""
    yield from _paragraph(" ".join(parts))


# Together


def _together(found: Verdict) -> Iterator[str]:
    if not found.apart:
        yield from _paragraph("None: whatever two models are asked for, both can be there.")
    for each in _first(found.apart):
        yield from _paragraph(_apart(each))
    yield from _rest(found.apart)
    if found.apart:
        yield from _advice("what fits into memory together may be put into a group with swap = false")
    for each in _first(found.leaving):
        one = len(each.models) == 1
        leaves, loads = ("leaves", "loads") if one else ("leave", "load")
        others = _names(each.others, "or")
        yield from _paragraph(
            f"{_names(each.models)}: {leaves} when {others} is loaded, but {loads} beside"
            f" {'it' if len(each.others) == 1 else 'them'}."
        )


def _apart(each: Apart) -> str:
    if each.others:
        return f"{_names(each.models)}: not beside {_names(each.others, 'or')}"
    return f"one at a time: {_names(each.models)}"


# Settings


def _idle(found: Sequence[NoEffect]) -> Iterator[str]:
    if not found:
        yield from _paragraph("None.")
    alike: dict[tuple[str, str, str], list[NoEffect]] = {}
    for each in found:
        kind = each.key if each.table.startswith("models.") else each.table
        alike.setdefault((kind, each.because, each.advice), []).append(each)
    for (_, because, advice), same in _first(list(alike.items())):
        yield from _paragraph(f"{_names([_written(each) for each in same])}: {because}")
        yield from _advice(advice)
    yield from _rest(list(alike))


def _written(each: NoEffect) -> str:
    match each.value:
        case bool():
            value = str(each.value).lower()
        case str():
            value = f'"{each.value}"'
        case _:
            value = duration(each.value) if each.key in _SECONDS else f"{each.value:g}"
    return f"{each.table}.{each.key} = {value}"


# Exploring


def _explored(found: Verdict) -> Iterator[str]:
    findings = found.findings
    states = f"{findings.states:,} states"
    if not findings.worlds:
        yield from _paragraph("Nothing: no model is in another one's way.")
        return
    what = (
        f"{_count(findings.worlds, 'small world')} of up to three of these models: one request waits, two clients of"
        " each other model come again and again, in every order of events"
    )
    if findings.is_finished:
        yield from _paragraph(f"{what}: {states}.")
    else:
        yield from _paragraph(f"{what}. Not finished: {states} seen, {findings.done} of the worlds done.")
        yield from _advice("--time and --states say how much may be explored")
    if not findings.violations and not findings.starved:
        yield from _paragraph("No deadlock, nobody waits for ever, and every rule and bound holds.")
    elif not findings.violations:
        waiters = list(dict.fromkeys(each.waiter for _, each in findings.starved))
        yield from _paragraph(
            f"No deadlock, and every rule and bound holds. Seen to wait without bound: {_names(waiters)}."
        )
    for told in dict.fromkeys(map(str, findings.violations)):
        yield from _paragraph("This should never happen; it is a mistake of trio-swap, please report it:")
        for line in told.splitlines():
            yield from wrap(line, WIDTH, initial_indent="    ", subsequent_indent="      ")


def _stories(found: Verdict) -> Iterator[str]:
    for world, starved in found.findings.starved:
        yield ""
        yield f"How {starved.waiter} comes to wait without bound"
        for line in retell(world, starved.path, starved.cycle):
            yield from wrap(line, WIDTH, initial_indent="  ", subsequent_indent="        ", drop_whitespace=True)


# Words


def duration(seconds: float) -> str:
    """Write seconds as a configuration file does: `10s`, `2m10s`, `1h`."""
    if seconds < _MINUTE_S or seconds != int(seconds):
        return f"{seconds:g}s"
    hours, rest = divmod(int(seconds), _HOUR_S)
    minutes, rest = divmod(rest, _MINUTE_S)
    return "".join(f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number)


def _names(models: Iterable[ModelId | str], last: str = "and") -> str:
    names = list(models)
    if len(names) > _MOST_NAMES + 1:
        names = [*names[:_MOST_NAMES], f"{len(names) - _MOST_NAMES} more"]
    return f" {last} ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _first(things: Sequence[T]) -> Sequence[T]:
    return things[:_MOST_LINES]


def _rest(things: Sequence[object]) -> Iterator[str]:
    if len(things) > _MOST_LINES:
        yield from _paragraph(f"and {len(things) - _MOST_LINES} more of the kind: --json writes all of them")


def _paragraph(words: str) -> list[str]:
    return wrap(words, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _advice(words: str) -> list[str]:
    return wrap(f"-> {words}", WIDTH, initial_indent="    ", subsequent_indent="       ", break_on_hyphens=False)
