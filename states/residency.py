"""Which models must leave for another: the configured groups, as a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .settings import DEFAULT_GROUP, GroupId, GroupSettings, ModelId, Settings


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
