"""What `GET /api/queue` answers: `status` fills these in, `trio-swap top` reads them, docs/api.md describes them.

Times are seconds and always distances: from now back, from now on, or how long something took.
"""

from __future__ import annotations

from msgspec import Struct


class GroupAnswer(Struct, frozen=True, kw_only=True):
    """A process group; `states.views.GroupView` says what the fields mean."""

    group: str
    state: str
    model: str | None
    next_model: str | None
    seats_taken: int
    concurrency: int
    hold_s: float | None


class TicketAnswer(Struct, frozen=True, kw_only=True):
    """A ticket that waits; `states.views.TicketView` says what the fields mean."""

    ticket: int
    model: str
    priority: int
    age_s: float
    overdue: bool
    seated: bool
    why: str
    reason: dict[str, object] | None
    """`kind` and the fields of one of the reasons in `states.reasons`."""


class SwapAnswer(Struct, frozen=True, kw_only=True):
    """A change of a group's model; `history.Swap` says what the fields mean."""

    age_s: float
    group: str
    model_out: str | None
    model_in: str | None
    cause: str
    outcome: str
    stop_s: float | None
    load_s: float | None


class CountsAnswer(Struct, frozen=True, kw_only=True):
    """How often what happened; `history.Counts` says what the fields mean."""

    served: int
    refused: int
    cut_off: int
    left: int
    loads: int
    swaps: int


class QueueAnswer(Struct, frozen=True, kw_only=True):
    """The whole answer."""

    groups: list[GroupAnswer]
    waiting: list[TicketAnswer]
    """In order of arrival."""
    swaps: list[SwapAnswer]
    """The last ones, newest first."""
    counts: CountsAnswer
    strategy: str
    uptime_s: float
    shutting_down: bool
