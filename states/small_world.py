"""Small worlds to explore: a few models, a few clients, and what else may happen to them.

A world says what can happen and how often, never when: `exploration` plays every order. Of its times only what can be
compared counts: which are 0, and how those that run side by side compare (`in_order`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from .settings import ModelId, ModelSettings, Settings, Strategy

UNIT_S: Final = 100.0
"""What the smallest time that is not 0 becomes; the next larger one is twice as long. An instant passes in 1 s."""

MOST_MODELS: Final = 8
MOST_CLIENTS: Final = 15
"""Of one crowd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Clients that are alike, so that it does not matter which of them does something."""

    model: ModelId
    size: int = 1
    priority: int | None = None
    """None: the model's."""
    returns: bool = False
    """Each comes back again and again, for ever; else each comes once."""
    leaves: bool = False
    """Each may go away, while it waits or while it is served."""
    observed: bool = False
    """One client, whose wait is watched from arrival to seat."""


class Wish(Enum):
    """What an operator can want."""

    UNLOAD = "unload"
    UNLOAD_KEEPING = "unload, and let who waits stay in line"
    PRELOAD = "preload"
    SHUTDOWN = "shut down"
    SHUTDOWN_AT_ONCE = "shut down with no time to finish"
    HURRY = "hurry the shutdown"
    CHANGE = "change the configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that an operator may ask for, at any time."""

    wish: Wish
    models: tuple[ModelId, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallWorld:
    """Everything that can happen, and how often."""

    settings: Settings
    crowds: tuple[Crowd, ...]
    operations: tuple[Operation, ...] = ()
    changed: Settings | None = None
    """What the settings are changed to by `Wish.CHANGE`: the same models and strategy, `max_wait` and `min_loaded`."""
    restart: frozenset[ModelId] = frozenset()
    """The models whose server is another one then."""
    fails: frozenset[ModelId] = frozenset()
    """The models whose loads may fail and whose servers may die, as often as they like."""
    coincidences: int = 2
    """The most deadlines that are tried on one instant."""

    def __post_init__(self) -> None:
        """Refuse what cannot be written down."""
        if len(self.settings.models) > MOST_MODELS or any(crowd.size > MOST_CLIENTS for crowd in self.crowds):
            raise ValueError(
                f"more than {MOST_MODELS} models, or {MOST_CLIENTS} clients in a crowd: too much to explore"
            )
        if any(crowd.observed and (crowd.size > 1 or crowd.returns or crowd.leaves) for crowd in self.crowds):
            raise ValueError("who is observed is one client, comes once and stays")
        if any(operation.wish is Wish.CHANGE for operation in self.operations) and not self._may_change():
            raise ValueError("a change needs settings with the same models and strategy, max_wait and min_loaded")

    def _may_change(self) -> bool:
        if self.changed is None or self.changed.strategy is not self.settings.strategy:
            return False
        kept = [
            [(name, of.max_wait_s, of.min_loaded_s) for name, of in settings.models.items()]
            for settings in (self.settings, self.changed)
        ]
        return kept[0] == kept[1]

    @property
    def in_force(self) -> tuple[Settings, ...]:
        """The settings, and those that they may be changed to."""
        return (self.settings,) if self.changed is None else (self.settings, self.changed)

    @property
    def observed(self) -> Crowd | None:
        """The client whose wait is watched, if any."""
        return next((crowd for crowd in self.crowds if crowd.observed), None)

    def observing(self, model: ModelId) -> SmallWorld:
        """Return this world with one client more, of `model`, whose wait is watched."""
        rest = tuple(crowd for crowd in self.crowds if not crowd.observed)
        return replace(self, crowds=(Crowd(model=model, observed=True), *rest))


def in_order(settings: Settings) -> Settings:
    """Return settings that compare as these do, in round numbers.

    `unload_delay` and `ttl` of a model run side by side, and so do the `max_wait` of all models: their order is kept.
    Of every other time only whether it is 0 counts. Under `fifo` holds and deadlines play no part.
    """
    return all_in_order(settings)[0]


def all_in_order(*in_force: Settings) -> tuple[Settings, ...]:
    """The same for settings that come into force one after the other, while times run."""
    counts = in_force[0].strategy is Strategy.FIFO_PLUS
    waits = {model.max_wait_s for model in in_force[0].models.values()}
    side_by_side: dict[ModelId, set[float]] = {}
    for settings in in_force:
        for name, model in settings.models.items():
            times = (model.unload_delay_s, model.ttl_s) if counts else (model.ttl_s,)
            side_by_side.setdefault(name, set()).update(times)
    return tuple(
        replace(
            settings,
            models={
                name: _in_order(of, waits, side_by_side[name], counts=counts) for name, of in settings.models.items()
            },
        )
        for settings in in_force
    )


def _in_order(
    model: ModelSettings,
    waits: Iterable[float],
    side_by_side: Iterable[float],
    *,
    counts: bool,
) -> ModelSettings:
    return replace(
        model,
        unload_delay_s=_place(model.unload_delay_s, side_by_side) if counts else 0.0,
        min_loaded_s=UNIT_S if model.min_loaded_s > 0 and (counts or model.ttl_s > 0) else 0.0,
        max_wait_s=_place(model.max_wait_s, waits) if counts else 0.0,
        ttl_s=_place(model.ttl_s, side_by_side),
        unload_timeout_s=UNIT_S if model.unload_timeout_s > 0 else 0.0,
    )


def _place(time_s: float, among: Iterable[float]) -> float:
    return UNIT_S * sum(other <= time_s for other in {time for time in among if time > 0})
