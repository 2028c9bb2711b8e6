"""Two simple schedulers to compare the core with, for simulations only: what others do, not what this proxy does.

Each is a model of a published rule, and of nothing else of the program that it comes from. Neither knows unload delays,
preloads, `ttl`, failures or a shutdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf
from typing import Final

from .effects import Effect, GrantSeat, Refusal, RefusalCode, RefuseTicket, StartServer, StopServer
from .errors import CoreError
from .events import Event, ServerReady, ServerStopped, TicketArrived, TicketLeft, TicketServed, TimePassed
from .residency import policy_of
from .settings import GroupId, ModelId, Settings, TicketId


@dataclass(slots=True)
class _Swap:
    """A load under way, and who will be served when it is done."""

    evicted: tuple[ModelId, ...]
    stopping: set[ModelId]
    passengers: list[TicketId]


class CollatingQueue:
    """The rule of llama-swap's scheduler (version of August 2026), a collating queue.

    A request for a model that is loaded is served at once, whoever waits. One for a model that is being loaded joins
    that load. Any other starts a swap, unless it would stop a model that serves or is in the way of another swap: then
    it queues, by priority and arrival. The queue is walked whenever a swap is done or a model serves nobody any more.
    Requests beyond a model's `concurrency`, waiting ones counted, are refused.
    """

    def __init__(self, settings: Settings) -> None:
        """Start with nothing loaded and nobody waiting."""
        self._settings = settings
        self._residency = policy_of(settings)
        self._model_in: dict[GroupId, ModelId] = {}
        """Whose server exists."""
        self._ready: set[ModelId] = set()
        self._swaps: dict[ModelId, _Swap] = {}
        self._queue: list[TicketId] = []
        self._wanted: dict[TicketId, ModelId] = {}
        """Everybody who was not refused and has not ended."""
        self._serving: dict[ModelId, set[TicketId]] = {model: set() for model in settings.models}
        self._admitted: dict[ModelId, int] = dict.fromkeys(settings.models, 0)
        self._effects: list[Effect] = []

    def next_deadline(self) -> float:
        """It has no timers."""
        return inf

    def handle(self, event: Event, now: float) -> list[Effect]:  # noqa: ARG002 (time plays no part)
        """Take an event into account and say what is to be done.

        Raises:
            CoreError: the event is none that simulations have.
        """
        match event:
            case TicketArrived(ticket=ticket, model=model):
                self._arrive(ticket, model)
            case TicketServed(ticket=ticket) | TicketLeft(ticket=ticket):
                self._end(ticket)
            case ServerReady(group=group):
                self._done(self._model_in[group])
            case ServerStopped(group=group):
                self._stopped(self._model_in.pop(group))
            case TimePassed():
                pass
            case _:
                raise CoreError(f"a yardstick knows no {type(event).__name__}")
        effects, self._effects = self._effects, []
        return effects

    def _arrive(self, ticket: TicketId, model: ModelId) -> None:
        limit = self._settings.models[model].concurrency
        if self._admitted[model] >= limit:
            refusal = Refusal(code=RefusalCode.QUEUE_FULL, message=f"{model} has {limit} requests", retry_after_s=1.0)
            self._effects.append(RefuseTicket(ticket=ticket, refusal=refusal))
            return
        self._admitted[model] += 1
        self._wanted[ticket] = model
        if not self._go(ticket, model):
            self._queue.append(ticket)
            self._queue.sort(key=lambda each: -self._settings.models[self._wanted[each]].priority)  # it is stable

    def _go(self, ticket: TicketId, model: ModelId) -> bool:
        """Serve a ticket, or have its model loaded for it; False: it has to queue."""
        if model in self._swaps:
            self._swaps[model].passengers.append(ticket)
            return True
        running = sorted({*self._model_in.values(), *self._swaps})
        evicted = self._residency.victims(model, running)
        if self._collides(model, evicted):
            return False
        if model in self._ready and not evicted:
            self._grant(ticket, model)
            return True
        if any(self._serving[victim] for victim in evicted):
            return False
        self._swaps[model] = _Swap(evicted, set(evicted), [ticket])
        self._ready.difference_update(evicted)
        for victim in evicted:
            group = self._residency.group_of[victim]
            self._effects.append(StopServer(group=group, model=victim, grace_s=0.0))
        self._start_when_clear(model)
        return True

    def _collides(self, model: ModelId, evicted: tuple[ModelId, ...]) -> bool:
        return any(
            target in evicted or model in swap.evicted or not set(evicted).isdisjoint(swap.evicted)
            for target, swap in self._swaps.items()
        )

    def _start_when_clear(self, model: ModelId) -> None:
        if not self._swaps[model].stopping:
            group = self._residency.group_of[model]
            self._model_in[group] = model
            self._effects.append(StartServer(group=group, model=model))

    def _stopped(self, gone: ModelId) -> None:
        for model, swap in self._swaps.items():
            if gone in swap.stopping:
                swap.stopping.remove(gone)
                self._start_when_clear(model)

    def _done(self, model: ModelId) -> None:
        self._ready.add(model)
        for ticket in self._swaps.pop(model).passengers:
            self._grant(ticket, model)
        self._walk()

    def _grant(self, ticket: TicketId, model: ModelId) -> None:
        self._serving[model].add(ticket)
        self._effects.append(GrantSeat(ticket=ticket, group=self._residency.group_of[model], model=model))

    def _end(self, ticket: TicketId) -> None:
        model = self._wanted.pop(ticket)
        self._admitted[model] -= 1
        if ticket in self._serving[model]:
            self._serving[model].remove(ticket)
            if not self._serving[model]:
                self._walk()
        elif ticket in self._queue:
            self._queue.remove(ticket)
        else:  # a load goes on although nobody waits for it any more
            self._swaps[model].passengers.remove(ticket)

    def _walk(self) -> None:
        self._queue = [ticket for ticket in self._queue if not self._go(ticket, self._wanted[ticket])]


class DrainFirst:
    """The rule that did best in llmux's published measurements (version 0.3.1, "TimeSlice"), which it gave up later.

    The loaded model serves whatever comes for it. Twice a second, if it has been loaded for `MIN_ACTIVE_S` and nobody
    wants it or is served by it, the model that most wait for takes its place. A request that arrives where another has
    waited for `STALE_S` starts a swap at once: those in flight may finish, new ones wait. One model at a time, whatever
    groups are configured.
    """

    TICK_S: Final = 0.5
    MIN_ACTIVE_S: Final = 5.0
    STALE_S: Final = 15.0

    def __init__(self, settings: Settings) -> None:
        """Start with nothing loaded and nobody waiting."""
        self._settings = settings
        self._group_of = policy_of(settings).group_of
        self._active: ModelId | None = None
        """Whose server exists: it loads, serves, or stops."""
        self._next: ModelId | None = None
        """What will be loaded when the active one has stopped; nobody is seated any more."""
        self._active_since = inf
        """inf: not loaded."""
        self._lines: dict[ModelId, dict[TicketId, float]] = {model: {} for model in settings.models}
        """Who waits, and since when, in order of arrival."""
        self._serving: set[TicketId] = set()
        self._clock = 0.0
        self._effects: list[Effect] = []

    def next_deadline(self) -> float:
        """The next tick, where somebody waits for another model than the one that is loaded."""
        rivals = any(line for model, line in self._lines.items() if model != self._active)
        if not rivals or self._next is not None or self._active_since == inf:
            return inf
        earliest = max(self._clock, self._active_since + self.MIN_ACTIVE_S - self.TICK_S)
        return (floor(earliest / self.TICK_S) + 1) * self.TICK_S

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take an event into account and say what is to be done.

        Raises:
            CoreError: the event is none that simulations have.
        """
        self._clock = now
        match event:
            case TicketArrived(ticket=ticket, model=model):
                self._arrive(ticket, model)
            case TicketServed(ticket=ticket) | TicketLeft(ticket=ticket):
                self._serving.discard(ticket)
                for line in self._lines.values():
                    line.pop(ticket, None)
            case ServerReady():
                self._active_since = now
            case ServerStopped():
                self._active, self._next = self._next, None
                self._start()
            case TimePassed():
                self._tick()
            case _:
                raise CoreError(f"a yardstick knows no {type(event).__name__}")
        self._settle()
        effects, self._effects = self._effects, []
        return effects

    def _arrive(self, ticket: TicketId, model: ModelId) -> None:
        self._lines[model][ticket] = self._clock
        if self._active is None:
            self._active = model
            self._start()
        elif model != self._active and self._next is None:
            oldest = next(iter(self._lines[model].values()))
            if self._clock - oldest >= self.STALE_S:
                self._next = model

    def _tick(self) -> None:
        if self._active is None or self._lines[self._active] or self._serving:
            return
        longest = max(self._lines, key=lambda model: len(self._lines[model]))
        if self._lines[longest]:
            self._next = longest

    def _settle(self) -> None:
        active = self._active
        if active is None or self._active_since == inf:
            return
        line, seats = self._lines[active], self._settings.models[active].concurrency
        while self._next is None and line and len(self._serving) < seats:
            ticket = next(iter(line))
            del line[ticket]
            self._serving.add(ticket)
            self._effects.append(GrantSeat(ticket=ticket, group=self._group_of[active], model=active))
        if self._next is not None and not self._serving:
            self._active_since = inf
            self._effects.append(StopServer(group=self._group_of[active], model=active, grace_s=0.0))

    def _start(self) -> None:
        if self._active is not None:
            self._effects.append(StartServer(group=self._group_of[self._active], model=self._active))
