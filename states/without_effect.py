"""Settings that can never matter: with any other value everybody would be served at the same times.

Only what is not as it would be if nothing were said is looked at. What follows is derived from the rules; a test plays
random worlds with and without each of these settings, and sees no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from .contention import Contention
from .residency import policy_of
from .settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy

_USUAL: Final = ModelSettings()
_USUAL_COST: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NoEffect:
    """A setting that can never matter."""

    table: str
    """Where it is: `models.coder`, say."""
    key: str
    value: float | bool | str
    because: str
    """A clause that holds for every model it is said of."""
    advice: str
    """What to do, as an imperative; leaving the setting out is always possible."""


def without_effect(contention: Contention, preload: Iterable[ModelId] = ()) -> list[NoEffect]:
    """Return every such setting, models first.

    Args:
        contention: of the settings.
        preload: the models to load before anybody asks, in order.
    """
    settings = contention.settings
    found: list[NoEffect] = []
    for model in contention.models:
        is_fifo = settings.strategy is Strategy.FIFO
        found += _under_fifo(settings, model) if is_fifo else _of_model(contention, model)
    found += _of_groups(contention)
    found += _of_costs(contention)
    found += _of_preload(settings, preload)
    return found


def _under_fifo(settings: Settings, model: ModelId) -> Iterator[NoEffect]:
    of = settings.models[model]
    advice = 'for this to count, set scheduler.strategy = "fifo+"'
    because = "strategy fifo serves in order of arrival, whatever the priorities, holds and deadlines"
    written: list[tuple[str, float, bool]] = [
        ("priority", of.priority, of.priority != _USUAL.priority),
        ("unload_delay", of.unload_delay_s, of.unload_delay_s > 0),
        ("min_loaded", of.min_loaded_s, of.min_loaded_s > 0 and not _delays_ttl(of)),
        ("max_wait", of.max_wait_s, of.max_wait_s != _USUAL.max_wait_s),
    ]
    for key, value, counts in written:
        if counts:
            yield NoEffect(table=f"models.{model}", key=key, value=value, because=because, advice=advice)


def _of_model(contention: Contention, model: ModelId) -> Iterator[NoEffect]:
    of, table = contention.settings.models[model], f"models.{model}"
    field = contention.field_of(model)
    if of.priority != _USUAL.priority and (why := _priority_is_idle(contention, field)):
        advice = "give one of them another priority" if len(field) > 1 else "leave it out"
        yield NoEffect(table=table, key="priority", value=of.priority, because=why, advice=advice)
    unheld = _hold_is_idle(contention, model)
    if of.unload_delay_s > 0 and unheld:
        advice = f"leave it out{'' if unheld == _STAYS else ', or give the model a higher priority'}"
        yield NoEffect(table=table, key="unload_delay", value=of.unload_delay_s, because=unheld, advice=advice)
    covered = "unload_delay is at least as long" if of.min_loaded_s <= of.unload_delay_s else ""
    if of.min_loaded_s > 0 and (unheld or covered) and not _delays_ttl(of):
        because = unheld or covered
        yield NoEffect(table=table, key="min_loaded", value=of.min_loaded_s, because=because, advice="leave it out")
    if of.max_wait_s > 0 and of.max_wait_s != _USUAL.max_wait_s and contention.goes_first_at_once(model):
        because = "it goes before everybody else at once" if len(field) > 1 else _ALONE
        yield NoEffect(table=table, key="max_wait", value=of.max_wait_s, because=because, advice="leave it out")


_ALONE: Final = "nobody has to leave for it, and it leaves for nobody"
_STAYS: Final = "nobody ever makes it leave"


def _priority_is_idle(contention: Contention, field: frozenset[ModelId]) -> str:
    if len(field) == 1:
        return _ALONE
    same = len({contention.settings.models[model].priority for model in field}) == 1
    return "all that it competes with have the same" if same else ""


def _hold_is_idle(contention: Contention, model: ModelId) -> str:
    of = contention.settings.models
    if len(contention.field_of(model)) == 1:
        return _STAYS
    displacers = [other for other in contention.models if contention.displaces(other, model)]
    if contention.settings.matrix is not None:
        # Who has to leave for whom may depend on who else is there: any of its field may be the one.
        displacers = [other for other in contention.field_of(model) if other != model]
    if not displacers:
        return _STAYS
    if all(of[other].priority > of[model].priority for other in displacers):
        return "whoever makes it leave has a higher priority, and waits for no hold"
    return ""


def _delays_ttl(of: ModelSettings) -> bool:
    return 0 < of.ttl_s < of.min_loaded_s


def _of_groups(contention: Contention) -> Iterator[NoEffect]:
    settings, usual = contention.settings, GroupSettings(members=())
    if settings.matrix is not None:
        return
    for name, group in settings.groups.items():
        for key, value, changed, because in (
            ("swap", group.swap, replace(group, swap=usual.swap), "the group has one member"),
            (
                "exclusive",
                group.exclusive,
                replace(group, exclusive=usual.exclusive),
                "there is no model outside the group that it would unload",
            ),
            (
                "persistent",
                group.persistent,
                replace(group, persistent=usual.persistent),
                "no other group would unload its members",
            ),
        ):
            if changed == group:
                continue
            policy = policy_of(replace(settings, groups={**settings.groups, name: changed}))
            if all(policy.displaced_by(model) == contention.displaced[model] for model in contention.models):
                yield NoEffect(table=f"groups.{name}", key=key, value=value, because=because, advice="leave it out")


def _of_costs(contention: Contention) -> Iterator[NoEffect]:
    matrix = contention.settings.matrix
    for model, cost in matrix.costs.items() if matrix is not None else ():
        if cost != _USUAL_COST and len(contention.field_of(model)) == 1:
            yield NoEffect(table="matrix.evict_costs", key=model, value=cost, because=_STAYS, advice="leave it out")


def _of_preload(settings: Settings, preload: Iterable[ModelId]) -> Iterator[NoEffect]:
    policy, there = policy_of(settings), list[ModelId]()
    for model in preload:
        if victims := policy.victims(model, there):
            because = f"{', '.join(victims)} would have to leave for it, and is preloaded before"
            advice = "leave one of the two out"
            yield NoEffect(table="hooks.on_startup", key="preload", value=model, because=because, advice=advice)
        else:
            there.append(model)
