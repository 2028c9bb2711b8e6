"""The core in virtual time: servers that load, serve and stop as long as they are told, and clients with scripts.

Deterministic. What falls on one instant happens in this order: what the scheduler's own clock has for it; servers that
have stopped; servers that are ready; answers that are complete; clients that lose patience; clients' next steps; and
within each of these in the order in which it was planned. A client that was answered takes its next step when the
scheduler has heard of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from typing import Protocol, assert_never

from .clients import Ask, Client, Fate, Join, Launch, Pause, Send
from .effects import CutSeat, Effect, GrantSeat, RefuseTicket, StartServer, StopServer
from .errors import CoreError
from .events import Event, ServerReady, ServerStopped, TicketArrived, TicketLeft, TicketServed, TimePassed
from .settings import GroupId, ModelId, TicketId

_STOPPED, _READY, _ANSWERED, _IMPATIENT, _ACTS = range(5)


class Scheduler(Protocol):
    """What is simulated: `Core`, or something to compare it with."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take an event into account and say what is to be done; see `Core.handle`."""

    def next_deadline(self) -> float:
        """When time alone changes something next; inf: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long something takes, in seconds."""

    usual_s: float
    of: Mapping[ModelId, float] = field(default_factory=dict)
    between: Mapping[tuple[ModelId, ModelId], float] = field(default_factory=dict)
    """Where it depends on the model whose server was there before: (before, model)."""

    def of_model(self, model: ModelId, before: ModelId | None = None) -> float:
        """Seconds for `model`; `before` is the last model in its place, None: the first one."""
        if before is not None and (before, model) in self.between:
            return self.between[before, model]
        return self.of.get(model, self.usual_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """How long servers take. A seat is as fast as if the others were empty."""

    load: Durations = Durations(usual_s=10.0)
    stop: Durations = Durations(usual_s=1.0)
    service: Durations = Durations(usual_s=4.0)
    """Of a request that does not say itself."""


@dataclass(slots=True, kw_only=True)
class Request:
    """What became of one request. Times are seconds on the simulation's clock."""

    number: int
    client: str
    model: ModelId
    service_s: float
    arrived_at: float
    answers: frozenset[int]
    """The requests that had to be answered before it could be sent."""
    seated_at: float | None = None
    ended_at: float = inf
    """inf: it was still waiting, or being served, when the simulation was ended."""
    fate: Fate | None = None

    @property
    def wait_s(self) -> float:
        """From its arrival until it was served, or until it ended without."""
        return (self.ended_at if self.seated_at is None else self.seated_at) - self.arrived_at


@dataclass(slots=True, kw_only=True)
class Visit:
    """A model's server, from its start until nothing was left of it; inf: that was not seen."""

    model: ModelId
    group: GroupId
    started_at: float
    ready_at: float = inf
    stop_at: float = inf
    """When it was told to stop."""
    stopped_at: float = inf


@dataclass(slots=True)
class Record:
    """What happened in a simulation."""

    requests: list[Request] = field(default_factory=list)
    """By number."""
    visits: list[Visit] = field(default_factory=list)
    """By start."""
    ended_at: float = 0.0
    """When the last request ended, or when the simulation was ended."""

    @property
    def loads(self) -> list[ModelId]:
        """The models that were loaded, in order."""
        return [visit.model for visit in self.visits]


_Planned = tuple[float, int, int, "Visit | Request | Client"]


class Simulation:
    """One run of clients against a scheduler."""

    def __init__(self, scheduler: Scheduler, servers: Servers) -> None:
        """Begin at second 0, with nothing loaded."""
        self.now = 0.0
        self.record = Record()
        self._scheduler, self._servers = scheduler, servers
        self._agenda: list[_Planned] = []
        self._entries = 0
        self._told = True
        """Whether the scheduler's next deadline may be another than it was."""
        self._here: dict[GroupId, Visit] = {}
        """The server of each process group, the last one where there is none."""
        self._asking: dict[int, Client] = {}
        """By the number of the request that they wait for."""

    def run(self, clients: Iterable[Client], until: float = inf) -> Record:
        """Let the clients start, and play until everybody is done.

        Args:
            clients: whoever starts now.
            until: seconds; the simulation is ended there, whatever is still going on.

        Raises:
            CoreError: somebody waits and nothing more will happen: a bug of the scheduler, or of a script.
        """
        for client in clients:
            self._plan(self.now, _ACTS, client)
        agenda, scheduler, due = self._agenda, self._scheduler, inf
        while True:
            next_time = agenda[0][0] if agenda else inf
            if self._told:
                due, self._told = scheduler.next_deadline(), False
            if min(next_time, due) > until:
                self.now = self.record.ended_at = until
                return self.record
            if due < next_time:
                self.now = due
                self._tell(TimePassed())
            elif agenda:
                self.now, kind, _, subject = heappop(agenda)
                self._happen(kind, subject)
            else:
                break
        self._conclude()
        return self.record

    def _conclude(self) -> None:
        unfinished = [request for request in self.record.requests if request.fate is None]
        if unfinished:
            raise CoreError(f"request {unfinished[0].number} for {unfinished[0].model} waits for ever")
        self.record.ended_at = max((request.ended_at for request in self.record.requests), default=self.now)

    def _plan(self, time: float, kind: int, subject: Visit | Request | Client) -> None:
        self._entries += 1
        heappush(self._agenda, (time, kind, self._entries, subject))

    # What happens

    def _happen(self, kind: int, subject: Visit | Request | Client) -> None:
        match subject:
            case Client():
                self._act(subject, None)
            case Request() if kind == _ACTS:
                self._act(self._asking.pop(subject.number), subject.fate)
            case Request():
                self._answer(subject) if kind == _ANSWERED else self._lose_patience(subject)
            case Visit() if kind == _STOPPED:
                subject.stopped_at = self.now
                self._tell(ServerStopped(group=subject.group))
            case Visit():
                self._get_ready(subject)

    def _answer(self, request: Request) -> None:
        if request.fate is None:  # else its seat was cut
            self._end(request, Fate.SERVED)
            self._tell(TicketServed(ticket=TicketId(request.number)))

    def _lose_patience(self, request: Request) -> None:
        if request.fate is None and request.seated_at is None:
            self._end(request, Fate.GAVE_UP)
            self._tell(TicketLeft(ticket=TicketId(request.number)))

    def _get_ready(self, visit: Visit) -> None:
        if visit.stop_at == inf:  # else it was told to stop while it loaded
            visit.ready_at = self.now
            self._tell(ServerReady(group=visit.group))

    def _tell(self, event: Event) -> None:
        self._told = True
        for effect in self._scheduler.handle(event, self.now):
            match effect:
                case GrantSeat(ticket=ticket):
                    request = self.record.requests[ticket]
                    request.seated_at = self.now
                    self._plan(self.now + request.service_s, _ANSWERED, request)
                case StartServer(group=group, model=model):
                    self._start(group, model)
                case StopServer(group=group):
                    self._stop(self._here[group])
                case RefuseTicket(ticket=ticket) | CutSeat(ticket=ticket):
                    self._end(self.record.requests[ticket], Fate.REFUSED)
                case _:
                    pass

    def _start(self, group: GroupId, model: ModelId) -> None:
        before = self._here[group].model if group in self._here else None
        visit = Visit(model=model, group=group, started_at=self.now)
        self._here[group] = visit
        self.record.visits.append(visit)
        self._plan(self.now + self._servers.load.of_model(model, before), _READY, visit)

    def _stop(self, visit: Visit) -> None:
        if visit.stop_at == inf:
            visit.stop_at = self.now
            self._plan(self.now + self._servers.stop.of_model(visit.model), _STOPPED, visit)

    def _end(self, request: Request, fate: Fate) -> None:
        request.fate, request.ended_at = fate, self.now
        if request.number in self._asking:
            self._plan(self.now, _ACTS, request)

    # Clients

    def _act(self, client: Client, sent: Fate | None) -> None:
        """Let a client go on until it waits for something."""
        while True:
            try:
                step = client.script.send(sent)
            except StopIteration:
                self._finish(client)
                return
            sent = None
            match step:
                case Ask():
                    self._ask(client, step, waits=True)
                    return
                case Send(request=ask):
                    self._ask(client, ask, waits=False)
                case Pause(seconds=seconds):
                    self._plan(self.now + seconds, _ACTS, client)
                    return
                case Launch(clients=others):
                    for other in (*others, client):
                        other.answers = client.answers
                        self._plan(self.now, _ACTS, other)
                    return
                case Join(client=other) if other.done:
                    client.answers |= other.answers
                case Join(client=other):
                    other.awaited_by.append(client)
                    return
                case _:
                    assert_never(step)

    def _ask(self, client: Client, ask: Ask, *, waits: bool) -> None:
        usual = self._servers.service.of_model(ask.model)
        request = Request(
            number=len(self.record.requests),
            client=client.name,
            model=ask.model,
            service_s=usual if ask.service_s is None else ask.service_s,
            arrived_at=self.now,
            answers=client.answers,
        )
        self.record.requests.append(request)
        if waits:
            self._asking[request.number] = client
            client.answers = frozenset((request.number,))
        self._tell(TicketArrived(ticket=TicketId(request.number), model=ask.model))
        if ask.patience_s < inf:
            self._plan(self.now + ask.patience_s, _IMPATIENT, request)

    def _finish(self, client: Client) -> None:
        client.done = True
        for other in client.awaited_by:
            other.answers |= client.answers
            self._plan(self.now, _ACTS, other)
