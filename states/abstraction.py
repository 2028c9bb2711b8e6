"""What a state is to exploration: the records of a core as a few bytes, and read again; `restoring` puts them back.

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

from .frames import NONE, PASSED, RUNS, SLOTS, Frame, GroupFrame, Place
from .group import LOADED, Group, GroupState, Pressure
from .residency import policy_of
from .settings import GroupId, ModelId, Settings, Strategy, TicketId
from .small_world import SmallWorld, Wish
from .waiting import Ticket
from .world import World

_STATES: Final = tuple(GroupState)
_PRESSURES: Final = tuple(Pressure)
_CLOSING: Final = 4
"""More than there are pressures."""
_BY_ARRIVAL: Final = attrgetter("number")
_NOBODY_THERE: Final = (_STATES.index(GroupState.IDLE), 0, 0, 0, _PRESSURES.index(Pressure.NONE), 1)
"""Of a group that has no record."""


class Abstraction:
    """Writes the states of one small world down, and puts them back."""

    def __init__(self, scene: SmallWorld, *in_force: Settings) -> None:
        """Prepare.

        Args:
            scene: whose crowds and operations these are.
            in_force: its settings, and those that they are changed to, if they are: the very objects that the cores
                have, and hear of. To put states back, their times must be those of `small_world.all_in_order`.
        """
        self.scene = scene
        self.in_force = in_force
        self.policies = tuple(policy_of(settings) for settings in in_force)
        self.models: tuple[ModelId, ...] = tuple(in_force[0].models)
        homes = (policy.group_of[model] for policy in self.policies for model in self.models)
        self.groups: tuple[GroupId, ...] = tuple(dict.fromkeys(homes))
        self._number_of_model = {model: number for number, model in enumerate(self.models)}
        self._number_of_group = {group: number for number, group in enumerate(self.groups)}
        counts = in_force[0].strategy is Strategy.FIFO_PLUS
        self.idle_phases: list[tuple[float, ...]] = []
        """Of each model: how long after its last seat something changes."""
        self.min_loaded_s: list[float] = []
        """Of each model; 0 where it plays no part."""
        for model in self.models:
            chosen = [settings.models[model] for settings in in_force]
            delays = [each.unload_delay_s for each in chosen] if counts else []
            self.idle_phases.append(_phases(*delays, *(each.ttl_s for each in chosen)))
            plays_a_part = counts or any(each.ttl_s > 0 for each in chosen)
            self.min_loaded_s.append(chosen[0].min_loaded_s if plays_a_part else 0.0)
        self._crowds = len(scene.crowds)
        self._operations = len(scene.operations)
        self._keeping = [
            self._crowds + number
            for number, operation in enumerate(scene.operations)
            if operation.wish in (Wish.UNLOAD_KEEPING, Wish.CHANGE)
        ]

    def which(self, settings: Settings) -> int:
        """The place of settings among those that come into force; others may say the same."""
        return 0 if settings is self.in_force[0] else len(self.in_force) - 1

    def home(self, frame: Frame, model: ModelId) -> GroupId:
        """The process group on whose record a model is: its old one's, until what leaves it has gone."""
        changed = frame.settings is not self.in_force[0]
        return self.policies[changed and model not in frame.leaving].group_of[model]

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
        out.append(world.shutting_down + 2 * self.which(world.settings))
        out.append(self._mask(world.leaving))
        out.append(len(world.preloads))
        out += bytes(self._number_of_model[model] for model in world.preloads)
        out.append(len(world.unloads))
        out += bytes(sorted(self._mask(models) for models in world.unloads.values()))
        for name in self.groups:
            group = world.groups.get(name)
            out.extend(_NOBODY_THERE if group is None else self._write_group(world, group))
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
        shutting_down = next(rest)
        leaving = self._models_in(next(rest))
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
            shutting_down=bool(shutting_down % 2),
            settings=self.in_force[shutting_down // 2],
            leaving=leaving,
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


def _phases(*delays: float) -> tuple[float, ...]:
    return tuple(sorted({delay for delay in delays if delay > 0}))


def _in_place(lines: list[Ticket], passengers: list[Ticket], *, tracked: bool) -> list[Ticket]:
    if tracked:
        return sorted((*lines, *passengers), key=_BY_ARRIVAL)
    return [*sorted(lines, key=_BY_ARRIVAL), *sorted(passengers, key=lambda ticket: ticket.id // SLOTS)]


def _take(numbers: Iterator[int], many: int) -> list[int]:
    return list(islice(numbers, many))
