"""Rules 5 and 6: a loaded model without work is held against rivals, who may bypass it, and how the hold restarts."""

from __future__ import annotations

from math import inf

from states.effects import ReportBypass
from states.group import GroupState
from states.reasons import Held
from states.settings import ModelId, Strategy

from .drama import Drama, group, model

A = ModelId("a")


def test_a_rival_of_equal_priority_waits_for_the_hold_in_full() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).idle("a")
    assert play.later(1).arrives("b1") == []
    assert play.state("a") is GroupState.DEBOUNCE
    assert play.why("b1") == Held(victim=A, until=5)
    assert play.deadline == 5
    assert play.at(4.999) == []
    assert play.at(5) == ["stop a"]


def test_a_rival_of_lower_priority_waits_for_the_hold_too() -> None:
    play = Drama(a=model(unload_delay_s=5, priority=1), b=model()).idle("a")
    assert play.later(4.999).arrives("b1") == []
    assert play.at(5) == ["stop a"]


def test_the_hold_runs_from_the_last_seat_given_back() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).serving("a1", "a2")
    play.later(1).served("a1")
    play.later(3).served("a2")
    play.arrives("b1")
    assert play.deadline == 8


def test_a_seat_given_back_by_a_client_who_left_starts_the_hold_as_well() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).serving("a1")
    play.later(2).left("a1")
    play.arrives("b1")
    assert play.deadline == 7


def test_min_loaded_holds_from_the_load_on() -> None:
    play = Drama(a=model(unload_delay_s=1, min_loaded_s=10), b=model()).idle("a")
    play.later(3).arrives("b1")
    assert play.deadline == 10
    assert play.at(10) == ["stop a"]


def test_the_later_of_unload_delay_and_min_loaded_counts() -> None:
    play = Drama(a=model(unload_delay_s=5, min_loaded_s=10), b=model()).serving("a1")
    play.later(8).served("a1")
    play.arrives("b1")
    assert play.deadline == 13


def test_a_hold_that_is_over_holds_nobody() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).idle("a")
    assert play.later(5).arrives("b1") == ["stop a"]


def test_a_strictly_higher_priority_bypasses_the_hold_and_both_priorities_are_told() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model(priority=3)).idle("a")
    assert play.arrives("b1") == ["b1 bypasses a", "stop a"]
    (told,) = [effect for effect in play.effects if isinstance(effect, ReportBypass)]
    assert told == ReportBypass(ticket=play.number("b1"), model=ModelId("b"), victim=A, cause="priority 3 over 0")


def test_the_priority_that_counts_against_the_hold_is_the_victim_models_and_the_claimants_own() -> None:
    play = Drama(a=model(unload_delay_s=5, priority=1), b=model()).idle("a")
    assert play.arrives("b1", priority=1) == []
    assert play.arrives("b2", priority=2) == ["b2 bypasses a", "stop a"]


def test_an_overdue_claimant_bypasses_the_hold_and_its_wait_is_told() -> None:
    play = Drama(a=model(unload_delay_s=50, priority=9), b=model(max_wait_s=3)).idle("a")
    assert play.later(1).arrives("b1") == []
    assert play.deadline == 4
    assert play.at(4) == ["b1 bypasses a", "stop a"]
    (told,) = [effect for effect in play.effects if isinstance(effect, ReportBypass)]
    assert told.cause == "waited 3.0 s, overdue"


def test_no_bypass_is_told_where_no_hold_stood() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model(priority=3)).idle("a")
    assert play.later(5).arrives("b1") == ["stop a"]


def test_every_held_victim_holds_for_itself() -> None:
    groups = {"free": group("a", "b", swap=False, exclusive=False)}
    play = Drama(groups=groups, a=model(unload_delay_s=2), b=model(unload_delay_s=5), x=model()).idle("a").idle("b")
    assert play.arrives("x1") == []
    assert play.state("a") is GroupState.DRAINING
    assert play.at(2) == []
    assert play.state("b") is GroupState.DEBOUNCE
    assert play.state("a") is GroupState.DRAINING, "what is in the way is not its own hold"
    assert play.at(5) == ["stop a", "stop b"]


def test_a_ticket_seated_during_the_hold_ends_it_and_the_next_one_begins_in_full() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).idle("a")
    play.later(1).arrives("b1")
    assert play.later(4).arrives("a1") == ["grant a1"]
    assert play.state("a") is GroupState.DRAINING
    assert play.deadline == 301, "only b1's own deadline"
    assert play.at(6) == []
    play.later(7).served("a1")
    assert play.state("a") is GroupState.DEBOUNCE
    assert play.deadline == 12
    assert play.at(12) == ["stop a"]


def test_min_loaded_does_not_restart() -> None:
    play = Drama(a=model(unload_delay_s=1, min_loaded_s=10), b=model()).idle("a")
    play.later(8).arrives("b1", "a1")
    play.later(8.5).served("a1")
    assert play.deadline == 10


def test_a_hold_without_a_rival_is_no_deadline() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).idle("a")
    assert play.deadline == inf
    play.arrives("b1")
    play.left("b1")
    assert play.deadline == inf


def test_fifo_knows_no_holds() -> None:
    play = Drama(strategy=Strategy.FIFO, a=model(unload_delay_s=5, min_loaded_s=9), b=model()).idle("a")
    assert play.arrives("b1") == ["stop a"]


def test_a_hold_does_not_stand_while_a_claim_that_outranks_is_kept_out_by_something_else() -> None:
    """R13: what happens between asking and waiting is seen; here the hold ends while a seat elsewhere is taken."""
    groups = {"free": group("a", "b", swap=False, exclusive=False)}
    play = Drama(groups=groups, a=model(unload_delay_s=2), b=model(), x=model()).idle("a").serving("b1")
    play.arrives("x1")
    assert play.at(2) == []
    assert play.later(9).served("b1") == ["stop a", "stop b"]
