"""The end of the proxy: rule 10 for every model, and nobody new."""

from __future__ import annotations

from math import inf

import pytest

from states.effects import RefuseTicket, StopServer
from states.group import GroupState

from .drama import Drama, group, model


def graces(play: Drama) -> list[float]:
    return [effect.grace_s for effect in play.effects if isinstance(effect, StopServer)]


def test_with_nothing_loaded_it_is_over_at_once() -> None:
    assert Drama(a=model()).shutdown(30) == ["confirm 99"]


def test_idle_servers_are_stopped_at_once_and_the_end_is_confirmed_when_the_last_has_stopped() -> None:
    play = Drama(groups={"g": group("a", "b", swap=False)}, a=model(), b=model()).idle("a").idle("b")
    assert play.shutdown(30) == ["stop a", "stop b"]
    assert play.stopped("a") == []
    assert play.stopped("b") == ["confirm 99"]


def test_seated_requests_may_finish_and_waiting_ones_are_refused() -> None:
    play = Drama(a=model(concurrency=1), b=model()).serving("a1")
    play.arrives("a2", "b1")
    assert play.shutdown(30) == ["refuse a2: shutting_down", "refuse b1: shutting_down"]
    assert play.later(20).served("a1") == ["stop a"]
    assert play.stopped("a") == ["confirm 99"]


def test_what_is_still_served_after_the_shutdown_timeout_is_cut_off() -> None:
    play = Drama(a=model(unload_timeout_s=5)).serving("a1")
    play.later(1).shutdown(30)
    assert play.deadline == 31
    assert play.at(31) == ["cut a1: shutting_down", "stop a"]
    assert graces(play) == [5]


def test_a_load_is_aborted_and_a_committed_one_dropped() -> None:
    play = Drama(groups={"g": group("a", "b", exclusive=False)}, a=model(), b=model(), c=model()).idle("a")
    play.arrives("b1")
    play.left("b1")
    play.stopped("a")
    play.idle("a")
    play.arrives("b2")
    assert play.shutdown(30) == ["refuse b2: shutting_down"]
    assert play.stopped("a") == ["confirm 99"]

    play = Drama(a=model())
    play.arrives("a1")
    assert play.shutdown(30) == ["stop a", "refuse a1: shutting_down"]
    assert play.stopped("a") == ["confirm 99"]


def test_who_arrives_later_is_refused_even_where_a_seat_is_free() -> None:
    play = Drama(a=model()).serving("a1")
    play.shutdown(30)
    assert play.arrives("a2") == ["refuse a2: shutting_down"]
    (told,) = [effect.refusal for effect in play.effects if isinstance(effect, RefuseTicket)]
    assert told.message == "the proxy is shutting down"


def test_a_shutdown_keeps_the_grace_of_an_unload_that_was_asked_before() -> None:
    play = Drama(a=model(unload_timeout_s=10)).serving("a1")
    play.unload("a")
    play.arrives("a2")
    assert play.later(2).shutdown(30) == ["refuse a2: shutting_down"]
    assert play.at(10) == ["cut a1: shutting_down", "stop a"]
    assert play.stopped("a") == ["confirm 1", "confirm 99"]


def test_a_second_signal_cuts_seats_off_and_kills_servers() -> None:
    play = Drama(a=model(unload_timeout_s=10)).serving("a1")
    play.shutdown(30)
    assert play.later(1).hurry()[0] == "cut a1: shutting_down"
    assert graces(play)[-1] == 0, "the server that served it is killed as well"
    assert play.deadline == inf
    assert play.stopped("a") == ["confirm 99"]


def test_a_second_signal_kills_what_was_being_stopped_already() -> None:
    play = Drama(a=model(unload_timeout_s=10)).idle("a")
    play.shutdown(30)
    assert play.later(1).hurry() == ["stop a"]
    assert graces(play) == [0]


def test_a_third_signal_harms_nobody() -> None:
    play = Drama(a=model()).serving("a1")
    play.shutdown(30)
    play.hurry()
    play.hurry()
    assert play.stopped("a") == ["confirm 99"]
    assert play.hurry() == []


@pytest.mark.parametrize("drain_s", [0, 30])
def test_the_news_of_what_was_cut_off_comes_too_late_to_matter(drain_s: float) -> None:
    play = Drama(a=model()).serving("a1")
    play.shutdown(drain_s)
    play.hurry()
    assert play.served("a1") == []
    assert play.state("a") is GroupState.UNLOADING
