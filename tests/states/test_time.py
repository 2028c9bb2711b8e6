"""All timers are the Core's: what is due is done first and in order, and the next deadline is exact."""

from __future__ import annotations

from math import inf

import pytest

from states.errors import CoreError
from states.settings import Strategy

from .drama import Drama, group, model


def test_without_anything_to_wait_for_there_is_no_deadline() -> None:
    assert Drama(a=model()).deadline == inf


def test_a_waiting_ticket_is_a_deadline_until_it_is_overdue() -> None:
    play = Drama(a=model(), b=model(max_wait_s=3)).serving("a1")
    play.later(1).arrives("b1")
    assert play.deadline == 4
    play.at(4)
    assert play.deadline == inf


def test_a_ticket_that_left_is_no_deadline() -> None:
    """R45."""
    play = Drama(a=model(), b=model(max_wait_s=3)).serving("a1")
    play.arrives("b1")
    play.left("b1")
    assert play.deadline == inf


def test_a_seated_ticket_is_no_deadline() -> None:
    play = Drama(a=model(max_wait_s=3))
    play.arrives("a1")
    assert play.deadline == inf


def test_in_fifo_nobody_becomes_overdue() -> None:
    play = Drama(strategy=Strategy.FIFO, a=model(), b=model(max_wait_s=3)).serving("a1")
    play.arrives("b1")
    assert play.deadline == inf


def test_the_earliest_of_several_is_the_next() -> None:
    play = Drama(a=model(unload_delay_s=9), b=model(max_wait_s=7), c=model(max_wait_s=5)).idle("a")
    play.arrives("b1")
    assert play.deadline == 7
    play.arrives("c1")
    assert play.deadline == 5


def test_a_deadline_is_always_later_than_the_last_event() -> None:
    play = Drama(a=model(ttl_s=5, unload_delay_s=3), b=model(max_wait_s=2)).idle("a")
    play.arrives("b1")
    while (due := play.deadline) < inf:
        play.at(due)
        assert play.deadline > due


def test_what_was_due_is_done_before_the_event_and_in_order_of_time() -> None:
    play = Drama(a=model(unload_delay_s=9), b=model(max_wait_s=7), c=model(max_wait_s=5)).idle("a")
    play.arrives("b1", "c1")
    # Nobody looked at 5 and at 7: c was overdue first, so c got the place, and a2 comes too late for either.
    assert play.later(8).arrives("a2") == ["c1 bypasses a", "stop a"]
    assert play.seated("c") == {"c1"}


def test_a_seat_given_back_at_the_instant_of_a_deadline_comes_after_it() -> None:
    play = Drama(a=model(concurrency=1), b=model(max_wait_s=3)).serving("a1")
    play.arrives("b1", "a2")
    assert play.later(3).served("a1") == ["stop a"]


def test_an_unload_in_the_past_is_made_up_for_and_other_groups_with_it() -> None:
    groups = {"g": group("a", "b", swap=False)}
    play = Drama(groups=groups, a=model(ttl_s=3), b=model(ttl_s=2)).idle("a").idle("b")
    assert play.at(100) == ["stop b", "stop a"]


def test_a_jump_of_the_clock_only_makes_more_be_due() -> None:
    """R46: the clock handed in never goes back; after a suspend it is simply late."""
    play = Drama(a=model(unload_delay_s=5), b=model(max_wait_s=60)).idle("a")
    play.arrives("b1")
    assert play.at(3600) == ["stop a"]
    with pytest.raises(CoreError, match="time went back"):
        play.at(3599)


def test_several_events_may_happen_at_one_instant() -> None:
    play = Drama(a=model())
    play.arrives("a1")
    play.ready("a")
    play.served("a1")
    assert play.now == 0


def test_the_clock_may_start_anywhere() -> None:
    play = Drama(a=model(ttl_s=5)).later(-1000).idle("a")
    assert play.deadline == -995
