"""The life of process groups for simulations: the same moves as the machine's, which is asked once for each of them.

An event of the library takes a while, and a long simulation has hundreds of thousands. What the machine does depends on
nothing but what is in the key here; whom it starts and stops, on the record alone. Stories and reports are left out.
"""

from __future__ import annotations

from typing import cast

from .effects import Effect, StartServer, StopServer
from .group import Group, GroupLife, GroupState, Signal
from .settings import ModelId


class QuickLife(GroupLife):
    """A door to the machine that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[object, ...], tuple[GroupState, bool, bool]] = {}

    def tell(self, group: Group, signal: Signal, *, now: float, cause: str, grace_s: float = 0.0) -> list[Effect]:
        """Move `group` as the machine would; see `GroupLife.tell`."""
        key = (group.state, signal, group.pressure, group.resident is None, bool(group.awaiting))
        known = self._known.get(key)
        if known is None:
            effects = super().tell(group, signal, now=now, cause=cause, grace_s=grace_s)
            kinds = {type(effect) for effect in effects}
            self._known[key] = group.state, StartServer in kinds, StopServer in kinds
            return effects
        group.state, starts, stops = known
        if starts:
            group.server = cast(ModelId, group.resident)
            return [StartServer(group=group.id, model=group.server)]
        if stops:
            return [StopServer(group=group.id, model=cast(ModelId, group.server), grace_s=grace_s)]
        if group.state is GroupState.IDLE:
            group.server = None
        return []
