"""Rank: which of two waiting tickets goes first."""

from __future__ import annotations

from states.settings import Strategy

from .drama import Drama, model


def test_the_strictly_higher_priority_loads_first() -> None:
    play = Drama(a=model(priority=9), b=model(), c=model(priority=5)).serving("a1")
    play.arrives("b1", "c1")
    assert play.served("a1") == ["stop a"]
    assert play.stopped("a") == ["start c"]


def test_between_equal_priorities_the_first_to_arrive_loads_first() -> None:
    play = Drama(a=model(), b=model(), c=model()).serving("a1")
    play.arrives("c1", "b1")
    play.served("a1")
    assert play.stopped("a") == ["start c"]


def test_priorities_may_be_negative() -> None:
    play = Drama(a=model(), b=model(priority=-1), c=model()).serving("a1")
    play.arrives("b1", "c1")
    play.served("a1")
    assert play.stopped("a") == ["start c"]


def test_a_ticket_may_have_a_priority_of_its_own() -> None:
    play = Drama(a=model(), b=model(), c=model(priority=5)).serving("a1")
    play.arrives("c1")
    play.arrives("b1", priority=6)
    play.served("a1")
    assert play.stopped("a") == ["start b"]


def test_an_overdue_ticket_outranks_a_higher_priority() -> None:
    play = Drama(a=model(priority=9), b=model(max_wait_s=3), c=model(priority=5)).serving("a1")
    play.arrives("b1", "c1")
    play.later(3).served("a1")
    assert play.stopped("a") == ["start b"]


def test_a_ticket_is_not_overdue_before_its_deadline() -> None:
    play = Drama(a=model(priority=9), b=model(max_wait_s=3), c=model(priority=5)).serving("a1")
    play.arrives("b1", "c1")
    play.later(2.999).served("a1")
    assert play.stopped("a") == ["start c"]


def test_of_two_overdue_tickets_the_earlier_deadline_goes_first_whoever_came_first() -> None:
    play = Drama(a=model(priority=9), b=model(max_wait_s=10), c=model(max_wait_s=2)).serving("a1")
    play.arrives("b1")
    play.later(1).arrives("c1")
    play.later(11).served("a1")
    assert play.stopped("a") == ["start c"]


def test_two_equal_deadlines_do_not_outrank_each_other_so_the_resident_model_keeps_its_turn() -> None:
    play = Drama(a=model(concurrency=1, max_wait_s=3), b=model(max_wait_s=3)).serving("a1")
    play.arrives("b1", "a2")
    assert play.later(4).served("a1") == ["grant a2"]


def test_an_earlier_deadline_takes_the_turn_from_an_overdue_ticket_of_the_resident_model() -> None:
    play = Drama(a=model(concurrency=1, max_wait_s=3), b=model(max_wait_s=2)).serving("a1")
    play.arrives("a2", "b1")
    assert play.later(4).served("a1") == ["stop a"]


def test_max_wait_zero_is_never_overdue() -> None:
    play = Drama(a=model(priority=1), b=model(max_wait_s=0)).serving("a1")
    play.arrives("b1")
    assert play.later(1e6).arrives("a2") == ["grant a2"]


def test_fifo_knows_neither_priorities_nor_deadlines() -> None:
    play = Drama(strategy=Strategy.FIFO, a=model(), b=model(max_wait_s=100), c=model(priority=9, max_wait_s=1))
    play.serving("a1").arrives("b1", "c1")
    play.later(50).served("a1")
    assert play.stopped("a") == ["start b"]


def test_in_fifo_a_later_ticket_of_the_resident_model_waits_behind_an_earlier_rival() -> None:
    play = Drama(strategy=Strategy.FIFO, a=model(), b=model()).serving("a1")
    assert play.arrives("b1", "a2") == []
    assert play.served("a1") == ["stop a"]


def test_the_line_of_one_model_stands_in_queue_order() -> None:
    play = Drama(a=model(), b=model(max_wait_s=3)).serving("a1")
    play.arrives("b1")
    play.later(1).arrives("b2")
    play.arrives("b3", priority=2)
    assert play.waiting("b") == ["b3", "b1", "b2"]
    play.at(3)
    assert play.waiting("b") == ["b1", "b3", "b2"]
    play.at(4)
    assert play.waiting("b") == ["b1", "b2", "b3"]


def overloaded() -> Drama:
    """An overdue `a1` has just taken the place of `b`; `a2` waits as well, and `b2` waited before it."""
    play = Drama(a=model(concurrency=1, max_wait_s=10), b=model(concurrency=1, max_wait_s=10)).serving("b1")
    play.arrives("a1")
    play.later(1).arrives("b2")
    play.later(2).arrives("a2")
    assert play.later(11).served("b1") == ["stop b"]
    assert play.seated("a") == {"a1"}
    return play


def test_one_visit_serves_everybody_who_waited_for_the_model_when_an_overdue_claim_committed() -> None:
    play = overloaded()
    assert play.later(12).swapped("b", "a") == ["grant a1"]
    # b2 is overdue since 11, a2 only since 12: a2 ranks with a1, whose deadline was 10.
    assert play.later(13).served("a1") == ["grant a2"]
    assert play.served("a2") == ["stop a"]


def test_who_arrives_after_that_commit_does_not_rank_with_it() -> None:
    play = overloaded()
    play.arrives("a3")
    play.later(12).swapped("b", "a")
    play.served("a1")
    assert play.served("a2") == ["stop a"]
    assert play.waiting("a") == ["a3"]


def test_they_rank_with_it_only_while_the_model_is_resident() -> None:
    play = overloaded()
    play.later(11.5).unload("a", keep=True)
    # Nobody's visit: the earliest deadlines of each are a1's 10, b2's 11 and a2's 12.
    assert play.stopped("b") == ["start a"]
    play.ready("a")
    play.later(12).unload("a", keep=True)
    play.served("a1")
    play.stopped("a")
    assert play.loads == ["b", "a", "b"]


def test_in_fifo_nobody_ranks_with_anybody() -> None:
    play = Drama(strategy=Strategy.FIFO, a=model(concurrency=1, max_wait_s=1), b=model(max_wait_s=1)).serving("b0")
    play.arrives("a1", "b1", "a2")
    play.later(9).served("b0")
    play.swapped("b", "a")
    assert play.served("a1") == ["stop a"]
