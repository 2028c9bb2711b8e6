"""Everything that `verify` has to say about a configuration, as values; `paragraphs` says it in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from states.bounds import Bound, worst_wait
from states.contention import Contention, How, twins
from states.settings import ModelId, Strategy
from states.without_effect import NoEffect, without_effect

from .exploring import Findings

if TYPE_CHECKING:
    from proxy.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Starving:
    """Models that can wait without bound in one and the same way."""

    waiters: tuple[ModelId, ...]
    how: How
    by: tuple[ModelId, ...]
    """Where a waiter is among them, the others are meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Models that are never loaded together."""

    models: tuple[ModelId, ...]
    others: tuple[ModelId, ...] = ()
    """None of `models` beside any of these; empty: no two of `models`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Longest:
    """The longest wait of models for which it is the same."""

    models: tuple[ModelId, ...]
    bound: Bound | None
    """None: no formula."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What can happen under a configuration. Times are seconds."""

    file: str
    models: int
    strategy: Strategy
    starving: tuple[Starving, ...]
    longest: tuple[Longest, ...]
    apart: tuple[Apart, ...]
    leaving: tuple[Apart, ...]
    """`models` are unloaded when one of `others` loads, but may load beside it."""
    idle: tuple[NoEffect, ...]
    load_s: float
    """The longest load that is waited for."""
    stop_s: float
    """The longest stop."""
    findings: Findings

    @property
    def is_calm(self) -> bool:
        """Whether nobody can wait without bound."""
        return not (self.starving or self.findings.starved or self.findings.violations)


def verdict(config: Config, contention: Contention, findings: Findings) -> Verdict:
    """Work out what can happen.

    Args:
        config: the configuration.
        contention: of its settings.
        findings: what was found by exploring.
    """
    load_s = {model: of.load_timeout_s for model, of in config.models.items()}
    stop_s = {model: of.unload_timeout_s for model, of in config.settings.models.items()}
    bounds = {model: worst_wait(contention, model, load_s=load_s, stop_s=stop_s) for model in contention.models}
    return Verdict(
        file=str(config.path),
        models=len(config.models),
        strategy=config.settings.strategy,
        starving=tuple(_starving(contention)),
        longest=tuple(Longest(models=models, bound=bound) for bound, models in _by_value(bounds.items())),
        apart=tuple(_apart(contention)),
        leaving=tuple(_leaving(contention)),
        idle=tuple(without_effect(contention, config.preload)),
        load_s=max(load_s.values(), default=0.0),
        stop_s=max(stop_s.values(), default=0.0),
        findings=findings,
    )


def as_json(found: Verdict) -> dict[str, Any]:
    """Return the verdict in terms of JSON."""
    return {
        "file": found.file,
        "models": found.models,
        "strategy": found.strategy.value,
        "starving": [{"models": each.waiters, "how": each.how.name.lower(), "by": each.by} for each in found.starving],
        "worst_waits": [
            {"models": each.models, "fixed_s": each.bound.fixed_s, "services": each.bound.all_services}
            for each in found.longest
            if each.bound is not None
        ],
        "never_together": [{"models": each.models, "others": each.others} for each in found.apart],
        "leaving": [{"models": each.models, "for": each.others} for each in found.leaving],
        "without_effect": [
            {"table": each.table, "key": each.key, "value": each.value, "because": each.because, "advice": each.advice}
            for each in found.idle
        ],
        "explored": {
            "worlds": found.findings.worlds,
            "finished": found.findings.done,
            "states": found.findings.states,
            "starved": [{"model": each.waiter, "by": each.by} for _, each in found.findings.starved],
            "violations": [str(each) for each in found.findings.violations],
        },
    }


def _starving(contention: Contention) -> Iterator[Starving]:
    alike: dict[tuple[How, frozenset[ModelId], bool], list[ModelId]] = {}
    for model in contention.models:
        for keeping in contention.kept_waiting(model):
            # Of equals each can keep the others waiting: that is told once.
            by, self_too = frozenset(keeping.by), keeping.how is How.SERVES
            key = (keeping.how, by | {model} if self_too else by, self_too)
            alike.setdefault(key, []).append(model)
    for (how, by, _), waiters in alike.items():
        others = by - set(waiters) if len(waiters) == 1 else by
        yield Starving(waiters=tuple(waiters), how=how, by=_ordered(contention, others))


def _apart(contention: Contention) -> Iterator[Apart]:
    neighbours = {model: contention.apart(model) for model in contention.models}
    classes = twins(neighbours)
    for number, models in enumerate(classes):
        if len(models) > 1 and models[1] in neighbours[models[0]]:
            yield Apart(models=models)
        others = [other for later in classes[number + 1 :] for other in later if other in neighbours[models[0]]]
        if others:
            yield Apart(models=models, others=tuple(others))


def _leaving(contention: Contention) -> Iterator[Apart]:
    for_whom: dict[frozenset[ModelId], list[ModelId]] = {}
    for model in contention.models:
        displacers = frozenset(other for other in contention.models if model in contention.displaced[other])
        if one_way := displacers - contention.displaced[model]:
            for_whom.setdefault(one_way, []).append(model)
    for others, models in for_whom.items():
        yield Apart(models=tuple(models), others=_ordered(contention, others))


def _ordered(contention: Contention, models: frozenset[ModelId]) -> tuple[ModelId, ...]:
    return tuple(model for model in contention.models if model in models)


def _by_value(
    bounds: Iterable[tuple[ModelId, Bound | None]],
) -> Iterator[tuple[Bound | None, tuple[ModelId, ...]]]:
    found: dict[Bound | None, list[ModelId]] = {}
    for model, bound in bounds:
        found.setdefault(bound, []).append(model)
    return ((bound, tuple(models)) for bound, models in found.items())
