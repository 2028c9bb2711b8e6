"""What the scheduler is told about models and groups: frozen, validated where it is read (`proxy.config`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NewType

if TYPE_CHECKING:
    from .matrix import Matrix

ModelId = NewType("ModelId", str)
GroupId = NewType("GroupId", str)
TicketId = NewType("TicketId", int)

DEFAULT_GROUP: Final = "default"
"""Models that no configured group names share this one: swap, exclusive, not persistent."""


class Strategy(Enum):
    """How waiting tickets are ranked."""

    FIFO_PLUS = "fifo+"
    """Overdue first, then priority; between equals the resident model keeps its turn."""
    FIFO = "fifo"
    """Strict order of arrival; priorities, holds and deadlines play no part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The scheduling settings of one model. Times are seconds."""

    priority: int = 0
    """Higher first; may be negative."""
    unload_delay_s: float = 0.0
    """A loaded model without work is held so long after its last request."""
    min_loaded_s: float = 0.0
    """A loaded model without work is held so long after it was loaded."""
    max_wait_s: float = 300.0
    """A ticket is overdue after so long; 0: never."""
    concurrency: int = 10
    """Seats, at least 1."""
    queue_limit: int = 1000
    """Tickets that may wait, at least 1; more are refused."""
    ttl_s: float = 0.0
    """An idle model is unloaded after so long; 0: never."""
    unload_timeout_s: float = 10.0
    """Grace of an unload on request, and of the server's stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSettings:
    """A configured group: which models may be loaded together."""

    members: tuple[ModelId, ...]
    swap: bool = True
    """Members displace each other."""
    exclusive: bool = True
    """Loading a member displaces the models of every other group that is not persistent."""
    persistent: bool = False
    """No other group displaces its members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the scheduler is told."""

    models: Mapping[ModelId, ModelSettings]
    groups: Mapping[str, GroupSettings] = field(default_factory=dict)
    """By name. Models in none of them share `DEFAULT_GROUP`."""
    matrix: Matrix | None = None
    """Sets of models that may be there together, in place of groups."""
    strategy: Strategy = Strategy.FIFO_PLUS
