"""Which models must leave for another: configured groups, or sets of models that may be there together.

A policy is a pure function of the model wanted and the models resident; the rules ask it in three ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Protocol

from .matrix import Matrix
from .settings import DEFAULT_GROUP, GroupId, GroupSettings, ModelId, Settings


class Policy(Protocol):
    """A residency policy."""

    @property
    def group_of(self) -> Mapping[ModelId, GroupId]:
        """The process group of each model."""

    def displaced_by(self, model: ModelId) -> frozenset[ModelId]:
        """The models that cannot be there while `model` loads, whoever else is there."""

    def victims(self, wanted: ModelId, resident: Iterable[ModelId]) -> tuple[ModelId, ...]:
        """Those of the `resident` models that must leave for `wanted`, in the order given."""

    def displaces(self, wanted: ModelId, model: ModelId, resident: Iterable[ModelId]) -> bool:
        """Whether `model`, were it there beside the `resident` ones, would stand in the way of `wanted`."""

    def in_the_way(
        self, wanted: ModelId, resident: Iterable[ModelId], stopping: Iterable[ModelId]
    ) -> Iterator[ModelId]:
        """Those of the `stopping` models that must be gone before `wanted` can be committed."""


def policy_of(settings: Settings) -> Policy:
    """Return the policy that the settings ask for."""
    return Residency(settings) if settings.matrix is None else MatrixResidency(settings, settings.matrix)


class Residency:
    """The residency policy of configured groups.

    A configured group whose members displace each other is one process group; each member of one whose members do not
    is a process group of its own.
    """

    def __init__(self, settings: Settings) -> None:
        """Work everything out once.

        Args:
            settings: groups name only known models, and no model twice (`proxy.config` sees to it).
        """
        configured = _with_default(settings)
        home = {model: name for name, group in configured.items() for model in group.members}
        self.group_of: Mapping[ModelId, GroupId] = {
            model: GroupId(name if configured[name].swap else f"{name}/{model}") for model, name in home.items()
        }
        """The process group of each model."""
        self._displaced = {model: _displaced_by(model, home[model], configured) for model in settings.models}

    def displaced_by(self, model: ModelId) -> frozenset[ModelId]:
        """The models that cannot be there while `model` loads, whether they are there or not."""
        return self._displaced[model]

    def victims(self, wanted: ModelId, resident: Iterable[ModelId]) -> tuple[ModelId, ...]:
        """Those of the `resident` models that must leave for `wanted`, in the order given."""
        displaced = self._displaced[wanted]
        return tuple(model for model in resident if model in displaced)

    def displaces(self, wanted: ModelId, model: ModelId, resident: Iterable[ModelId]) -> bool:  # noqa: ARG002
        """Whether `model` stands in the way of `wanted`; the others that are there do not matter to groups."""
        return model in self._displaced[wanted]

    def in_the_way(
        self,
        wanted: ModelId,
        resident: Iterable[ModelId],  # noqa: ARG002
        stopping: Iterable[ModelId],
    ) -> Iterator[ModelId]:
        """Those of the `stopping` models that must be gone before `wanted`, one of them perhaps, can be committed."""
        displaced = self._displaced[wanted]
        return (model for model in stopping if model == wanted or model in displaced)


class MatrixResidency:
    """The residency policy of sets of models that may be there together. Every model is a process group of its own."""

    def __init__(self, settings: Settings, matrix: Matrix) -> None:
        self.group_of: Mapping[ModelId, GroupId] = {model: GroupId(model) for model in settings.models}
        self._models = tuple(settings.models)
        # The same few questions come again and again while somebody waits.
        self._victims = lru_cache(4096)(matrix.victims)
        self._allows = lru_cache(4096)(matrix.allows)

    def displaced_by(self, model: ModelId) -> frozenset[ModelId]:
        """The models that no set has beside `model`."""
        pairs = {other: frozenset((model, other)) for other in self._models if other != model}
        return frozenset(other for other, pair in pairs.items() if not self._allows(pair))

    def victims(self, wanted: ModelId, resident: Iterable[ModelId]) -> tuple[ModelId, ...]:
        """Those of the `resident` models that the cheapest combination with `wanted` in it does not have."""
        return self._victims(wanted, tuple(resident))

    def displaces(self, wanted: ModelId, model: ModelId, resident: Iterable[ModelId]) -> bool:
        """Whether `model` has to leave for `wanted`; one that is not there, whether it would change who has to.

        The second half is what keeps a bound on waiting: nobody who comes later moves the goal of who waits.
        """
        there = tuple(resident)
        victims = self.victims(wanted, there)
        return model in victims if model in there else victims != self.victims(wanted, (*there, model))

    def in_the_way(
        self, wanted: ModelId, resident: Iterable[ModelId], stopping: Iterable[ModelId]
    ) -> Iterator[ModelId]:
        """Those of the `stopping` models that may not be there beside `wanted` and whoever stays for it."""
        there, leaving = tuple(resident), tuple(stopping)
        gone = self.victims(wanted, there)
        kept = frozenset(model for model in (*there, wanted) if model not in gone)
        alone = [model for model in leaving if model == wanted or not self._allows(kept | {model})]
        if alone or self._allows(kept.union(leaving)):
            return iter(alone)
        return iter(leaving)


def _with_default(settings: Settings) -> dict[str, GroupSettings]:
    grouped = {model for group in settings.groups.values() for model in group.members}
    rest = tuple(model for model in settings.models if model not in grouped)
    groups = dict(settings.groups)
    if rest:
        groups[DEFAULT_GROUP] = GroupSettings(members=rest)
    return groups


def _displaced_by(model: ModelId, home: str, configured: Mapping[str, GroupSettings]) -> frozenset[ModelId]:
    displaced: set[ModelId] = set()
    for name, group in configured.items():
        same = name == home and group.swap
        other = name != home and configured[home].exclusive and not group.persistent
        if same or other:
            displaced.update(group.members)
    return frozenset(displaced - {model})
