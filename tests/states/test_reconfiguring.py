"""A change of the configuration while everything runs."""

from __future__ import annotations

from states.group import GroupState
from states.reasons import Closing, Held, InFlight, Outranked, Stopping
from states.settings import ModelId, Strategy

from .drama import Drama, group, model


def test_a_model_that_did_not_change_keeps_its_server_its_requests_and_its_line() -> None:
    play = Drama(a=model(concurrency=1), b=model()).serving("a1")
    play.arrives("a2")
    assert play.reload(a=model(concurrency=1), b=model(), c=model()) == ["confirm 1"]
    assert play.served("a1") == ["grant a2"]
    assert play.loads == ["a"]


def test_a_new_model_can_be_asked_for_at_once() -> None:
    play = Drama(a=model())
    play.reload(a=model(), b=model())
    assert play.arrives("b1") == ["start b"]


def test_a_changed_model_drains_stops_and_loads_again_for_whoever_waits() -> None:
    play = Drama(a=model(concurrency=1)).serving("a1")
    play.arrives("a2")
    assert play.reload(restart="a", a=model(concurrency=1)) == []
    assert play.state("a") is GroupState.DRAINING
    assert play.arrives("a3") == []
    assert isinstance(play.why("a2"), Closing)
    assert play.later(4).served("a1") == ["stop a"]
    assert play.why("a3") == Stopping(model=ModelId("a"))
    assert set(play.stopped("a")) == {"start a", "confirm 1"}
    assert play.ready("a") == ["grant a2"]
    assert play.waiting("a") == ["a3"]


def test_a_changed_model_that_serves_for_too_long_is_cut_off() -> None:
    play = Drama(a=model(unload_timeout_s=10)).serving("a1")
    play.reload(restart="a", a=model(unload_timeout_s=99))
    assert play.deadline == 10
    assert play.at(10) == ["cut a1: unloaded", "stop a"]


def test_a_changed_model_that_nobody_wants_stays_unloaded() -> None:
    play = Drama(a=model()).idle("a")
    assert play.reload(restart="a", a=model()) == ["stop a"]
    assert play.stopped("a") == ["confirm 1"]
    assert play.loads == ["a"]
    assert play.arrives("a1") == ["start a"]


def test_a_changed_model_that_loads_is_stopped_and_loads_anew() -> None:
    play = Drama(a=model())
    play.arrives("a1")
    assert play.reload(restart="a", a=model()) == ["stop a"]
    play.stopped("a")
    assert play.loads == ["a", "a"]
    assert play.ready("a") == ["grant a1"]


def test_a_changed_model_that_is_not_there_needs_nothing() -> None:
    play = Drama(a=model(), b=model()).serving("b1")
    play.arrives("a1")
    assert play.reload(restart="a", a=model(), b=model()) == ["confirm 1"]
    assert play.served("b1") == ["stop b"]
    play.stopped("b")
    assert play.ready("a") == ["grant a1"]


def test_a_committed_model_that_changed_is_committed_anew() -> None:
    play = Drama(a=model(), b=model()).idle("b")
    play.arrives("a1")
    play.reload(restart="a", a=model(), b=model())
    assert play.stopped("b") == ["start a"]


def test_a_removed_model_drains_and_whoever_waits_for_it_is_refused() -> None:
    play = Drama(a=model(concurrency=1), b=model()).serving("a1")
    play.arrives("a2")
    assert play.reload(b=model()) == ["refuse a2: unloaded"]
    assert play.arrives("a3") == ["refuse a3: unloaded"]
    assert play.served("a1") == ["stop a"]
    assert play.stopped("a") == ["confirm 1"]
    assert ModelId("a") not in play.core.world.models


def test_a_removed_model_that_comes_back_while_it_stops_is_loaded_again() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.reload(b=model())
    play.reload(asker=2, a=model(priority=3), b=model())
    assert play.arrives("a1") == []
    assert "start a" in play.stopped("a")
    assert play.record("a").settings.priority == 3


def test_what_leaves_is_in_everybodys_way_even_where_the_new_groups_say_otherwise() -> None:
    apart = {"g": group("a", swap=False, exclusive=False), "h": group("b", swap=False, exclusive=False)}
    play = Drama(a=model(), b=model()).serving("a1")
    play.reload(a=model(), b=model(), groups=apart)
    assert play.arrives("b1") == []
    assert play.why("b1") == InFlight(victim=ModelId("a"), seats_taken=1)
    play.served("a1")
    assert play.why("b1") == Stopping(model=ModelId("a"))
    assert "start b" in play.stopped("a")
    assert play.arrives("a2") == ["start a"]


def test_a_model_whose_process_group_changed_goes_on_in_the_new_one() -> None:
    play = Drama(a=model(), b=model(), groups={"g": group("a"), "h": group("b")}).idle("a")
    play.reload(a=model(), b=model(), groups={"h": group("a", "b")})
    assert set(play.core.world.groups) == {"g", "h"}
    play.stopped("a")
    assert set(play.core.world.groups) == {"h"}
    assert play.arrives("a1") == ["start a"]


def test_a_priority_holds_at_once_for_those_who_wait() -> None:
    play = Drama(a=model(), b=model(), c=model()).serving("a1")
    play.arrives("b1", "c1")
    assert not isinstance(play.why("c1"), Outranked)
    play.reload(a=model(), b=model(), c=model(priority=1))
    assert isinstance(play.why("b1"), Outranked)
    play.served("a1")
    assert play.swapped("a", "c") == ["grant c1"]


def test_a_priority_of_its_own_stays_with_a_ticket() -> None:
    play = Drama(a=model(), b=model(), c=model()).serving("a1")
    play.arrives("b1", priority=5)
    play.arrives("c1")
    play.reload(a=model(), b=model(), c=model(priority=1))
    play.served("a1")
    assert play.swapped("a", "b") == ["grant b1"]


def test_a_bound_on_waiting_holds_at_once_and_counts_from_the_arrival() -> None:
    play = Drama(a=model(max_wait_s=0), b=model(max_wait_s=0)).serving("a1")
    play.later(1).arrives("b1")
    play.later(2).reload(a=model(max_wait_s=0), b=model(max_wait_s=4))
    assert play.deadline == 5
    play.later(3).reload(asker=2, a=model(max_wait_s=0), b=model(max_wait_s=1))
    assert play.arrives("a2") == []  # the gate is closed: b1 is overdue
    assert play.view("b1").overdue


def test_a_hold_holds_at_once() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.reload(a=model(unload_delay_s=5), b=model())
    assert play.later(1).arrives("b1") == []
    assert isinstance(play.why("b1"), Held)
    assert play.later(2).reload(asker=2, a=model(), b=model()) == ["confirm 2", "stop a"]


def test_with_fewer_seats_nobody_is_unseated_and_nobody_seated() -> None:
    play = Drama(a=model(concurrency=3)).serving("a1", "a2", "a3")
    play.reload(a=model(concurrency=1))
    assert play.arrives("a4") == []
    assert play.served("a1") == []
    assert play.served("a2") == []
    assert play.served("a3") == ["grant a4"]


def test_with_more_seats_whoever_waits_is_seated() -> None:
    play = Drama(a=model(concurrency=1)).serving("a1")
    play.arrives("a2")
    assert play.reload(a=model(concurrency=2)) == ["confirm 1", "grant a2"]


def test_another_strategy_holds_at_once() -> None:
    play = Drama(a=model(), b=model()).serving("a1")
    play.arrives("b1")
    assert play.arrives("a2") == ["grant a2"]
    play.reload(strategy=Strategy.FIFO, a=model(), b=model())
    assert play.arrives("a3") == []


def test_a_pause_ends_with_a_changed_command() -> None:
    play = Drama(a=model())
    for number in range(2):
        play.arrives(f"a{number}")
        play.failed("a")
        play.stopped("a")
    assert play.arrives("a5") == ["refuse a5: paused"]
    play.reload(restart="a", a=model())
    assert play.arrives("a6") == ["start a"]


def test_during_the_shutdown_nothing_is_changed() -> None:
    play = Drama(a=model()).serving("a1")
    play.shutdown(10)
    assert play.reload(restart="a") == ["confirm 1"]
    assert play.served("a1") == ["stop a"]


def test_what_was_committed_before_a_change_loads_beside_what_leaves_for_it() -> None:
    """Found by exploration: what leaves is in the way of every claim that is not committed yet (decision 10)."""
    groups = {"g": group("b", "c", exclusive=False), "h": group("a", exclusive=False)}
    models = {"a": model(), "b": model(), "c": model()}
    scene = Drama(groups=groups, **models).serving("a1")
    scene.arrives("b1", "c1")
    assert scene.left("b1") == ["stop b"]
    assert scene.reload(restart="a", groups=groups, **models) == []
    assert scene.stopped("b") == ["start c"]
    scene.arrives("b2")
    scene.ready("c")
    assert scene.served("c1") == []
    assert scene.served("a1") == ["stop a"]
    assert scene.stopped("a") == ["confirm 1", "stop c"]
