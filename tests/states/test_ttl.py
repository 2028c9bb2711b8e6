"""Rule 11: an idle model is unloaded."""

from __future__ import annotations

from math import inf

from states.group import GroupState
from states.settings import Strategy

from .drama import Drama, group, model


def test_a_model_is_unloaded_when_it_has_been_idle_for_its_ttl() -> None:
    play = Drama(a=model(ttl_s=60)).idle("a")
    assert play.deadline == 60
    assert play.at(59.999) == []
    assert play.at(60) == ["stop a"]
    assert play.moves == ["active -> unloading"]


def test_ttl_zero_is_never() -> None:
    play = Drama(a=model()).idle("a")
    assert play.deadline == inf
    assert play.at(1e9) == []


def test_the_ttl_runs_from_the_last_seat_given_back_not_from_the_start_of_a_request() -> None:
    """R40."""
    play = Drama(a=model(ttl_s=60)).serving("a1")
    assert play.deadline == inf
    assert play.at(1000) == []
    play.later(1001).served("a1")
    assert play.deadline == 1061


def test_a_request_restarts_the_ttl() -> None:
    play = Drama(a=model(ttl_s=60)).idle("a")
    play.later(59).arrives("a1")
    assert play.at(100) == []
    play.later(101).served("a1")
    assert play.deadline == 161


def test_the_ttl_of_a_load_whose_client_left_runs_from_loaded_at() -> None:
    """R43."""
    play = Drama(a=model(ttl_s=60))
    play.arrives("a1")
    play.later(1).left("a1")
    assert play.deadline == inf
    play.later(500).ready("a")
    assert play.deadline == 560


def test_it_is_not_unloaded_before_min_loaded() -> None:
    play = Drama(a=model(ttl_s=5, min_loaded_s=30)).idle("a")
    assert play.deadline == 30
    assert play.at(29) == []
    assert play.at(30) == ["stop a"]


def test_a_request_at_the_instant_of_the_ttl_waits_for_the_stop_and_loads_again() -> None:
    """R42, R01: what is due is done first; the request neither fails nor revives the server."""
    play = Drama(a=model(ttl_s=60)).idle("a")
    assert play.later(60).arrives("a1") == ["stop a"]
    assert play.stopped("a") == ["start a"]
    assert play.ready("a") == ["grant a1"]


def test_a_ttl_that_was_overtaken_by_a_stop_never_fires() -> None:
    """R45."""
    play = Drama(a=model(ttl_s=60)).idle("a")
    play.later(59).unload("a")
    assert play.deadline == inf
    assert play.at(60) == []
    play.later(61).stopped("a")
    play.later(62).arrives("a1")
    assert play.at(119) == []
    assert play.state("a") is GroupState.LOADING


def test_with_a_rival_the_hold_decides_and_not_the_ttl() -> None:
    play = Drama(a=model(ttl_s=5, unload_delay_s=3), b=model()).idle("a")
    play.later(1).arrives("b1")
    assert play.deadline == 3
    assert play.at(3) == ["stop a"]
    assert play.moves == ["debounce -> unloading"]


def test_a_ttl_that_passed_while_a_rival_waited_is_due_as_soon_as_it_leaves() -> None:
    groups = {"free": group("a", "b", swap=False, exclusive=False)}
    play = Drama(groups=groups, a=model(ttl_s=5), b=model(), x=model()).idle("a").serving("b1")
    play.later(4).arrives("x1")
    assert play.at(5) == []
    assert play.later(6).left("x1") == ["stop a"]


def test_the_ttl_counts_in_fifo() -> None:
    play = Drama(strategy=Strategy.FIFO, a=model(ttl_s=60, min_loaded_s=80)).idle("a")
    assert play.at(80) == ["stop a"]


def test_a_preloaded_model_has_its_ttl_too() -> None:
    play = Drama(a=model(ttl_s=60))
    play.preload("a")
    play.later(10).ready("a")
    assert play.deadline == 70
    assert play.at(70) == ["stop a"]
