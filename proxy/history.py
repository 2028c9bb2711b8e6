"""What happened lately, for people: the last changes of model, and how many requests ended how.

Derived from what the core is told and what it says, so the core needs no memory for it. A swap is written down when
its first step begins and filled in as it goes on, so what is under way can be seen too. Only the last ones are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from states.effects import CutSeat, Effect, RefuseTicket, ReportTransition
from states.events import Event, TicketLeft, TicketServed
from states.group import GroupState, Signal
from states.settings import GroupId, ModelId

_SWAPS_KEPT: Final = 20
"""More than fit on a screen beside the queue; about 4 KB of JSON."""


class Outcome(Enum):
    """How far a swap has come, or how it ended."""

    UNLOADING = "unloading"
    UNLOADED = "unloaded"
    """Nothing was loaded in its place."""
    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"
    """The model that was to come could not be loaded."""
    ABANDONED = "abandoned"
    """The load was stopped before it was ready: another model was to come, or an unload was asked."""


@dataclass(slots=True, kw_only=True)
class Swap:
    """One change of a group's model: one goes, or one comes, or both."""

    at: float
    """When it began, on the core's clock."""
    group: GroupId
    model_out: ModelId | None
    """Who was unloaded; None: the group was empty."""
    model_in: ModelId | None
    """Whose server was started; None: nobody's, or not yet."""
    cause: str
    """Who asked for it, as the log says it."""
    outcome: Outcome
    since: float
    """When its present step began."""
    stop_s: float | None = None
    load_s: float | None = None
    """Until the server was ready, or until it was given up."""


@dataclass(slots=True)
class Counts:
    """Since the proxy was started."""

    served: int = 0
    refused: int = 0
    """Before they had a seat that they could use."""
    cut_off: int = 0
    """While they were being served."""
    left: int = 0
    """The client went away, or the server broke its answer off."""
    loads: int = 0
    """Servers that were started."""
    swaps: int = 0
    """Models that were unloaded because another needed their place."""


class History:
    """Watches what goes into the core and what comes out."""

    def __init__(self, now: float) -> None:
        """Nothing has happened yet."""
        self.began_at: Final = now
        self.counts: Final = Counts()
        self.swaps: Final[deque[Swap]] = deque(maxlen=_SWAPS_KEPT)
        """Newest first."""
        self._under_way: dict[GroupId, Swap] = {}

    def note(self, event: Event, effects: Sequence[Effect], now: float) -> None:
        """Take down what followed from an event at `now`, on the core's clock."""
        turned_away = set()
        for effect in effects:
            if isinstance(effect, ReportTransition):
                self._move(effect, now)
            elif isinstance(effect, RefuseTicket):
                self.counts.refused += 1
                turned_away.add(effect.ticket)
            elif isinstance(effect, CutSeat):
                self.counts.cut_off += 1
                turned_away.add(effect.ticket)
        # A deadline may have fallen on the very moment in which a request ended by itself: it is counted once.
        if isinstance(event, TicketServed | TicketLeft) and event.ticket not in turned_away:
            if isinstance(event, TicketServed):
                self.counts.served += 1
            else:
                self.counts.left += 1

    def _move(self, report: ReportTransition, now: float) -> None:
        """Take a swap, if this is a step of one, from its last step to its next."""
        swap = self._under_way.pop(report.group, None)
        if swap is not None:
            _end_step(swap, report, now)
        if report.target == GroupState.UNLOADING.value:
            self.counts.swaps += report.signal == Signal.EVICTED.value
            self._begin(report, now, Outcome.UNLOADING, model_out=report.model)
        elif report.target == GroupState.LOADING.value:
            self.counts.loads += 1
            if swap is None:
                self._begin(report, now, Outcome.LOADING, model_in=report.model)
            else:
                swap.model_in, swap.outcome, swap.since = report.model, Outcome.LOADING, now
                self._under_way[report.group] = swap

    def _begin(
        self,
        report: ReportTransition,
        now: float,
        outcome: Outcome,
        *,
        model_out: ModelId | None = None,
        model_in: ModelId | None = None,
    ) -> None:
        swap = Swap(
            at=now,
            group=report.group,
            model_out=model_out,
            model_in=model_in,
            cause=report.cause,
            outcome=outcome,
            since=now,
        )
        self._under_way[report.group] = swap
        self.swaps.appendleft(swap)


def _end_step(swap: Swap, report: ReportTransition, now: float) -> None:
    """Its server has stopped, or is ready, or never will be; what follows an unload is not known yet."""
    took_s = now - swap.since
    if swap.outcome is Outcome.UNLOADING:
        swap.stop_s, swap.outcome = took_s, Outcome.UNLOADED
        return
    swap.load_s = took_s
    if report.target != GroupState.UNLOADING.value:
        swap.outcome = Outcome.LOADED
    else:
        swap.outcome = Outcome.FAILED if report.signal == Signal.FAILED.value else Outcome.ABANDONED
