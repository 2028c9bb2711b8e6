"""Rule 13: a preload is a claim behind every ticket, made only where nobody must leave."""

from __future__ import annotations

from states.group import GroupState

from .drama import Drama, group, model


def test_a_preload_starts_a_server_without_a_passenger() -> None:
    play = Drama(a=model())
    assert play.preload("a") == ["start a"]
    assert play.ready("a") == []
    assert play.state("a") is GroupState.ACTIVE
    assert play.arrives("a1") == ["grant a1"]


def test_a_ticket_that_arrives_while_it_loads_is_its_passenger() -> None:
    play = Drama(a=model())
    play.preload("a")
    assert play.arrives("a1") == []
    assert play.ready("a") == ["grant a1"]


def test_nobody_leaves_for_a_preload_and_it_is_told() -> None:
    """R75: it does not silently do nothing."""
    play = Drama(a=model(), b=model()).idle("a")
    assert play.preload("b") == ["no preload of b"]
    assert play.unload("a") == ["stop a"]
    assert play.stopped("a") == ["confirm 1"]


def test_of_two_in_one_place_the_first_is_preloaded() -> None:
    play = Drama(a=model(), b=model())
    assert play.preload("a", "b") == ["start a", "no preload of b"]


def test_several_that_fit_are_preloaded_together() -> None:
    play = Drama(groups={"g": group("a", "b", swap=False)}, a=model(), b=model())
    assert play.preload("a", "b") == ["start a", "start b"]


def test_what_is_there_already_needs_no_preload() -> None:
    play = Drama(a=model()).idle("a")
    assert play.preload("a") == []


def test_a_preload_waits_while_a_server_in_its_way_is_being_stopped() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.unload("a")
    assert play.preload("b") == []
    assert play.stopped("a") == ["confirm 1", "start b"]


def test_a_ticket_goes_before_a_preload() -> None:
    play = Drama(a=model(), b=model(), c=model()).idle("a")
    play.unload("a")
    play.preload("b")
    play.arrives("c1")
    assert play.stopped("a") == ["confirm 1", "start c", "no preload of b"]


def test_a_ticket_whose_model_could_not_load_beside_a_preload_commits_before_it() -> None:
    groups = {"p": group("e", "f", persistent=True), "q": group("b", exclusive=False)}
    play = Drama(groups=groups, e=model(), f=model(), b=model()).serving("f1")
    play.arrives("e1")
    assert play.preload("b") == []
    # Once e is committed, b displaces nobody and may join.
    assert play.served("f1") == ["stop f", "start b"]
    assert play.stopped("f") == ["start e"]


def test_a_preload_is_stopped_by_the_first_claim_on_its_place() -> None:
    play = Drama(a=model(unload_delay_s=60, min_loaded_s=60), b=model())
    play.preload("a")
    assert play.arrives("b1") == ["stop a"]
    assert play.stopped("a") == ["start b"]


def test_a_preload_that_fails_harms_nobody() -> None:
    play = Drama(a=model())
    play.preload("a")
    assert play.failed("a") == ["stop a"]
    assert play.stopped("a") == []
    assert play.arrives("a1") == ["start a"]


def test_a_model_in_a_pause_is_not_preloaded() -> None:
    play = Drama(a=model())
    for name in ("a1", "a2"):
        play.arrives(name)
        play.failed("a")
        play.stopped("a")
    assert play.preload("a") == ["no preload of a"]


def test_an_unload_takes_a_waiting_preload_back() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.unload("a")
    play.preload("b")
    play.unload("b", asker=2)
    assert play.stopped("a") == ["confirm 1"]


def test_nothing_is_preloaded_once_the_proxy_ends() -> None:
    play = Drama(a=model())
    play.shutdown(5)
    assert play.preload("a") == []


def test_a_preload_that_still_waits_is_given_up_when_the_proxy_ends() -> None:
    play = Drama(a=model(), b=model()).idle("a")
    play.unload("a")
    assert play.preload("b") == []
    play.shutdown(5)
    assert play.stopped("a") == ["confirm 1", "confirm 99"]
    assert play.loads == ["a"]
