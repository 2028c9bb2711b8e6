"""What operators and clients may see of models and of the queue, as JSON values; never a command line."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from states.group import GroupState
from states.reasons import Held, Loading, Reason
from states.views import GroupView, Snapshot, TicketView

from .config import Config, ModelConfig

_STARTED: Final = int(time.time())
"""Model lists want to know when a model was made; all that is known is since when it is served here."""

_RUNNING_STATES: Final = {
    GroupState.LOADING: "starting",
    GroupState.ACTIVE: "ready",
    GroupState.DRAINING: "ready",
    GroupState.DEBOUNCE: "ready",
    GroupState.UNLOADING: "stopping",
}
"""In the words that llama-swap's clients know."""


def model_list(config: Config) -> dict[str, object]:
    """Every listed model, for clients of OpenAI and of Anthropic alike."""
    entries = [model_entry(model) for model in config.models.values() if not model.unlisted]
    ids = [str(entry["id"]) for entry in entries]
    return {
        "object": "list",
        "data": entries,
        "has_more": False,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }


def model_entry(model: ModelConfig) -> dict[str, object]:
    """One model, for clients of OpenAI and of Anthropic alike."""
    entry: dict[str, object] = {
        "id": model.id,
        "object": "model",
        "created": _STARTED,
        "owned_by": "trio-swap",
        "type": "model",
        "display_name": model.name or model.id,
        "created_at": datetime.fromtimestamp(_STARTED, UTC).isoformat().replace("+00:00", "Z"),
    }
    if model.name:
        entry["name"] = model.name
    if model.description:
        entry["description"] = model.description
    return entry


def running_view(snapshot: Snapshot) -> dict[str, object]:
    """The models whose server exists."""
    groups = (group for group in snapshot.groups if group.model is not None)
    return {"running": [{"model": group.model, "state": _RUNNING_STATES[group.state]} for group in groups]}


def queue_view(snapshot: Snapshot) -> dict[str, object]:
    """Every group, and every ticket that waits, with its reason. Times are seconds."""
    return {
        "groups": [_group(group) for group in snapshot.groups],
        "waiting": [_ticket(ticket, snapshot.at) for ticket in snapshot.queue],
        "shutting_down": snapshot.shutting_down,
    }


def _group(group: GroupView) -> dict[str, object]:
    return {
        "group": group.id,
        "state": group.state.value,
        "model": group.model,
        "next_model": group.next_model,
        "seats_taken": group.seats_taken,
        "concurrency": group.concurrency,
        "hold_s": None if group.hold_s is None else round(group.hold_s, 3),
    }


def _ticket(ticket: TicketView, at: float) -> dict[str, object]:
    return {
        "ticket": ticket.id,
        "model": ticket.model,
        "priority": ticket.priority,
        "age_s": round(ticket.age_s, 3),
        "overdue": ticket.overdue,
        "seated": ticket.seated,
        "why": ticket.why,
        "reason": None if ticket.reason is None else _reason(ticket.reason, at),
    }


def _reason(reason: Reason, at: float) -> dict[str, object]:
    """The fields of a reason; times on the core's clock mean nothing elsewhere and become distances."""
    match reason:
        case Held(victim=victim, until=until):
            return {"kind": "Held", "victim": victim, "remaining_s": round(until - at, 3)}
        case Loading(model=model, since=since, expected_s=expected):
            return {"kind": "Loading", "model": model, "elapsed_s": round(at - since, 3), "expected_s": expected}
        case _:
            return {"kind": type(reason).__name__, **asdict(reason)}
