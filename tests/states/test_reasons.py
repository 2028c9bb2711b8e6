"""Why is it waiting? One answer for every waiting ticket, as data and as a sentence."""

from __future__ import annotations

import pytest

from states import effects as fx
from states.group import GroupState
from states.reasons import Closing, Held, InFlight, Loading, Outranked, Reason, SeatsFull, Stopping, sentence
from states.settings import ModelId, Strategy, TicketId

from .drama import Drama, model

A, B = ModelId("a"), ModelId("b")


def test_seats_are_full() -> None:
    play = Drama(a=model(concurrency=2)).serving("a1", "a2")
    play.arrives("a3")
    assert play.why("a3") == SeatsFull(model=A, concurrency=2)
    assert play.view("a3").why == "a serves as many requests as it may (2)"


def test_its_model_is_loading_since_when_and_how_long_that_takes() -> None:
    play = Drama(a=model(concurrency=1)).later(10)
    play.arrives("a1")
    assert play.later(13).why("a1") == Loading(model=A, since=10, expected_s=None)
    assert play.view("a1").why == "a has been loading for 3.0 s"
    assert play.view("a1").seated


def test_the_expected_load_time_is_the_measured_one() -> None:
    play = Drama(a=model())
    play.arrives("a1")
    play.later(8).ready("a")
    play.served("a1")
    play.unload("a")
    play.stopped("a")
    play.later(20).arrives("a2")
    assert play.why("a2") == Loading(model=A, since=20, expected_s=8)
    assert play.view("a2").why == "a has been loading for 0.0 s, usually 8.0 s"


def test_a_victim_drains() -> None:
    play = Drama(a=model(), b=model()).serving("a1", "a2")
    play.arrives("b1")
    assert play.why("b1") == InFlight(victim=A, seats_taken=2)
    assert play.view("b1").why == "a must leave and still serves 2 requests"
    play.served("a1")
    assert play.view("b1").why == "a must leave and still serves 1 request"


def test_a_victim_is_held() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).idle("a")
    play.later(1).arrives("b1")
    assert play.why("b1") == Held(victim=A, until=5)
    assert play.later(2.5).view("b1").why == "a must leave and is held for another 2.5 s"


@pytest.mark.parametrize(
    ("strategy", "b_wait", "c_wait", "c_priority", "now", "because"),
    [
        (Strategy.FIFO_PLUS, 300.0, 300.0, 2, 0.0, "priority 2 over 0"),
        (Strategy.FIFO_PLUS, 300.0, 3.0, 0, 5.0, "it is overdue"),
        (Strategy.FIFO_PLUS, 4.0, 3.0, 0, 5.0, "it is overdue for longer"),
        (Strategy.FIFO, 300.0, 300.0, 0, 0.0, "it arrived earlier"),
    ],
)
def test_another_goes_first_and_why(
    *, strategy: Strategy, b_wait: float, c_wait: float, c_priority: int, now: float, because: str
) -> None:
    play = Drama(
        strategy=strategy, a=model(), b=model(max_wait_s=b_wait), c=model(max_wait_s=c_wait, priority=c_priority)
    ).serving("a1")
    play.arrives("c1", "b1")
    play.at(now)
    assert play.why("b1") == Outranked(by=play.number("c1"), model=ModelId("c"), because=because)
    assert play.view("b1").why == f"ticket {play.number('c1')} for c goes first: {because}"


def test_a_ticket_of_the_resident_model_is_outranked_too() -> None:
    play = Drama(a=model(), b=model(priority=1)).serving("a1")
    play.arrives("b1", "a2")
    assert play.why("a2") == Outranked(by=play.number("b1"), model=B, because="priority 1 over 0")


def test_a_server_in_the_way_is_being_stopped() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.unload("a")
    play.arrives("b1")
    assert play.why("b1") == Stopping(model=A)
    assert play.view("b1").why == "a is being unloaded"
    assert not play.view("b1").seated


def test_a_passenger_waits_for_a_victim_to_stop() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.arrives("b1")
    assert play.why("b1") == Stopping(model=A)
    assert play.view("b1").seated


def test_its_own_model_was_asked_to_unload() -> None:
    play = Drama(a=model()).serving("a1")
    play.unload("a")
    play.arrives("a2")
    assert play.why("a2") == Closing(model=A)
    assert play.view("a2").why == "a was asked to unload, and loads again after that"


def test_everybody_in_line_has_the_reason_of_the_first() -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    play.arrives("b1", "b2")
    assert play.why("b2") == play.why("b1") == InFlight(victim=A, seats_taken=1)


def test_who_is_served_or_unknown_waits_for_nothing() -> None:
    play = Drama(a=model()).serving("a1")
    assert play.core.why(play.number("a1"), play.now) is None
    assert play.core.why(TicketId(12345), play.now) is None


def test_the_snapshot_shows_every_waiting_ticket_in_order_of_arrival_and_every_group() -> None:
    play = Drama(a=model(unload_delay_s=5, concurrency=3), b=model(max_wait_s=2, priority=-1)).idle("a")
    play.later(1).arrives("b1")
    play.arrives("b2", priority=-4)
    seen = play.core.snapshot(3.5)
    assert [(t.id, t.model, t.priority, t.age_s) for t in seen.queue] == [
        (play.number("b1"), B, -1, 2.5),
        (play.number("b2"), B, -4, 2.5),
    ]
    (group,) = seen.groups
    assert (group.model, group.next_model, group.state) == (A, None, GroupState.DEBOUNCE)
    assert (group.seats_taken, group.concurrency, group.hold_s) == (0, 3, 1.5)
    assert not seen.shutting_down


def test_the_snapshot_shows_who_is_next_in_a_group_that_is_unloading() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.arrives("b1")
    (group,) = play.core.snapshot(0).groups
    assert (group.model, group.next_model, group.state.value) == (A, B, "unloading")


def test_looking_changes_nothing() -> None:
    play = Drama(a=model(unload_delay_s=5), b=model()).idle("a")
    play.arrives("b1")
    play.core.snapshot(4)
    play.core.why(play.number("b1"), 4.5)
    assert play.later(1).arrives("a1") == ["grant a1"]


def test_a_transition_tells_its_cause() -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    play.arrives("b1")
    (told,) = [effect for effect in play.effects if isinstance(effect, fx.ReportTransition)]
    assert told.cause == f"ticket {play.number('b1')} for b waits: a must leave and still serves 1 request"


@pytest.mark.parametrize(
    "reason",
    [
        Outranked(by=TicketId(1), model=A, because="it is overdue"),
        InFlight(victim=A, seats_taken=1),
        Held(victim=A, until=3.0),
        Stopping(model=A),
        SeatsFull(model=A, concurrency=1),
        Closing(model=A),
        Loading(model=A, since=1.0, expected_s=2.0),
    ],
)
def test_every_reason_has_a_sentence_without_a_full_stop_that_names_the_model(reason: Reason) -> None:
    told = sentence(reason, 2.0)
    assert " a " in f" {told} "
    assert not told.endswith(".")
