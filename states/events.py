"""What can happen: past-tense facts, the only thing that `Core.handle` takes besides the time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NewType

from .settings import GroupId, ModelId, Settings, TicketId

AskerId = NewType("AskerId", int)
"""Whoever asked for an unload and is answered when the servers have stopped."""


class Failure(Enum):
    """Why a server is of no use any more."""

    LOAD_FAILED = "load_failed"
    """It could not be started, or it ended before it was ready."""
    LOAD_TIMEOUT = "load_timeout"
    """It was not ready in time."""
    DIED = "server_died"
    """It was ready, and ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketArrived:
    """A client wants `model`. The ticket's id has never been used before."""

    ticket: TicketId
    model: ModelId
    priority: int | None = None
    """None: the model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketServed:
    """A seated ticket got its answer and gives its seat back."""

    ticket: TicketId


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketLeft:
    """A ticket, waiting or seated, wants nothing more: its client has gone, or its answer broke off."""

    ticket: TicketId


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReady:
    """The server that a group was told to start answers."""

    group: GroupId


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFailed:
    """The server of a group is of no use any more. What is left of it is being cleared: `ServerStopped` follows."""

    group: GroupId
    failure: Failure
    detail: str
    """One sentence for the client: what happened and where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStopped:
    """Nothing is left of a group's server."""

    group: GroupId


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadAsked:
    """Somebody wants models unloaded, whatever they are doing."""

    asker: AskerId
    models: tuple[ModelId, ...]
    keep_waiting: bool = False
    """Waiting tickets stay in line instead of being refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChanged:
    """The configuration was read again and has changed; the asker is answered when what had to end for it has ended."""

    asker: AskerId
    settings: Settings
    restart: frozenset[ModelId] = frozenset()
    """Models whose server is not what the configuration asks for any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreloadAsked:
    """Somebody wants models loaded where nobody has to leave for them."""

    models: tuple[ModelId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownAsked:
    """The proxy ends: no new tickets, waiting ones are refused, seated ones may finish within `drain_s` seconds."""

    asker: AskerId
    drain_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownHurried:
    """The proxy ends now: seats are cut off and servers are killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """A deadline has come, or somebody wants to know whether one has."""


Event = (
    TicketArrived
    | TicketServed
    | TicketLeft
    | ServerReady
    | ServerFailed
    | ServerStopped
    | UnloadAsked
    | SettingsChanged
    | PreloadAsked
    | ShutdownAsked
    | ShutdownHurried
    | TimePassed
)
