"""Play a workload under each variant, and say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from states.clients import Client
from states.measures import Outcome, measure
from states.quick_core import QuickCore
from states.settings import ModelId, Settings
from states.simulation import Record, Scheduler, Servers, Simulation
from states.yardsticks import CollatingQueue, DrainFirst

from .variants import Rule, Variant

STARVED_AFTER: Final = 2.0
"""A request that waits longer than so many times its `max_wait` counts as starved."""
UNBOUNDED_LIMIT_S: Final = 600.0
"""... and one of a model without `max_wait` after so long: twice the default of five minutes."""


@dataclass(frozen=True, slots=True)
class Played:
    """One variant, and what came of it."""

    variant: Variant
    record: Record
    outcome: Outcome


def play(
    variants: Sequence[Variant], clients: Callable[[], Iterable[Client]], servers: Servers, settings: Settings
) -> list[Played]:
    """Play the same clients, new ones each time, under every variant.

    Args:
        variants: who decides.
        clients: makes the clients of one run.
        servers: how long things take.
        settings: those of the configuration: what counts as starved is the same for all variants.
    """
    limits = {
        model: STARVED_AFTER * chosen.max_wait_s if chosen.max_wait_s > 0 else UNBOUNDED_LIMIT_S
        for model, chosen in settings.models.items()
    }
    played = []
    for variant in variants:
        record = Simulation(scheduler(variant), servers).run(clients())
        played.append(Played(variant, record, measure(record, settings.models, limits)))
    return played


def scheduler(variant: Variant) -> Scheduler:
    """Return whoever decides in that variant, with nothing decided yet."""
    match variant.rule:
        case Rule.CORE:
            return QuickCore(variant.settings)
        case Rule.PEER:
            return CollatingQueue(variant.settings)
        case Rule.DRAIN_FIRST:
            return DrainFirst(variant.settings)
        case _:
            assert_never(variant.rule)


def used(played: Iterable[Played], models: Iterable[ModelId]) -> list[ModelId]:
    """Return those of the models that somebody asked for, in the order given."""
    asked = {request.model for each in played for request in each.record.requests}
    return [model for model in models if model in asked]
