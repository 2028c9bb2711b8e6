"""What operators and clients may see of servers and of the queue, as JSON values; never a command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final, overload

from states.group import GroupState
from states.reasons import Held, Loading, Reason
from states.settings import Strategy
from states.views import GroupView, Snapshot, TicketView

from .answers import CountsAnswer, GroupAnswer, QueueAnswer, SwapAnswer, TicketAnswer
from .config import Config
from .history import History, Swap
from .reload import Reloaded

_RUNNING_STATES: Final = {
    GroupState.LOADING: "starting",
    GroupState.ACTIVE: "ready",
    GroupState.DRAINING: "ready",
    GroupState.DEBOUNCE: "ready",
    GroupState.UNLOADING: "stopping",
}
"""In the words that llama-swap's clients know."""


def reload_view(outcome: Reloaded, now: float) -> dict[str, object]:
    """How a reload went; `now` on the clock of `outcome.at`."""
    found = outcome.differences
    changes = {} if found is None else asdict(found)
    return {"ok": found is not None, "age_s": round(now - outcome.at, 3), "cause": outcome.cause, **changes} | {
        "report": outcome.report
    }


def profiles_view(config: Config, active: str | None) -> dict[str, object]:
    """Every profile, and which is the active one."""
    profiles = [
        {"id": profile.id, "description": profile.description, "pins": dict(profile.pins)}
        for profile in sorted(config.profiles.values(), key=lambda profile: profile.id)
    ]
    return {"active": active, "profiles": profiles}


def running_view(snapshot: Snapshot) -> dict[str, object]:
    """The models whose server exists."""
    groups = (group for group in snapshot.groups if group.model is not None)
    return {"running": [{"model": group.model, "state": _RUNNING_STATES[group.state]} for group in groups]}


def queue_view(snapshot: Snapshot, history: History, strategy: Strategy) -> QueueAnswer:
    """Every group, every ticket that waits with its reason, and what happened lately."""
    return QueueAnswer(
        groups=[_group(group) for group in snapshot.groups],
        waiting=[_ticket(ticket, snapshot.at) for ticket in snapshot.queue],
        swaps=[_swap(swap, snapshot.at) for swap in history.swaps],
        counts=CountsAnswer(**asdict(history.counts)),
        strategy=strategy.value,
        uptime_s=_rounded(snapshot.at - history.began_at),
        shutting_down=snapshot.shutting_down,
    )


def _group(group: GroupView) -> GroupAnswer:
    return GroupAnswer(
        group=group.id,
        state=group.state.value,
        model=group.model,
        next_model=group.next_model,
        seats_taken=group.seats_taken,
        concurrency=group.concurrency,
        hold_s=_rounded(group.hold_s),
    )


def _ticket(ticket: TicketView, at: float) -> TicketAnswer:
    return TicketAnswer(
        ticket=ticket.id,
        model=ticket.model,
        priority=ticket.priority,
        age_s=_rounded(ticket.age_s),
        overdue=ticket.overdue,
        seated=ticket.seated,
        why=ticket.why,
        reason=None if ticket.reason is None else _reason(ticket.reason, at),
    )


def _swap(swap: Swap, at: float) -> SwapAnswer:
    return SwapAnswer(
        age_s=_rounded(at - swap.at),
        group=swap.group,
        model_out=swap.model_out,
        model_in=swap.model_in,
        cause=swap.cause,
        outcome=swap.outcome.value,
        stop_s=_rounded(swap.stop_s),
        load_s=_rounded(swap.load_s),
    )


def _reason(reason: Reason, at: float) -> dict[str, object]:
    """The fields of a reason; times on the core's clock mean nothing elsewhere and become distances."""
    match reason:
        case Held(victim=victim, until=until):
            return {"kind": "Held", "victim": victim, "remaining_s": _rounded(until - at)}
        case Loading(model=model, since=since, expected_s=expected):
            return {"kind": "Loading", "model": model, "elapsed_s": _rounded(at - since), "expected_s": expected}
        case _:
            return {"kind": type(reason).__name__, **asdict(reason)}


@overload
def _rounded(seconds: float) -> float: ...
@overload
def _rounded(seconds: float | None) -> float | None: ...
def _rounded(seconds: float | None) -> float | None:
    """Milliseconds are enough for whoever reads it."""
    return None if seconds is None else round(seconds, 3)
