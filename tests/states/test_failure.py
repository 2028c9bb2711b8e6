"""Rule 12: loads that fail, servers that die, and the growing pause."""

from __future__ import annotations

from math import inf

import pytest

from states.effects import CutSeat, RefuseTicket, StopServer
from states.events import Failure
from states.group import GroupState

from .drama import Drama, model


def fail(play: Drama, ticket: str, now: float) -> None:
    """`a` is wanted at that time, fails to load and has stopped, all at once."""
    assert play.later(now).arrives(ticket) == ["start a"]
    play.failed("a")
    play.stopped("a")


def test_a_load_that_fails_refuses_its_passengers_with_what_happened() -> None:
    play = Drama(a=model())
    play.arrives("a1", "a2")
    assert play.failed("a") == ["refuse a1: load_failed", "refuse a2: load_failed", "stop a"]
    told = [effect.refusal.message for effect in play.effects if isinstance(effect, RefuseTicket)]
    assert told == ["a: load_failed"] * 2


def test_a_load_that_is_not_ready_in_time_says_so() -> None:
    play = Drama(a=model())
    play.arrives("a1")
    assert play.failed("a", Failure.LOAD_TIMEOUT) == ["refuse a1: load_timeout", "stop a"]


def test_a_server_that_dies_cuts_off_whom_it_served() -> None:
    play = Drama(a=model()).serving("a1")
    assert play.died("a") == ["cut a1: server_died", "stop a"]
    (told,) = [effect.refusal for effect in play.effects if isinstance(effect, CutSeat)]
    assert told.message == "a: server_died"


def test_what_it_leaves_behind_is_cleared_before_anything_loads_in_its_place() -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    play.arrives("b1")
    play.died("a")
    assert play.state("a") is GroupState.UNLOADING
    assert play.loads == ["a"]
    assert play.stopped("a") == ["start b"]


@pytest.mark.parametrize(
    ("failure", "grace_s"), [(Failure.LOAD_FAILED, 0), (Failure.DIED, 0), (Failure.LOAD_TIMEOUT, 7)]
)
def test_only_a_server_that_was_too_slow_gets_a_grace(failure: Failure, grace_s: float) -> None:
    play = Drama(a=model(unload_timeout_s=7))
    play.arrives("a1")
    play.failed("a", failure)
    assert [effect.grace_s for effect in play.effects if isinstance(effect, StopServer)] == [grace_s]


def test_an_idle_server_that_dies_is_not_started_again_for_nobody() -> None:
    play = Drama(a=model()).idle("a")
    assert play.died("a") == ["stop a"]
    assert play.stopped("a") == []
    assert play.state("a") is GroupState.IDLE


def test_after_the_first_failure_whoever_still_waits_tries_again() -> None:
    play = Drama(a=model(concurrency=1))
    play.arrives("a1", "a2")
    assert play.failed("a") == ["refuse a1: load_failed", "stop a"]
    assert play.stopped("a") == ["start a"]
    assert play.ready("a") == ["grant a2"]


def test_the_second_failure_in_a_row_refuses_those_already_waiting_too() -> None:
    """R73: pollers of a model that cannot load do not load it again and again."""
    play = Drama(a=model(concurrency=1))
    play.arrives("a1", "a2", "a3")
    play.failed("a")
    play.stopped("a")
    assert play.failed("a") == ["refuse a2: load_failed", "stop a", "refuse a3: paused"]
    assert play.stopped("a") == []
    assert play.arrives("a4") == ["refuse a4: paused"]
    assert play.loads == ["a", "a"]


def test_a_refusal_in_the_pause_says_why_and_when_to_come_back() -> None:
    play = Drama(a=model())
    fail(play, "a1", 0)
    fail(play, "a2", 10)
    play.later(10.25).arrives("a3")
    (told,) = [effect.refusal for effect in play.effects if isinstance(effect, RefuseTicket)]
    assert told.retry_after_s == 0.75
    assert "a: load_failed" in told.message
    assert "2 times" in told.message


def test_the_pause_grows_from_one_second_to_a_minute() -> None:
    """R73."""
    play = Drama(a=model())
    now = 0.0
    fail(play, "a1", now)
    for number, pause in enumerate([1, 2, 4, 8, 16, 32, 60, 60, 60]):
        first, second = f"a{10 * number + 10}", f"a{10 * number + 11}"
        fail(play, first, now)
        assert play.later(now + pause - 0.001).arrives(second) == [f"refuse {second}: paused"]
        now += pause
    assert play.later(now).arrives("a999") == ["start a"]


def test_the_pause_is_so_long_after_any_number_of_failures() -> None:
    play = Drama(a=model())
    for number in range(1100):
        fail(play, f"a{number}", 60.0 * number)
    assert play.later(60.0 * 1100 - 0.5).arrives("a5000") == ["refuse a5000: paused"]


def test_the_end_of_the_pause_is_no_timer_because_nobody_waits_for_it() -> None:
    play = Drama(a=model())
    fail(play, "a1", 0)
    fail(play, "a2", 0)
    assert play.deadline == inf


def test_a_ticket_that_was_served_starts_the_count_anew() -> None:
    play = Drama(a=model())
    fail(play, "a1", 0)
    play.serving("a2")
    play.served("a2")
    play.died("a")
    play.stopped("a")
    assert play.arrives("a3") == ["start a"]


def test_a_ticket_that_left_unserved_does_not() -> None:
    play = Drama(a=model())
    fail(play, "a1", 0)
    play.serving("a2")
    play.left("a2")
    play.died("a")
    play.stopped("a")
    assert play.arrives("a3") == ["refuse a3: paused"]


def test_a_server_that_dies_counts_as_a_failure_of_the_model() -> None:
    play = Drama(a=model())
    for name in ("a1", "a2"):
        play.serving(name)
        play.died("a")
        play.stopped("a")
    assert play.arrives("a3") == ["refuse a3: paused"]


def test_the_failure_of_one_model_pauses_no_other_and_takes_no_other_down() -> None:
    """R77."""
    play = Drama(a=model(), b=model())
    fail(play, "a1", 0)
    fail(play, "a2", 0)
    assert play.arrives("b1") == ["start b"]
    play.ready("b")
    assert play.arrives("a3") == ["refuse a3: paused"]
    assert play.seated("b") == {"b1"}


def test_a_failure_of_what_is_being_stopped_is_no_failure_of_the_model() -> None:
    play = Drama(a=model()).idle("a")
    play.unload("a")
    play.died("a")
    play.stopped("a")
    fail(play, "a1", 0)
    assert play.arrives("a2") == ["start a"]


def test_a_server_that_dies_at_the_instant_of_its_eviction_is_stopped_once() -> None:
    """R12."""
    play = Drama(a=model(unload_delay_s=5), b=model()).idle("a")
    play.arrives("b1")
    assert play.later(5).died("a") == ["stop a"]
    assert play.stopped("a") == ["start b"]
