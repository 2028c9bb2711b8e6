"""The health check asks the core: it fails when the core is stuck, however well everything else answers."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio
import trio.testing

from proxy.app import Proxy
from proxy.config import load_config
from states.errors import CoreError
from tests.memory_network import MemoryNetwork

from .fake_fleet import PROXY_PORT, Behaviour, FakeFleet, stage, table

MODELS = table("a") + table("b")


async def health(network: MemoryNetwork) -> httpx.Response:
    async with network.client(PROXY_PORT) as client:
        return await client.get("/health")


async def test_a_working_core_is_healthy_while_it_keeps_somebody_waiting(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, {"a": Behaviour(), "b": Behaviour()}) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask, "a")
        nursery.start_soon(scene.ask, "b")
        await trio.sleep(1)
        answer = await health(scene.network)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_ticket_that_waits_for_nothing_is_a_stuck_core(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """R02: the pending loop blocks for ever, and every fast path still answers."""
    path = tmp_path / "config.toml"
    path.write_text(MODELS)
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        fleet = FakeFleet(network, {"a": Behaviour(), "b": Behaviour()})
        proxy = Proxy(load_config(path), fleet.launch)
        proxy.start(nursery)
        await network.serve(PROXY_PORT, proxy.routes)
        assert (await health(network)).status_code == httpx.codes.OK

        core = proxy.driver._core
        core._settle = lambda: None  # the lost wake-up: what happens is noted, and nothing is decided
        nursery.start_soon(network_ask, network, "a")
        await trio.testing.wait_all_tasks_blocked()

        answer = await health(network)
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "has nothing in its way and is not committed" in answer.json()["error"]["message"]
        async with network.client(PROXY_PORT) as client:
            assert (await client.get("/v1/models")).status_code == httpx.codes.OK
        nursery.cancel_scope.cancel()


async def network_ask(network: MemoryNetwork, model: str) -> None:
    async with network.client(PROXY_PORT) as client:
        await client.post("/v1/chat/completions", json={"model": model})


async def test_a_core_that_broke_down_decides_nothing_more_and_says_so(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, {"a": Behaviour(), "b": Behaviour()}) as scene:

        def explode(_event: object, _now: float) -> list[object]:
            raise CoreError("two and two is five")

        scene.proxy.driver._core.handle = explode
        answer = await health(scene.network)
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "two and two is five" in answer.json()["error"]["message"]
        assert scene.proxy.driver.collapsed.is_set()
        with pytest.raises(CoreError):
            scene.proxy.driver.check_health()
