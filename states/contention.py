"""Who can be in whose way under some settings: derived from what displaces what, and from how tickets are ranked.

Everything here is about what can happen, not about what will: requests come for whatever model and whenever they like,
and each of them ends. Sets of models (`Matrix`) are looked at in pairs, and in threes where there are few models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from typing import Final

from .matrix import Either, Expression, Matrix, Member, Reference, Together
from .residency import Policy, policy_of
from .settings import ModelId, Settings, Strategy

MOST_IN_THREES: Final = 16
"""With more models than these, sets are looked at in pairs only: every three would take seconds."""


class How(Enum):
    """By what means requests without end keep another model's ticket waiting."""

    SERVES = "it has to leave, its priority is not lower, and it is served on and on"
    OVERDUE = "it has to leave, its priority is lower, but its requests wait for longer than its max_wait"
    IN_TURN = "any two of them, in turn: one of them always goes first, and none may be there beside the ticket's model"
    BEHIND = "it goes first, and is itself kept waiting by another one without bound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Models whose requests can keep another one's waiting without bound."""

    how: How
    by: tuple[ModelId, ...]
    """Each of them alone; IN_TURN: any two of them."""


class Contention:
    """What follows from settings for pairs of models."""

    def __init__(self, settings: Settings) -> None:
        """Work the relations out.

        Args:
            settings: as `proxy.config` has validated them.
        """
        self.settings = settings
        self.models: tuple[ModelId, ...] = tuple(settings.models)
        policy = policy_of(settings)
        self.displaced: Mapping[ModelId, frozenset[ModelId]] = {
            model: policy.displaced_by(model) for model in self.models
        }
        """Of each model: those that cannot be there while it loads."""
        self.displaced_beside: Mapping[ModelId, frozenset[ModelId]] = _displaced_beside(settings, policy)
        """Of each model: those that may be beside it, but may have to leave for it when a third one is there."""
        self._fields = _fields(self)
        self._kept: dict[ModelId, tuple[Keeping, ...]] | None = None

    def field_of(self, model: ModelId) -> frozenset[ModelId]:
        """The models that have to do with each other, directly or by way of others, and `model` is one of."""
        return self._fields[model]

    def fields(self) -> list[frozenset[ModelId]]:
        """Every such set once, in the order of the models."""
        return list(dict.fromkeys(self._fields[model] for model in self.models))

    def displaces(self, wanted: ModelId, model: ModelId) -> bool:
        """Whether `model` has to leave for `wanted`, always or with a third one there."""
        return model in self.displaced[wanted] or model in self.displaced_beside[wanted]

    def apart(self, model: ModelId) -> frozenset[ModelId]:
        """The models that can never be there together with `model`: each has to leave for the other."""
        return frozenset(other for other in self.displaced[model] if model in self.displaced[other])

    def kept_waiting(self, model: ModelId) -> tuple[Keeping, ...]:
        """Every way in which requests for others can keep a ticket for `model` waiting without bound.

        Nobody waits without bound under `fifo`, nor with a `max_wait`.
        """
        if self._kept is None:
            self._kept = self._all_kept_waiting()
        return self._kept[model]

    def goes_first_at_once(self, model: ModelId) -> bool:
        """Whether a ticket for `model` outranks everybody who is in its way or whose way it is in, from its arrival on.

        Its own `max_wait` then makes no difference.
        """
        of = self.settings.models
        others = self.field_of(model) - {model}
        return all(of[other].priority < of[model].priority and of[other].max_wait_s <= 0 for other in others)

    def _all_kept_waiting(self) -> dict[ModelId, tuple[Keeping, ...]]:
        of = self.settings.models
        kept: dict[ModelId, tuple[Keeping, ...]] = dict.fromkeys(self.models, ())
        if self.settings.strategy is Strategy.FIFO:
            return kept
        patient = [model for model in self.models if of[model].max_wait_s <= 0]
        for model in patient:
            kept[model] = tuple(self._by_victims(model))
        changed = True
        while changed:  # who waits behind whom: each round is one link more of a chain
            changed = False
            for model in patient:
                if not kept[model] and (behind := self._behind(model, kept)):
                    kept[model] = (behind,)
                    changed = True
        return kept

    def _by_victims(self, model: ModelId) -> Iterable[Keeping]:
        of, mine = self.settings.models, self.settings.models[model].priority
        victims = [other for other in self.models if other != model and self.displaces(model, other)]
        serves = tuple(other for other in victims if of[other].priority >= mine)
        if serves:
            yield Keeping(how=How.SERVES, by=serves)
        overdue = tuple(other for other in victims if of[other].priority < mine and of[other].max_wait_s > 0)
        if overdue:
            yield Keeping(how=How.OVERDUE, by=overdue)
        first = [other for other in self._going_first(model) if other not in victims]
        in_turn = {other for pair in combinations(first, 2) if pair[1] in self.apart(pair[0]) for other in pair}
        if in_turn:
            yield Keeping(how=How.IN_TURN, by=tuple(other for other in first if other in in_turn))

    def _behind(self, model: ModelId, kept: Mapping[ModelId, tuple[Keeping, ...]]) -> Keeping | None:
        by = tuple(other for other in self._going_first(model) if kept[other])
        return Keeping(how=How.BEHIND, by=by) if by else None

    def _going_first(self, model: ModelId) -> list[ModelId]:
        """The models that displace `model` and whose tickets may outrank its own, while those have no deadline."""
        of = self.settings.models
        return [
            other
            for other in self.models
            if model in self.displaced[other] and (of[other].priority > of[model].priority or of[other].max_wait_s > 0)
        ]


def twins(neighbours: Mapping[ModelId, frozenset[ModelId]]) -> list[tuple[ModelId, ...]]:
    """Divide models into sets that are alike: each is a neighbour of the same ones, not counting one another.

    Args:
        neighbours: of each model; who is one's neighbour has that one as a neighbour.

    Returns:
        The sets, in the order of their first models; all or none of the members of one are neighbours of each other.
    """
    close: dict[frozenset[ModelId], list[ModelId]] = {}
    for model, others in neighbours.items():
        close.setdefault(others | {model}, []).append(model)
    alike: dict[frozenset[ModelId], list[ModelId]] = {}
    for model, others in neighbours.items():
        if len(together := close[others | {model}]) > 1:
            alike[others | {model}] = together
        else:
            alike.setdefault(others, []).append(model)
    return [tuple(models) for models in alike.values()]


def _displaced_beside(settings: Settings, policy: Policy) -> dict[ModelId, frozenset[ModelId]]:
    found: dict[ModelId, set[ModelId]] = {model: set() for model in settings.models}
    if settings.matrix is not None and len(settings.models) <= MOST_IN_THREES:
        for wanted in settings.models:
            beside = [model for model in settings.models if model != wanted and not policy.victims(wanted, [model])]
            for pair in combinations(beside, 2):
                if not policy.victims(pair[0], pair[1:]):
                    found[wanted].update(policy.victims(wanted, pair))
    return {model: frozenset(others) for model, others in found.items()}


def _fields(contention: Contention) -> dict[ModelId, frozenset[ModelId]]:
    matrix = contention.settings.matrix
    if matrix is not None:
        everybody = frozenset(contention.models)
        # A model in no set is there alone: everybody else leaves for it.
        free = everybody & _in_every_combination(matrix) if everybody <= matrix.members() else frozenset()
        bound = everybody - free
        return {model: frozenset({model}) if model in free else bound for model in contention.models}
    field: dict[ModelId, frozenset[ModelId]] = {}
    touching: dict[ModelId, set[ModelId]] = {model: set(others) for model, others in contention.displaced.items()}
    for model, others in contention.displaced.items():
        for other in others:
            touching[other].add(model)
    for start in contention.models:
        if start in field:
            continue
        members, todo = {start}, [start]
        while todo:
            new = touching[todo.pop()] - members
            members |= new
            todo += new
        field |= dict.fromkeys(members, frozenset(members))
    return field


def _in_every_combination(matrix: Matrix) -> frozenset[ModelId]:
    """The models that are part of every choice of every set: they never leave, and nobody leaves for them."""
    of: dict[str, frozenset[ModelId]] = {}

    def always(expression: Expression) -> frozenset[ModelId]:
        match expression:
            case Member(model=model):
                return frozenset({model})
            case Reference(name=name):
                return of[name]
            case Either(choices=inner):
                return frozenset.intersection(*map(always, inner))
            case Together(parts=inner):
                return frozenset.union(*map(always, inner))

    for name, expression in matrix.sets.items():
        of[name] = always(expression)
    return frozenset.intersection(*of.values()) if of else frozenset()
