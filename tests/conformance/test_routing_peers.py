"""Peers, against sections 1.5, 1.6, 2.11 of llama-swap's behaviour. Docstrings say which, what differs and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from proxy.app import shut_down
from tests.proxy.fake_fleet import PROXY_PORT
from tests.proxy.routed import peer

from .routing_stage import CHAT, FAR, Routing, routing


async def send(it: Routing, model: str = "cloud", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with it.scene.network.client(PROXY_PORT) as client:
        return await client.post(CHAT, json={"model": model}, headers=named)


async def test_a_qualified_name_always_leads_there_and_a_bare_one_if_nothing_else_has_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.11."""
    parts = (peer("far", FAR, "cloud", "twice", "small"), peer("near", FAR, "twice"))
    async with routing(tmp_path, *parts) as it:
        names = ("far/cloud", "cloud", "far/small", "small", "near/twice", "twice")
        assert [await it.ask(name) for name in names] == ["far", "far", "far", "small", "far", "model_not_found"]


async def test_the_path_is_appended_the_name_is_bare_and_the_host_is_the_peers(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.11."""
    async with routing(tmp_path, peer("far", f"{FAR}/api", "org/cloud")) as it:
        await send(it, "far/org/cloud", x_forwarded_for="10.1.1.1", x_forwarded_proto="http")
        assert (it.far_path, it.far_head[b"host"]) == (b"/api/v1/chat/completions", b"far.example:700")
        assert json.loads(it.far_body) == {"model": "org/cloud"}
        assert not [name for name in it.far_head if name.startswith(b"x-forwarded")]


async def test_a_peers_key_is_sent_both_ways_over_the_clients(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.11."""
    async with routing(tmp_path, peer("far", FAR, "cloud", api_key="theirs")) as it:
        await send(it, authorization="Bearer mine", x_api_key="mine")
        assert (it.far_head[b"authorization"], it.far_head[b"x-api-key"]) == (b"Bearer theirs", b"theirs")


async def test_without_a_key_of_the_peers_the_clients_own_is_sent(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.11; where this proxy asks for keys itself they are its own, and stay here (`tests/proxy/test_peers.py`)."""
    async with routing(tmp_path, peer("far", FAR, "cloud")) as it:
        await send(it, authorization="Bearer mine")
        assert it.far_head[b"authorization"] == b"Bearer mine"


async def test_a_connection_that_fails_is_502_in_json_with_the_reason(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.11."""
    async with routing(tmp_path, peer("off", "http://off.example:1", "cloud")) as it:
        response = await send(it)
        assert (response.status_code, response.json()["error"]["code"]) == (502, "peer_down")
        assert "no connection to off.example:1" in response.json()["error"]["message"]


@pytest.mark.parametrize(("keys", "most"), [({}, 4), ({"concurrency": 2}, 2)])
async def test_a_peer_takes_everything_unless_it_has_a_limit(
    tmp_path: Path, autojump_clock: MockClock, keys: dict[str, Any], most: int
) -> None:
    """2.11 and W24, different on purpose: there is no limit there; here there may be one, and who is over it waits."""
    async with routing(tmp_path, peer("far", FAR, "cloud", **keys)) as it, trio.open_nursery() as nursery:
        it.far_service_s = 1.0
        for _ in range(4):
            nursery.start_soon(send, it)
        await trio.sleep(0.5)
        assert len(it.scene.proxy.peers._peers["far"]._seated) == most


async def test_a_peer_that_is_this_proxy_does_not_go_on_for_ever(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.11 and W24, different on purpose: there it recurses until no descriptor is left."""
    async with routing(tmp_path, peer("me", f"http://127.0.0.1:{PROXY_PORT}", "cloud")) as it:
        response = await send(it)
        assert (response.status_code, response.json()["error"]["code"]) == (508, "loop_detected")


async def test_nobody_waits_for_a_peer_that_was_not_there_a_moment_ago(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.11 and W12, W24, different on purpose: passive health, with `Retry-After`."""
    async with routing(tmp_path, peer("off", "http://off.example:1", "cloud")) as it:
        await send(it)
        began = trio.current_time()
        response = await send(it)
        assert trio.current_time() == began
        assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(("service_s", "code"), [(3.0, "far"), (30.0, "shutting_down")])
async def test_at_shutdown_requests_at_a_peer_may_finish_in_time(
    tmp_path: Path, autojump_clock: MockClock, service_s: float, code: str
) -> None:
    """1.5, 1.6: within the budget, and then they end; here with an error that says why, not an empty answer."""
    async with routing(tmp_path, peer("far", FAR, "cloud")) as it, trio.open_nursery() as nursery:
        it.far_service_s = service_s
        answers: list[str] = []

        async def client() -> None:
            answers.append(await it.ask("cloud"))

        nursery.start_soon(client)
        await trio.sleep(1)
        await shut_down(it.scene.proxy, it.scene.http, 10.0)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == [code]
