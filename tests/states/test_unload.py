"""Rule 10: unload on request."""

from __future__ import annotations

from math import inf

import pytest

from states.effects import CutSeat, RefuseTicket, StopServer
from states.group import GroupState
from states.reasons import Closing
from states.settings import ModelId

from .drama import Drama, group, model


def test_an_idle_model_is_stopped_at_once_and_the_asker_is_answered_when_it_has_stopped() -> None:
    play = Drama(a=model(unload_delay_s=50, min_loaded_s=50)).idle("a")
    assert play.unload("a", asker=7) == ["stop a"]
    assert play.stopped("a") == ["confirm 7"]
    assert play.state("a") is GroupState.IDLE


def test_where_no_server_is_the_asker_is_answered_at_once() -> None:
    play = Drama(a=model())
    assert play.unload("a") == ["confirm 1"]


def test_seated_tickets_of_a_loaded_model_may_finish() -> None:
    play = Drama(a=model(unload_timeout_s=10)).serving("a1", "a2")
    assert play.unload("a") == []
    assert play.state("a") is GroupState.DRAINING
    assert play.later(3).served("a1") == []
    assert play.later(5).served("a2") == ["stop a"]
    assert play.stopped("a") == ["confirm 1"]


def test_what_is_still_served_after_the_unload_timeout_is_cut_off() -> None:
    play = Drama(a=model(unload_timeout_s=10)).serving("a1", "a2")
    play.later(1).unload("a")
    assert play.deadline == 11
    play.later(2).served("a1")
    assert play.at(11) == ["cut a2: unloaded", "stop a"]
    assert play.deadline == inf


def test_news_of_a_ticket_that_was_cut_off_is_too_late_to_matter() -> None:
    play = Drama(a=model(unload_timeout_s=10)).serving("a1")
    play.unload("a")
    assert play.later(10).served("a1") == ["cut a1: unloaded", "stop a"]
    assert play.left("a1") == []


def test_with_an_unload_timeout_of_zero_seats_are_cut_off_at_once() -> None:
    """R23: nothing sneaks around the order; the server's own grace is 0 as well."""
    play = Drama(a=model(unload_timeout_s=0)).serving("a1")
    assert play.unload("a") == ["cut a1: unloaded", "stop a"]
    assert [effect.grace_s for effect in play.effects if isinstance(effect, StopServer)] == [0]


def test_the_gate_is_closed_for_whoever_arrives_later_and_they_load_it_again() -> None:
    play = Drama(a=model()).serving("a1")
    play.unload("a")
    assert play.arrives("a2") == []
    assert play.why("a2") == Closing(model=ModelId("a"))
    play.served("a1")
    assert play.arrives("a3") == []
    assert play.stopped("a") == ["confirm 1", "start a"]
    assert play.ready("a") == ["grant a2", "grant a3"]


def test_waiting_tickets_are_refused() -> None:
    play = Drama(a=model(concurrency=1), b=model()).serving("a1")
    play.arrives("a2", "b1")
    assert play.unload("a", "b") == ["refuse a2: unloaded", "refuse b1: unloaded"]


def test_waiting_tickets_stay_where_they_are_kept_with_arrival_priority_and_deadline() -> None:
    play = Drama(a=model(concurrency=1, max_wait_s=20)).serving("a1")
    play.later(1).arrives("a2")
    play.later(2).arrives("a3", priority=4)
    assert play.later(3).unload("a", keep=True) == []
    play.served("a1")
    play.stopped("a")
    assert play.seated("a") == {"a3"}
    assert play.waiting("a") == ["a2"]
    assert play.view("a2").age_s == 2
    assert play.deadline == 21


def test_a_committed_load_is_dropped_and_its_seated_tickets_count_as_waiting() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.arrives("b1")
    assert play.unload("b") == ["refuse b1: unloaded", "confirm 1"]
    assert play.stopped("a") == []


def test_a_committed_load_whose_tickets_are_kept_commits_again() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.arrives("b1")
    assert play.unload("b", keep=True) == ["confirm 1"]
    assert play.waiting("b") == ["b1"]
    assert play.stopped("a") == ["start b"]


@pytest.mark.parametrize("keep", [False, True])
def test_a_load_is_aborted_and_its_seated_tickets_count_as_waiting(*, keep: bool) -> None:
    """R25: a stop during the start is neither ignored nor forgotten."""
    play = Drama(a=model())
    play.arrives("a1")
    refused = [] if keep else ["refuse a1: unloaded"]
    assert play.unload("a", keep=keep) == ["stop a", *refused]
    assert play.ready("a") == []
    again = ["start a"] if keep else []
    assert play.stopped("a") == ["confirm 1", *again]


def test_a_preload_that_is_under_way_is_aborted_as_well() -> None:
    play = Drama(a=model())
    play.preload("a")
    assert play.unload("a") == ["stop a"]
    assert play.stopped("a") == ["confirm 1"]


def test_of_a_model_that_is_unloading_already_only_waiting_tickets_are_touched() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.arrives("b1", "a1")
    assert play.unload("a") == ["refuse a1: unloaded"]
    assert play.seated("b") == {"b1"}
    assert play.stopped("a") == ["start b", "confirm 1"]


def test_a_second_request_keeps_the_first_grace() -> None:
    play = Drama(a=model(unload_timeout_s=10)).serving("a1")
    play.unload("a", asker=1)
    assert play.later(6).unload("a", asker=2) == []
    assert play.deadline == 10
    assert play.at(10) == ["cut a1: unloaded", "stop a"]
    assert play.stopped("a") == ["confirm 1", "confirm 2"]


def test_the_hold_is_ignored() -> None:
    play = Drama(a=model(unload_delay_s=60), b=model()).idle("a")
    play.arrives("b1")
    assert play.state("a") is GroupState.DEBOUNCE
    assert play.unload("a") == ["stop a"]
    assert play.stopped("a") == ["confirm 1", "start b"]


def test_nobody_who_does_not_need_its_place_waits() -> None:
    groups = {"g": group("a", "b", swap=False)}
    play = Drama(groups=groups, a=model(), b=model()).idle("a")
    play.unload("a")
    assert play.arrives("b1") == ["start b"]


def test_the_asker_of_several_is_answered_when_the_last_has_stopped() -> None:
    groups = {"g": group("a", "b", swap=False)}
    play = Drama(groups=groups, a=model(), b=model(), c=model()).idle("a").idle("b")
    assert play.unload("a", "b", "c") == ["stop a", "stop b"]
    assert play.stopped("b") == []
    assert play.stopped("a") == ["confirm 1"]


def test_a_server_that_dies_during_the_grace_is_gone_and_the_asker_is_answered() -> None:
    play = Drama(a=model()).serving("a1")
    play.unload("a")
    assert play.died("a") == ["cut a1: server_died", "stop a"]
    assert play.stopped("a") == ["confirm 1"]
    assert play.deadline == inf


def test_after_the_last_seat_an_unload_goes_before_a_rivals_claim() -> None:
    """So whoever arrives while it stops is still weighed: nothing is settled by a stop that nobody's claim caused."""
    play = Drama(a=model(), b=model(), c=model(priority=5)).serving("a1")
    play.unload("a")
    play.arrives("b1")
    assert play.served("a1") == ["stop a"]
    assert play.seated("b") == set()
    play.arrives("c1")
    assert play.stopped("a") == ["confirm 1", "start c"]


def test_a_model_may_be_asked_for_twice_in_one_request() -> None:
    play = Drama(a=model()).serving("a1")
    play.unload("a", "a")
    assert play.served("a1") == ["stop a"]
    assert play.stopped("a") == ["confirm 1"]


def test_a_refusal_before_the_seat_and_a_cut_after_it_say_the_same() -> None:
    play = Drama(a=model(concurrency=1, unload_timeout_s=0)).serving("a1")
    play.arrives("a2")
    play.unload("a")
    told = [effect.refusal for effect in play.effects if isinstance(effect, CutSeat | RefuseTicket)]
    assert len(told) == 2
    assert {refusal.message for refusal in told} == {"a was unloaded on request"}
