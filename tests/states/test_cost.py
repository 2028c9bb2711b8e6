"""Work per event grows with the number of models that have somebody waiting, not with the length of the queue.

Counted, not timed: every call of a Python function, of a generator, and of a built-in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from states import events as ev
from states.core import Core
from states.settings import GroupId, ModelId, ModelSettings, Settings, Strategy, TicketId

A, B, C = (ModelId(name) for name in "abc")
FEW, MANY = 10, 1000
HOME = GroupId("default")


def crowded(waiting: int, strategy: Strategy) -> Core:
    """`a` is loaded and serves ticket 0; so many wait for each of three models; rivals of `a` do not outrank it."""
    chosen = ModelSettings(concurrency=1, queue_limit=10**6, max_wait_s=1e6)
    core = Core(Settings(models={A: chosen, B: chosen, C: chosen}, strategy=strategy))
    core.handle(ev.TicketArrived(ticket=TicketId(0), model=A), 0.0)
    core.handle(ev.ServerReady(group=HOME), 0.0)
    number = 0
    for _ in range(waiting):
        for model in (A, B, C):
            number += 1
            core.handle(ev.TicketArrived(ticket=TicketId(number), model=model), float(number))
    return core


def calls(work: Callable[[], object]) -> int:
    """How many functions `work` calls."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def arrival(core: Core) -> None:
    core.handle(ev.TicketArrived(ticket=TicketId(10**7), model=B), 1e5)


def seat_passed_on(core: Core) -> None:
    core.handle(ev.TicketServed(ticket=TicketId(0)), 1e5)


def departure(core: Core) -> None:
    core.handle(ev.TicketLeft(ticket=TicketId(2)), 1e5)


def nothing_due(core: Core) -> None:
    core.handle(ev.TimePassed(), 1e5)


def a_look_at_the_clock(core: Core) -> None:
    core.next_deadline()


def swap(core: Core) -> None:
    """An important `b` waits: `a` is evicted in spite of all who wait for it, and `b` loads."""
    core.handle(ev.TicketArrived(ticket=TicketId(10**7), model=B, priority=5), 1e5)
    core.handle(ev.TicketServed(ticket=TicketId(0)), 1e5)
    core.handle(ev.ServerStopped(group=HOME), 1e5)
    core.handle(ev.ServerReady(group=HOME), 1e5)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("work", [arrival, seat_passed_on, departure, nothing_due, a_look_at_the_clock])
def test_a_queue_a_hundred_times_as_long_costs_hardly_more_calls(
    work: Callable[[Core], object], strategy: Strategy
) -> None:
    compare(work, strategy)


def test_a_swap_costs_the_same_however_many_wait_for_the_model_that_leaves() -> None:
    compare(swap, Strategy.FIFO_PLUS)


def compare(work: Callable[[Core], object], strategy: Strategy) -> None:
    few, many = (crowded(waiting, strategy) for waiting in (FEW, MANY))
    cost_of_few, cost_of_many = calls(lambda: work(few)), calls(lambda: work(many))
    assert few.world.tickets.keys() < many.world.tickets.keys()
    assert cost_of_few > 0
    # Bisection takes a few comparisons more; they are not calls. A hundredth of the queue would be 30.
    assert cost_of_many <= cost_of_few + 10


def test_a_deadline_costs_the_same_however_many_others_wait_for_theirs() -> None:
    few, many = (crowded(waiting, Strategy.FIFO_PLUS) for waiting in (FEW, MANY))
    # Ticket 1, for `a`, is overdue a million seconds after it arrived; the next one is not, yet.
    assert few.next_deadline() == many.next_deadline() == 1_000_001.0
    compare(lambda core: core.handle(ev.TimePassed(), core.next_deadline()), Strategy.FIFO_PLUS)


def test_the_count_would_notice_a_walk_along_the_queue() -> None:
    core = crowded(MANY, Strategy.FIFO_PLUS)
    assert calls(lambda: core.snapshot(1e5)) > 3 * MANY
