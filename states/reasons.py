"""Why a ticket waits: one answer, as data and as an English sentence, for the API, the log and every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from .settings import ModelId, TicketId


@dataclass(frozen=True, slots=True, kw_only=True)
class Outranked:
    """Another ticket goes first, and both cannot be served at once."""

    by: TicketId
    model: ModelId
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A model that must leave still serves."""

    victim: ModelId
    seats_taken: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A model that must leave is held, until `until` (the core's clock, seconds)."""

    victim: ModelId
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """A server in the way is being stopped."""

    model: ModelId


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatsFull:
    """The model serves as many as it may."""

    model: ModelId
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The ticket's own model was asked to unload and will load again."""

    model: ModelId


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """The ticket has its seat, and its model loads since `since` (the core's clock, seconds)."""

    model: ModelId
    since: float
    expected_s: float | None


Obstacle = Outranked | InFlight | Held | Stopping
"""What keeps a claim from being committed."""

Reason = Obstacle | SeatsFull | Closing | Loading


def sentence(reason: Reason, now: float) -> str:
    """The reason in English, without a full stop; times relative to `now`."""
    match reason:
        case Outranked(by=by, model=model, because=because):
            return f"ticket {by} for {model} goes first: {because}"
        case InFlight(victim=victim, seats_taken=taken):
            return f"{victim} must leave and still serves {taken} request{'s' if taken > 1 else ''}"
        case Held(victim=victim, until=until):
            return f"{victim} must leave and is held for another {until - now:.1f} s"
        case Stopping(model=model):
            return f"{model} is being unloaded"
        case SeatsFull(model=model, concurrency=seats):
            return f"{model} serves as many requests as it may ({seats})"
        case Closing(model=model):
            return f"{model} was asked to unload, and loads again after that"
        case Loading(model=model, since=since, expected_s=expected):
            usual = "" if expected is None else f", usually {expected:.1f} s"
            return f"{model} has been loading for {now - since:.1f} s{usual}"
        case _:
            assert_never(reason)
