"""Where names lead, in their order, and what a body is to call the model there."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
import trio.testing

from proxy.config import Config
from proxy.config.routing import Filters
from proxy.naming import Names
from proxy.replies import Problem
from states.group import GroupState
from states.settings import ModelId

from .routed import configured, peer, profile, routed, selector

CLOUD = peer("cloud", "https://cloud.example/api", "large", "shared", "org/deep")
OTHER = peer("other", "http://other.example", "shared", "a")


class Stage:
    """Names over states that a test sets."""

    def __init__(self, config: Config) -> None:
        self.states: dict[ModelId, GroupState] = {}
        self.down: set[str] = set()
        self.names = Names(config, lambda: self.states, self.down.__contains__)

    def leads(self, name: str) -> str:
        route = self.names.find(name)
        return f"{route.peer}:{route.model}" if route.peer else route.model

    def load(self, **states: GroupState) -> None:
        self.states = {ModelId(name): state for name, state in states.items()}


def fails(stage: Stage, name: str) -> str:
    with pytest.raises(Problem) as caught:
        stage.names.find(name)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    return caught.value.message


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    change = routed(
        CLOUD,
        OTHER,
        selector("any", "warm", "a", "b-alias"),
        profile("away", b="a", best="any", far="cloud/large", large=None, again="best"),
        b={"aliases": ("b-alias", "x"), "filters": Filters(set_by_name={"b-high": {"n": 1}, "b": {"n": 0}})},
    )
    return Stage(change(configured(tmp_path, "a", "b")))


def test_a_name_is_an_id_an_alias_a_filters_name_or_a_peers(stage: Stage) -> None:
    led = {name: stage.leads(name) for name in ("a", "b", "x", "b-high", "cloud/large", "large", "cloud/org/deep")}
    assert list(led.values()) == ["a", "b", "b", "b", "cloud:large", "cloud:large", "cloud:org/deep"]


def test_a_bare_name_is_a_peers_only_if_no_other_peer_and_nothing_here_has_it(stage: Stage) -> None:
    assert [stage.leads(name) for name in ("a", "other/a", "other/shared")] == ["a", "other:a", "other:shared"]
    assert "there is no model 'shared'; did you mean other/shared or cloud/shared?" in fails(stage, "shared")


def test_a_pin_of_the_active_profile_comes_before_everything_and_once(stage: Stage) -> None:
    assert stage.leads("b") == "b"
    stage.names.switch("away")
    assert [stage.leads(name) for name in ("b", "best", "far", "cloud/large")] == [
        "a",
        "a",
        "cloud:large",
        "cloud:large",
    ]
    assert fails(stage, "large") == "large is switched off by the active profile, away"
    fails(stage, "again")  # best is a pin too, and pins do not chain
    stage.names.switch(None)
    assert stage.leads("large") == "cloud:large"


def test_only_a_profile_that_there_is_can_be_switched_to(stage: Stage) -> None:
    stage.names.switch("away")
    with pytest.raises(Problem) as caught:
        stage.names.switch("home")
    assert caught.value.message == "there is no profile 'home'; there are away"
    assert stage.names.profile == "away"


def test_a_body_calls_the_model_as_the_server_does(tmp_path: Path) -> None:
    change = routed(
        CLOUD,
        selector("pinned", "pin", "x"),
        selector("remote", "pin", "cloud/large"),
        profile("p", nick="a"),
        a={"use_model_name": "org/real-a"},
        b={"aliases": ("x",)},
    )
    stage = Stage(change(configured(tmp_path, "a", "b")))
    stage.names.switch("p")
    sent = {name: stage.names.find(name).sent_as for name in ("a", "nick", "b", "x", "pinned", "cloud/large", "remote")}
    assert sent == {
        "a": "org/real-a",
        "nick": "org/real-a",
        "b": "b",
        "x": "x",
        "pinned": "x",
        "cloud/large": "large",
        "remote": "large",
    }


def test_what_a_filter_sets_by_name_goes_by_the_name_at_the_end(tmp_path: Path) -> None:
    filters = Filters(set_by_name={"high": {"effort": 2}})
    at_peer = Filters(set_by_name={"large": {"effort": 3}})
    change = routed(
        peer("cloud", "http://c", "large", filters=at_peer),
        selector("auto", "pin", "high"),
        profile("p", fast="high"),
        a={"filters": filters},
    )
    stage = Stage(change(configured(tmp_path, "a")))
    stage.names.switch("p")
    body = b'{"model":"?"}'
    sent = {name: stage.names.find(name).body(body, "?") for name in ("a", "high", "auto", "fast", "cloud/large")}
    assert sent == {
        "a": b'{"model":"a"}',
        "high": b'{"model":"high","effort":2}',
        "auto": b'{"model":"high","effort":2}',
        "fast": b'{"model":"high","effort":2}',
        "cloud/large": b'{"model":"large","effort":3}',
    }


def test_a_selector_goes_by_what_is_loaded_now(stage: Stage) -> None:
    assert stage.leads("any") == "a"
    stage.load(b=GroupState.ACTIVE)
    assert stage.leads("any") == "b"
    stage.load(b=GroupState.ACTIVE, a=GroupState.DRAINING)
    assert stage.leads("any") == "a"
    stage.load(b=GroupState.LOADING, a=GroupState.UNLOADING)
    assert stage.leads("any") == "b"


def test_a_spillover_counts_what_it_has_sent_and_avoids_a_peer_that_is_down(tmp_path: Path) -> None:
    change = routed(CLOUD, selector("wide", "spillover", "a", "cloud/large", spillover=2))
    stage = Stage(change(configured(tmp_path, "a")))
    stage.load(a=GroupState.ACTIVE)
    with ExitStack() as under_way:
        led = []
        for _ in range(3):
            route = stage.names.find("wide")
            under_way.enter_context(stage.names.under_way(route))
            led.append(route.peer)
        assert led == [None, None, "cloud"]
        stage.down.add("cloud")
        assert stage.leads("wide") == "a"
        stage.down.clear()
        assert stage.leads("wide") == "cloud:large"


def test_a_request_that_has_ended_is_not_counted_any_more(stage: Stage) -> None:
    with stage.names.under_way(stage.names.find("any")), stage.names.under_way(stage.names.find("a")):
        assert sum(stage.names._busy.values()) == 1
    assert not stage.names._busy


def test_a_choice_is_said_when_it_changes(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="trio_swap.names"):
        for _ in range(3):
            stage.leads("any")
        stage.load(b=GroupState.ACTIVE)
        stage.leads("any")
    assert [record.getMessage() for record in caplog.records] == [
        "any leads to a: none is loaded, and it is the first that could be",
        "any leads to b-alias: it is loaded",
    ]


def test_the_active_profile_stays_over_a_reload_if_it_is_still_there(tmp_path: Path, stage: Stage) -> None:
    stage.names.switch("away")
    bare = configured(tmp_path, "a", "b", "c")
    stage.names.reconfigure(routed(profile("away", c="b"))(bare))
    assert (stage.names.profile, stage.leads("c")) == ("away", "b")
    stage.names.reconfigure(bare)
    assert (stage.names.profile, stage.leads("c")) == (None, "c")


async def test_neither_finding_a_name_nor_opening_a_nursery_lets_anything_run_in_between(stage: Stage) -> None:
    """So a reload falls before the name was found or behind the place in line, as `Routes` needs it."""
    manager = trio.open_nursery()
    with trio.testing.assert_no_checkpoints():
        stage.names.find("any")
        await manager.__aenter__()
    await manager.__aexit__(None, None, None)
