"""What is to be done: imperatives, as values; the only thing that `Core.handle` gives back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .events import AskerId
from .settings import GroupId, ModelId, TicketId


class RefusalCode(Enum):
    """Why a ticket is not served, in the words of the error's `code`."""

    QUEUE_FULL = "queue_full"
    UNLOADED = "unloaded"
    LOAD_FAILED = "load_failed"
    LOAD_TIMEOUT = "load_timeout"
    SERVER_DIED = "server_died"
    PAUSED = "paused"
    SHUTTING_DOWN = "shutting_down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a ticket is not served, for its client."""

    code: RefusalCode
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartServer:
    """Start the model's server. Never given to a group whose last server has not stopped."""

    group: GroupId
    model: ModelId


@dataclass(frozen=True, slots=True, kw_only=True)
class StopServer:
    """Stop the group's server within `grace_s` seconds, then kill it. Given again: the earlier deadline stands."""

    group: GroupId
    model: ModelId
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantSeat:
    """The ticket's model is loaded and a seat is its own: serve it."""

    ticket: TicketId
    group: GroupId
    model: ModelId


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseTicket:
    """The ticket will not be served; it was not granted a seat."""

    ticket: TicketId
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSeat:
    """Stop serving the ticket: its seat was granted and is gone."""

    ticket: TicketId
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmUnload:
    """Tell the asker that nothing is left of the servers it wanted gone."""

    asker: AskerId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTransition:
    """Log that a group's machine changed its state, and why."""

    group: GroupId
    model: ModelId
    source: str
    target: str
    signal: str
    """What the machine was told, in the words of `group.Signal`."""
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBypass:
    """Log that a ticket did not wait for a hold."""

    ticket: TicketId
    model: ModelId
    victim: ModelId
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPreload:
    """Log that a preload was not made, and why."""

    model: ModelId
    cause: str


Effect = (
    StartServer
    | StopServer
    | GrantSeat
    | RefuseTicket
    | CutSeat
    | ConfirmUnload
    | ReportTransition
    | ReportBypass
    | ReportPreload
)
