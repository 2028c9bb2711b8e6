"""How far simulations are from the best possible, as a table: exactly where that can be said, by bounds where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from states.hindsight import Instance, Job, instance_of
from states.lower_bounds import least_loads, least_makespan_s, least_waits_s
from states.measures import Outcome
from states.optimum import Aim, TooLargeError, best, fewest_loads
from states.settings import Settings
from states.simulation import Servers

from .reporting import duration, table
from .running import Played

_HEAD: Final = ("the best possible", "loads", "makespan", "mean wait", "worst wait")

_TELLING: Final = 100.0
"""Where a bound that need not be reached is so many times smaller than what was found, it tells nothing."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What nobody can fall below."""

    value: float
    exact: bool
    """Somebody who knows everything in advance can have it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One variant beside the best possible for the requests that it served: loads, makespan, mean wait, worst wait."""

    name: str
    bounds: tuple[Bound, ...]
    found: tuple[float, ...]


def judge(played: Sequence[Played], settings: Settings, servers: Servers) -> list[Judgement]:
    """Measure every variant against the best possible.

    Args:
        played: what was simulated.
        settings: those of the configuration.
        servers: how long things took.

    Raises:
        ValueError: two of the models may be there together: then the best is not known.
    """
    instances: list[Instance] = []
    for each in played:
        instance = instance_of(each.record, settings, servers)
        if instance is None:
            raise ValueError("--optimum: it is known only where all models displace each other, as in one swap group")
        instances.append(instance)
    known: dict[tuple[Job, ...], tuple[Bound, ...]] = {}
    judged = []
    for each, instance in zip(played, instances, strict=True):
        if instance.jobs not in known:
            same = [other.outcome for other, its in zip(played, instances, strict=True) if its.jobs == instance.jobs]
            known[instance.jobs] = tuple(_bounds(instance, same))
        outcome = each.outcome
        found = (float(len(outcome.loads)), outcome.makespan_s, outcome.all_waits.mean_s, outcome.all_waits.worst_s)
        judged.append(Judgement(each.variant.name, known[instance.jobs], found))
    return judged


def optimum_table(judged: Sequence[Judgement]) -> list[str]:
    """Return the table, in lines without line ends: the best, and below it how many times as much each variant took."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for bounds in dict.fromkeys(each.bounds for each in judged):
        those = [each for each in judged if each.bounds == bounds]
        whose = "" if len(those) == len(judged) else f" of {', '.join(each.name for each in those)}"
        loads, *times = bounds
        words = [_sign(loads, f"{loads.value:.0f}"), *(_sign(bound, duration(bound.value)) for bound in times)]
        rows.append((f"requests{whose}", *words))
        for each in those:
            ratios = (_ratio(bound, found) for bound, found in zip(bounds, each.found, strict=True))
            rows.append((f"  {each.name}", *ratios))
    lines = table(rows)
    if any(not bound.exact for each in judged for bound in each.bounds):
        lines.append(">= is a bound from below that need not be reached: the exact value would take too long to find")
    return lines


def _bounds(instance: Instance, same: Sequence[Outcome]) -> Iterator[Bound]:
    loads = _loads(instance)
    yield loads
    mean, worst = least_waits_s(instance)
    upper = {
        Aim.MAKESPAN: min(outcome.makespan_s for outcome in same),
        Aim.MEAN_WAIT: min(outcome.all_waits.mean_s for outcome in same),
        Aim.WORST_WAIT: min(outcome.all_waits.worst_s for outcome in same),
    }
    lower = {
        Aim.MAKESPAN: least_makespan_s(instance, round(loads.value)),
        Aim.MEAN_WAIT: mean,
        Aim.WORST_WAIT: worst,
    }
    for aim in Aim:
        try:
            yield Bound(best(instance, aim, upper[aim]), exact=True)
        except TooLargeError:
            yield Bound(lower[aim], exact=False)


def _loads(instance: Instance) -> Bound:
    try:
        return Bound(fewest_loads(instance), exact=True)
    except TooLargeError:
        return Bound(least_loads(instance), exact=False)


def _sign(bound: Bound, words: str) -> str:
    return words if bound.exact else f">= {words}"


def _ratio(bound: Bound, found: float) -> str:
    if found <= bound.value + 1e-6:
        return "x 1.00"
    times = found / bound.value if bound.value > 0 else inf
    if bound.exact:
        return f"x {times:.2f}" if times < inf else "-"
    return f"x <= {times:.2f}" if times < _TELLING else "-"
