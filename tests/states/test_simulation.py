"""Virtual time: servers take as long as they are told, ties have an order, and clients do what their scripts say."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from states.clients import Ask, Client, Fate, Join, Launch, Pause, Script, Send, agent, arrivals
from states.core import Core
from states.effects import Effect
from states.errors import CoreError
from states.events import Event
from states.measures import measure, swapping_s
from states.settings import ModelId, ModelSettings, Settings, Strategy
from states.simulation import Durations, Record, Servers, Simulation
from states.timeline import Phase, cells, timeline

A, B = ModelId("a"), ModelId("b")
SERVERS = Servers(load=Durations(usual_s=10.0), stop=Durations(usual_s=1.0), service=Durations(usual_s=4.0))


def settings(strategy: Strategy = Strategy.FIFO_PLUS, **of_a: float) -> Settings:
    return Settings(models={A: ModelSettings(**of_a), B: ModelSettings()}, strategy=strategy)  # type: ignore[arg-type]


def played(*scripts: Script, given: Settings | None = None, servers: Servers = SERVERS, until: float = inf) -> Record:
    clients = [Client(f"client {place}", script) for place, script in enumerate(scripts)]
    return Simulation(Core(given or settings()), servers).run(clients, until)


def test_a_request_waits_for_the_load_and_is_answered_after_its_service() -> None:
    record = played(agent([Ask(A)], 0.0))
    request = record.requests[0]
    assert (request.arrived_at, request.seated_at, request.ended_at, request.fate) == (0.0, 10.0, 14.0, Fate.SERVED)
    assert (record.loads, record.ended_at) == ([A], 14.0)


def test_a_swap_takes_the_stop_and_the_load() -> None:
    record = played(arrivals([(0.0, Ask(A)), (0.5, Ask(B))]))
    assert [request.seated_at for request in record.requests] == [10.0, 14.0 + 1.0 + 10.0]
    assert [(visit.started_at, visit.ready_at, visit.stop_at) for visit in record.visits] == [
        (0.0, 10.0, 14.0), (15.0, 25.0, inf),
    ]  # fmt: skip


def test_a_load_may_depend_on_who_was_there_before() -> None:
    servers = Servers(load=Durations(usual_s=10.0, of={B: 20.0}, between={(A, B): 3.0}), stop=Durations(usual_s=0.0))
    record = played(arrivals([(0.0, Ask(A, service_s=1.0)), (0.0, Ask(B))]), servers=servers)
    assert record.requests[1].seated_at == 10.0 + 1.0 + 3.0
    assert played(agent([Ask(B)], 0.0), servers=servers).requests[0].seated_at == 20.0


def test_an_agent_asks_again_so_long_after_its_answer() -> None:
    record = played(agent([Ask(A)] * 3, 2.5))
    assert [request.arrived_at for request in record.requests] == [0.0, 16.5, 23.0]
    assert [request.answers for request in record.requests] == [frozenset(), {0}, {1}]


def test_a_client_that_loses_patience_is_gone() -> None:
    def hasty() -> Script:
        assert (yield Ask(B, patience_s=5.0)) is Fate.GAVE_UP
        assert (yield Ask(A)) is Fate.SERVED

    record = played(agent([Ask(A, service_s=30.0)], 0.0), hasty())
    assert [request.fate for request in record.requests] == [Fate.SERVED, Fate.GAVE_UP, Fate.SERVED]
    assert record.requests[1].wait_s == 5.0
    assert record.loads == [A]


def test_who_has_a_seat_does_not_lose_patience() -> None:
    """At one instant, a server that is ready comes before a client that has had enough."""
    assert played(agent([Ask(A, service_s=100.0, patience_s=9.9)], 0.0)).requests[0].fate is Fate.GAVE_UP
    assert played(agent([Ask(A, service_s=100.0, patience_s=10.0)], 0.0)).requests[0].fate is Fate.SERVED


def test_who_joins_another_waits_for_its_end_and_owes_it_its_answers() -> None:
    def leader() -> Script:
        helpers = [Client("one", agent([Ask(A)], 0.0)), Client("two", agent([Ask(A, service_s=9.0)], 0.0))]
        yield Launch(helpers)
        for helper in helpers:
            yield Join(helper)
        yield Ask(A)

    record = played(leader())
    assert record.requests[2].arrived_at == 19.0
    assert record.requests[2].answers == {0, 1}


def test_sending_does_not_wait() -> None:
    def sender() -> Script:
        yield Send(Ask(A))
        yield Pause(0.5)
        yield Send(Ask(A))

    assert [request.arrived_at for request in played(sender()).requests] == [0.0, 0.5]


@pytest.mark.parametrize(("gap_s", "loads"), [(0.9, [A, B]), (1.0, [A, B, A])])
def test_at_one_instant_the_schedulers_clock_comes_first(gap_s: float, loads: list[ModelId]) -> None:
    """A hold that ends when the next request is sent has ended before it is sent."""
    record = played(agent([Ask(A)] * 2, gap_s), arrivals([(0.5, Ask(B))]), given=settings(unload_delay_s=1.0))
    assert record.loads == loads


def test_at_one_instant_answers_come_before_arrivals() -> None:
    """B's answer and A's arrival at second 14: A finds B without work, so its swap begins at once."""
    record = played(agent([Ask(B)], 0.0), arrivals([(14.0, Ask(A))]))
    assert record.visits[0].stop_at == 14.0


def test_the_end_of_a_simulation_cuts_everything_off() -> None:
    record = played(agent([Ask(A)] * 100, 0.0), until=30.0)
    assert record.ended_at == 30.0
    assert record.requests[-1].fate is None
    assert measure(record, [A, B], {A: 5.0, B: 5.0}).starved == 1


def test_a_scheduler_that_forgets_somebody_is_found_out() -> None:
    class Deaf:
        def handle(self, event: Event, now: float) -> list[Effect]:  # noqa: ARG002
            return []

        def next_deadline(self) -> float:
            return inf

    with pytest.raises(CoreError, match="request 0 for a waits for ever"):
        Simulation(Deaf(), SERVERS).run([Client("one", agent([Ask(A)], 0.0))])


def test_figures_are_those_of_the_record() -> None:
    found = measure(played(arrivals([(0.0, Ask(A)), (0.5, Ask(B))])), [A, B], {A: 20.0, B: 20.0})
    assert found.loads == (A, B)
    assert found.makespan_s == 29.0
    assert found.swapping == pytest.approx(21.0 / 29.0)
    assert (found.waits[A].mean_s, found.waits[B].worst_s, found.all_waits.mean_s) == (10.0, 24.5, 17.25)
    assert (found.starved, found.gave_up, found.refused) == (1, 0, 0)


def test_time_in_which_two_servers_load_counts_once() -> None:
    given = Settings(models={A: ModelSettings(), B: ModelSettings()}, groups={})
    record = played(arrivals([(0.0, Ask(A))]), given=given)
    record.visits.append(record.visits[0])
    assert swapping_s(record) == 10.0


def test_a_timeline_says_what_a_server_did_and_who_waited() -> None:
    given = settings(unload_delay_s=3.0)
    lane, other = timeline(played(arrivals([(0.0, Ask(A)), (0.5, Ask(B))]), given=given), [A, B]).lanes
    assert [(each.phase, each.start, each.end) for each in lane.segments] == [
        (Phase.LOADING, 0.0, 10.0), (Phase.SERVING, 10.0, 14.0), (Phase.HELD, 14.0, 17.0), (Phase.STOPPING, 17.0, 18.0),
    ]  # fmt: skip
    assert other.waiting[1:] == [(0.5, 1), (28.0, 0)]


def test_cells_show_what_has_most_of_them() -> None:
    lane, other = timeline(played(arrivals([(0.0, Ask(A)), (0.5, Ask(B))])), [A, B]).lanes
    assert cells(lane, 30.0, 3) == [(Phase.LOADING, 1), (None, 0), (None, 0)]
    assert cells(lane, 30.0, 6)[2:4] == [(Phase.SERVING, 0), (None, 0)]
    assert cells(other, 30.0, 3) == [(None, 1), (Phase.LOADING, 1), (Phase.LOADING, 1)]


def test_the_same_clients_make_the_same_record() -> None:
    def once(seed: int) -> list[tuple[float, float]]:
        rng = Random(seed)
        asks = [(rng.random() * 100, Ask(rng.choice((A, B)), service_s=rng.random())) for _ in range(50)]
        record = played(arrivals(sorted(asks, key=lambda each: each[0])))
        return [(request.arrived_at, request.ended_at) for request in record.requests]

    assert once(1) == once(1) != once(2)
