"""State and tasks agree: what a group's machine says, its nursery does."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing

from states.group import GroupState

from .fake_fleet import PROXY_PORT, Behaviour, Stage, stage, table

MODELS = table("a", "unload_delay = 3") + table("b")


async def test_a_group_goes_through_all_six_states_with_the_tasks_that_belong_to_each(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    seen: dict[GroupState, set[str]] = {}

    def look(scene: Stage) -> None:
        run = scene.proxy.groups[next(iter(scene.proxy.groups))].run
        seen[scene.state] = set() if run is None else set(run.tasks)

    async with stage(tmp_path, MODELS, {"a": Behaviour(), "b": Behaviour()}) as scene:
        async with trio.open_nursery() as nursery:
            look(scene)
            nursery.start_soon(scene.ask, "a")
            await trio.sleep(1)  # a loads until 2 and serves until 3
            look(scene)
            await trio.sleep(1.5)
            look(scene)
            nursery.start_soon(scene.ask, "b")
            await trio.testing.wait_all_tasks_blocked()
            look(scene)
            await trio.sleep(1)  # held from 3 to 6
            look(scene)
            await trio.sleep(2.7)  # stops until 6.5
            look(scene)
        assert scene.fleet.served == ["a", "b"]
    assert seen == {
        GroupState.IDLE: set(),
        GroupState.LOADING: {"load", "watch"},
        GroupState.ACTIVE: {"watch"},
        GroupState.DRAINING: {"watch"},
        GroupState.DEBOUNCE: {"watch"},
        GroupState.UNLOADING: {"stop"},
    }


async def test_a_swap_waits_for_the_hold_and_not_a_moment_longer(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, {"a": Behaviour(), "b": Behaviour()}) as scene:
        since = trio.current_time()
        await scene.ask("a")  # 2 load, 1 service
        await scene.ask("b")  # 3 hold, 0.5 stop, 2 load, 1 service
        assert trio.current_time() - since == pytest.approx(9.5)
        assert scene.fleet.loads == ["a", "b"]


async def test_a_bug_in_one_group_fails_its_tickets_and_leaves_the_others_running(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    groups = '[groups.one]\nmembers = ["a"]\nexclusive = false\n[groups.two]\nmembers = ["b"]\nexclusive = false\n'
    behaviours = {"a": Behaviour(explodes=True), "b": Behaviour()}
    logging.getLogger("trio_swap").propagate = True
    async with stage(tmp_path, MODELS, behaviours, groups) as scene:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.ask, "b")
            response = await scene.ask("a")
        assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "bug" in response.json()["error"]["message"]
        assert "ZeroDivisionError" in caplog.text
        assert "idle -> loading (a)" in caplog.text
        assert scene.fleet.served == ["b"]
        assert (await scene.ask("b")).text == "b"
        behaviours["a"].explodes = False
        assert (await scene.ask("a")).text == "a"


async def test_a_server_that_cannot_be_started_is_an_answer_and_then_a_pause(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, table("a"), {"a": Behaviour(launch_error="a: no such command")}) as scene:
        answers = [await scene.ask("a") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503, 503, 503]
        codes = [answer.json()["error"]["code"] for answer in answers]
        assert codes == ["load_failed", "load_failed", "paused"]
        assert "a: no such command" in answers[0].text
        assert answers[2].headers["retry-after"] == "1"


async def test_a_load_that_takes_too_long_is_a_gateway_timeout_and_what_is_left_is_stopped(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, table("a", "load_timeout = 5"), {"a": Behaviour(load_s=9)}) as scene:
        answer = await scene.ask("a")
        assert answer.status_code == httpx.codes.GATEWAY_TIMEOUT
        assert "it was still thinking" in answer.json()["error"]["message"]
        await trio.sleep(1)
        assert not scene.fleet.alive


async def test_two_hundred_swaps_between_two_impatient_clients_take_their_time_and_no_more(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """R09: rapid switching of small models hangs."""
    quick = {name: Behaviour(load_s=0.003, service_s=0.001, stop_s=0.001) for name in "ab"}

    async def client(scene: Stage, model: str) -> None:
        for _ in range(100):
            assert (await scene.ask(model)).text == model

    async with stage(tmp_path, table("a") + table("b"), quick) as scene:
        since = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client, scene, "a")
            nursery.start_soon(client, scene, "b")
        assert trio.current_time() - since < 200 * 0.006
        assert len(scene.fleet.served) == 200


async def test_the_queue_says_of_a_hold_how_long_it_still_is(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, {"a": Behaviour(), "b": Behaviour()}) as scene:
        await scene.ask("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.ask, "b")
            await trio.sleep(1)
            async with scene.network.client(PROXY_PORT) as client:
                queue = (await client.get("/api/queue")).json()
        (group,), (ticket,) = queue["groups"], queue["waiting"]
        assert (group["state"], group["hold_s"]) == ("debounce", pytest.approx(2))
        assert ticket["why"] == "a must leave and is held for another 2.0 s"
        assert ticket["reason"] == {"kind": "Held", "victim": "a", "remaining_s": pytest.approx(2)}
        assert ticket["age_s"] == pytest.approx(1)
