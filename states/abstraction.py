"""What a state is to exploration: the records of a core as a few bytes, and back.

The core compares times with its clock and with each other's order, and does nothing else with them. So of every timer
only this is written down: whether it has run out; and of deadlines that have passed, in which order (equal ones stay
equal). Everything else about time is left open, so that what is explored holds whatever the numbers are: any timer that
runs may be the next to end, but that who came first is overdue first, where `max_wait` is the same or shorter.

Left out, because no rule reads it: estimates, stories, causes, the ages that reasons show, tickets' ids, the order of
dictionaries; how many times in a row a load failed beyond two; the arrival and the deadline of a ticket with a seat,
unless an unload may still put it back into its line. Tickets of one crowd that are served are alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from math import inf
from operator import attrgetter
from typing import Final

from .core import Core
from .events import AskerId
from .frames import INSTANT_S, NONE, PASSED, RUNS, SLOTS, Frame, GroupFrame, Place, Timer, TimerKind
from .group import LOADED, Group, GroupState, Pressure
from .settings import GroupId, ModelId, Settings, Strategy, TicketId
from .small_world import SmallWorld, Wish
from .waiting import Line, Rank, Ticket
from .world import World

_FAR: Final = 1e6
"""When a timer ends that does not end next."""
_LONG_AGO: Final = -1e6

_STATES: Final = tuple(GroupState)
_PRESSURES: Final = tuple(Pressure)
_CLOSING: Final = 4
"""More than there are pressures."""
_BY_ARRIVAL: Final = attrgetter("number")
_NO_RANK: Final = Rank(0, 0.0)


class Abstraction:
    """Writes the states of one small world down, and puts them back."""

    def __init__(self, scene: SmallWorld, settings: Settings) -> None:
        """Prepare.

        Args:
            scene: whose crowds and operations these are.
            settings: with the very times that the cores have; those of `small_world.in_order` to put states back.
        """
        self.scene = scene
        self.settings = settings
        self.models: tuple[ModelId, ...] = tuple(settings.models)
        world = World(settings)
        self.groups: tuple[GroupId, ...] = tuple(world.groups)
        self._number_of_model = {model: number for number, model in enumerate(self.models)}
        self._number_of_group = {group: number for number, group in enumerate(self.groups)}
        self._group_of = [self._number_of_group[world.models[model].group.id] for model in self.models]
        counts = settings.strategy is Strategy.FIFO_PLUS
        chosen = settings.models.values()
        self.idle_phases = [_phases(model.unload_delay_s if counts else 0.0, model.ttl_s) for model in chosen]
        """Of each model: how long after its last seat something changes."""
        self.min_loaded_s = [model.min_loaded_s if counts or model.ttl_s > 0 else 0.0 for model in chosen]
        """Of each model; 0 where it plays no part."""
        self._crowds = len(scene.crowds)
        self._operations = len(scene.operations)
        self._keeping = [
            self._crowds + number
            for number, operation in enumerate(scene.operations)
            if operation.wish is Wish.UNLOAD_KEEPING
        ]

    # What is not the core's

    def beyond_at_first(self) -> bytes:
        """Everybody is still to come, and nothing was asked for yet."""
        sizes = [crowd.size for crowd in self.scene.crowds]
        return bytes([*sizes, *(operation.times for operation in self.scene.operations), 0])

    def to_come(self, frame: Frame, crowd: int) -> int:
        """How many clients of a crowd may still arrive."""
        return frame.beyond[crowd]

    def left_of(self, frame: Frame, operation: int) -> int:
        """How often an operation may still be asked for."""
        return frame.beyond[self._crowds + operation]

    def one_less(self, beyond: bytes, *, crowd: int | None = None, operation: int | None = None) -> bytes:
        """Take note of an arrival, or of something that was asked for."""
        noted = bytearray(beyond)
        if crowd is not None:
            noted[crowd] -= 1
        if operation is not None:
            noted[self._crowds + operation] -= 1
        return bytes(noted)

    def visited(self, beyond: bytes) -> int:
        """The models that came before whoever is observed, since its deadline: a bit each."""
        return beyond[-1]

    def with_visited(self, beyond: bytes, visited: int) -> bytes:
        """Take note of them."""
        return beyond if beyond[-1] == visited else beyond[:-1] + bytes([visited])

    def serves(self, frame: Frame, model: ModelId) -> bool:
        """Whether somebody has a seat of a model that is loaded."""
        crowds = zip(self.scene.crowds, frame.served, strict=True)
        return any(served and crowd.model == model for crowd, served in crowds)

    def observed_at(self, frame: Frame) -> int:
        """One more than the place of whoever is observed; 0: it does not wait for a seat."""
        places = enumerate(frame.places, 1)
        return next((at for at, place in places if self.scene.crowds[place.crowd].observed and not place.seated), 0)

    def ticket_at(self, frame: Frame, at: int) -> TicketId:
        """What the core calls who stands at a place, once `put_back` has put the state into it."""
        crowd = frame.places[at].crowd
        before = sum(place.crowd == crowd for place in frame.places[:at])
        return TicketId(crowd * SLOTS + frame.served[crowd] + before)

    # From a core

    def write(self, world: World, beyond: bytes) -> bytes:
        """Write the records of a core down, as they are at its clock, between two events."""
        out = bytearray(beyond)
        out.append(world.shutting_down)
        out.append(len(world.preloads))
        out += bytes(self._number_of_model[model] for model in world.preloads)
        out.append(len(world.unloads))
        out += bytes(sorted(self._mask(models) for models in world.unloads.values()))
        for group in world.groups.values():
            out.extend(self._write_group(world, group))
        served = [0] * self._crowds
        lines: list[Ticket] = []
        passengers: list[Ticket] = []
        for model in world.models.values():
            out.append(2 * min(model.failures, 2) + (model.paused_until > world.clock))
            lines.extend(ticket for _, _, ticket in model.line.ranked)
            for ticket in model.seated.values():
                if ticket.granted_at is None:
                    passengers.append(ticket)
                else:
                    served[ticket.id // SLOTS] += 1
        out += bytes(served)
        tracked = any(beyond[number] for number in self._keeping)
        out += self._write_places(world.clock, lines, passengers, tracked=tracked)
        self._note_who_returns(out, served, lines, passengers)
        return bytes(out)

    def order(self, world: World, beyond: bytes) -> list[TicketId]:
        """The tickets of a core in the order in which `write` writes them, and `put_back` makes them."""
        tickets = list(world.tickets.values())
        served = [ticket for ticket in tickets if ticket.granted_at is not None]
        lines = [ticket for ticket in tickets if ticket.id not in world.models[ticket.model].seated]
        passengers = [ticket for ticket in tickets if ticket not in served and ticket not in lines]
        tracked = any(beyond[number] for number in self._keeping)
        served.sort(key=lambda ticket: ticket.id // SLOTS)
        return [ticket.id for ticket in (*served, *_in_place(lines, passengers, tracked=tracked))]

    def _write_group(self, world: World, group: Group) -> tuple[int, ...]:
        resident, server = group.resident, group.server
        phase, settled = 0, True
        if server is not None and group.state in LOADED:
            number = self._number_of_model[server]
            settled = group.closing or world.clock - group.loaded_at >= self.min_loaded_s[number]
            if not world.models[server].seated:
                idle_s = world.clock - group.idle_since
                phase = sum(idle_s >= end for end in self.idle_phases[number])
        return (
            _STATES.index(group.state),
            0 if resident is None else self._number_of_model[resident] + 1,
            0 if server is None else self._number_of_model[server] + 1,
            sum(1 << self._number_of_group[other] for other in group.awaiting),
            _PRESSURES.index(group.pressure) + (_CLOSING if group.cut_at < inf else 0),
            2 * phase + settled,
        )

    def _write_places(self, clock: float, lines: list[Ticket], passengers: list[Ticket], *, tracked: bool) -> bytearray:
        out = bytearray()
        relevant = _in_place(lines, passengers, tracked=tracked)
        remembered = [*lines, *passengers] if tracked else lines
        passed = {ticket.deadline for ticket in remembered if ticket.deadline <= clock}
        passed.update(ticket.boost for ticket in remembered if ticket.boost < inf)
        place = {time: PASSED + number for number, time in enumerate(sorted(passed))}
        seated = {ticket.id for ticket in passengers}
        for ticket in relevant:
            crowd, has_seat = ticket.id // SLOTS, ticket.id in seated
            if has_seat and not tracked:
                out += bytes((2 * crowd + 1, NONE, NONE))
            else:
                runs = RUNS if ticket.deadline < inf else NONE
                deadline, boost = place.get(ticket.deadline, runs), place.get(ticket.boost, NONE)
                out += bytes((2 * crowd + has_seat, deadline, boost))
        return out

    def _note_who_returns(self, out: bytearray, served: list[int], *here: list[Ticket]) -> None:
        present = served.copy()
        for tickets in here:
            for ticket in tickets:
                present[ticket.id // SLOTS] += 1
        for number, crowd in enumerate(self.scene.crowds):
            if crowd.returns:
                out[number] = crowd.size - present[number]

    def _mask(self, models: Iterable[ModelId]) -> int:
        return sum(1 << self._number_of_model[model] for model in models)

    # Into a core

    def read(self, state: bytes) -> Frame:
        """Read a state that `write` has written."""
        at = self._crowds + self._operations + 1
        beyond, rest = state[:at], iter(state[at:])
        shutting_down = bool(next(rest))
        preloads = tuple(self.models[number] for number in _take(rest, next(rest)))
        unloads = tuple(self._models_in(mask) for mask in _take(rest, next(rest)))
        groups = [self._read_group(_take(rest, 6)) for _ in self.groups]
        health = _take(rest, len(self.models))
        served = _take(rest, self._crowds)
        places = [
            Place(code // 2, bool(code % 2), deadline, boost)
            for code, deadline, boost in zip(rest, rest, rest, strict=True)
        ]
        return Frame(
            beyond=beyond,
            shutting_down=shutting_down,
            preloads=preloads,
            unloads=unloads,
            groups=groups,
            failures=[code // 2 for code in health],
            paused=[bool(code % 2) for code in health],
            served=served,
            places=places,
        )

    def _read_group(self, codes: list[int]) -> GroupFrame:
        state, resident, server, awaiting, pressure, phases = codes
        return GroupFrame(
            state=_STATES[state],
            resident=self.models[resident - 1] if resident else None,
            server=self.models[server - 1] if server else None,
            awaiting=frozenset(group for number, group in enumerate(self.groups) if awaiting >> number & 1),
            pressure=_PRESSURES[pressure % _CLOSING],
            closing=pressure >= _CLOSING,
            idle_phase=phases // 2,
            settled=bool(phases % 2),
        )

    def _models_in(self, mask: int) -> frozenset[ModelId]:
        return frozenset(model for number, model in enumerate(self.models) if mask >> number & 1)

    def put_back(self, frame: Frame, core: Core, ending: Iterable[Timer] = ()) -> None:
        """Put a state into a core whose settings are ours, at time 0; the timers `ending` end at `INSTANT_S`."""
        world = core.world
        world.clock = 0.0
        world.shutting_down = frame.shutting_down
        world.preloads = list(frame.preloads)
        world.unloads = {AskerId(number): set(models) for number, models in enumerate(frame.unloads)}
        world.residents, world.stopping = {}, {}
        for number, group in enumerate(world.groups.values()):
            self._put_back_group(world, group, frame, number, ending)
        world.waiting, world.tickets = {}, {}
        for number, model in enumerate(world.models.values()):
            model.failures = frame.failures[number]
            ends = (INSTANT_S if Timer(TimerKind.PAUSE, number) in ending else _FAR) if frame.paused[number] else -inf
            model.paused_until = ends
            model.line = Line()
            model.seated = {}
        self._put_back_tickets(world, frame, ending)

    def _put_back_group(self, world: World, group: Group, frame: Frame, number: int, ending: Iterable[Timer]) -> None:
        group.state, group.resident, group.server, awaiting, group.pressure, closing, phase, settled = frame.groups[
            number
        ]
        group.awaiting = set(awaiting)
        group.since = 0.0
        # Whoever reads a time that was not noted when it should have been finds it long over.
        group.idle_since = group.loaded_at = _LONG_AGO
        group.cut_at = inf
        if closing:
            group.cut_at = INSTANT_S if Timer(TimerKind.GRACE, number) in ending else _FAR
        if group.resident is not None:
            world.residents[group.resident] = world.models[group.resident]
        if group.state is GroupState.UNLOADING:
            world.stopping[group.id] = group
        elif group.server is not None and group.state in LOADED:
            model = self._number_of_model[group.server]
            ends, min_loaded_s = self.idle_phases[model], self.min_loaded_s[model]
            if not self.serves(frame, group.server):
                group.idle_since = -ends[phase - 1] if phase else 0.0
            if Timer(TimerKind.IDLE, number) in ending:
                group.idle_since = INSTANT_S - ends[phase]
            group.loaded_at = _LONG_AGO if settled else 0.0
            if Timer(TimerKind.MIN_LOADED, number) in ending:
                group.loaded_at = INSTANT_S - min_loaded_s

    def _put_back_tickets(self, world: World, frame: Frame, ending: Iterable[Timer]) -> None:
        strategy, models, number = self.settings.strategy, world.models, 0
        ids = [crowd * SLOTS for crowd in range(self._crowds)]
        for crowd, many in enumerate(frame.served):
            for _ in range(many):
                ticket = self._ticket(ids, crowd, number, inf)
                ticket.granted_at = 0.0
                world.tickets[ticket.id] = models[ticket.model].seated[ticket.id] = ticket
                number += 1
        for at, (crowd, seated, deadline, boost) in enumerate(frame.places):
            runs = INSTANT_S if Timer(TimerKind.DEADLINE, at) in ending else _FAR
            ends = _LONG_AGO + deadline if deadline >= PASSED else runs if deadline == RUNS else inf
            ticket = self._ticket(ids, crowd, number, ends)
            ticket.boost = _LONG_AGO + boost if boost else inf
            ticket.rank = ticket.rank_at(0.0, strategy)
            world.tickets[ticket.id] = ticket
            number += 1
            model = models[ticket.model]
            model.line.boosted |= boost > 0
            if seated:
                model.seated[ticket.id] = ticket
            else:
                world.waiting[model.id] = model
                model.line.add(ticket, 0.0)
        world.arrivals = number

    def _ticket(self, ids: list[int], crowd: int, number: int, deadline: float) -> Ticket:
        ticket_id = ids[crowd]
        ids[crowd] += 1
        return self.ticket(ticket_id, number, deadline)

    def ticket(self, ticket_id: int, number: int, deadline: float) -> Ticket:
        """A ticket of the crowd that its id says."""
        crowd = self.scene.crowds[ticket_id // SLOTS]
        priority = self.settings.models[crowd.model].priority if crowd.priority is None else crowd.priority
        rank = _NO_RANK
        return Ticket(TicketId(ticket_id), crowd.model, priority, 0.0, number, deadline, rank)


def _phases(*delays: float) -> tuple[float, ...]:
    return tuple(sorted({delay for delay in delays if delay > 0}))


def _in_place(lines: list[Ticket], passengers: list[Ticket], *, tracked: bool) -> list[Ticket]:
    if tracked:
        return sorted((*lines, *passengers), key=_BY_ARRIVAL)
    return [*sorted(lines, key=_BY_ARRIVAL), *sorted(passengers, key=lambda ticket: ticket.id // SLOTS)]


def _take(numbers: Iterator[int], many: int) -> list[int]:
    return list(islice(numbers, many))
