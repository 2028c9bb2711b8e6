"""What the project exists for, with real processes: agents on several models, and how often those are loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import trio

from .proxy_process import ProxyProcess, agent, ask, demo, running_proxy, until_seated, until_waiting

GAP_S = 0.1
HOLD = "1.5"
"""Far above the gap: a busy machine stretches gaps, and a hold that is over by then would tell nothing."""

SUB_AGENTS = demo("explorer", _priority=3, _unload_delay=HOLD) + demo("coder", _priority=2, _unload_delay=HOLD)
STORY = demo("orchestrator", _priority=1) + SUB_AGENTS


STORY_WITH_PLANNING = demo("orchestrator", load=0.8, _priority=1) + SUB_AGENTS


async def story(proxy: ProxyProcess, client: httpx.AsyncClient, plan: Callable[[], object] = lambda: None) -> None:
    """An orchestrator plans, its sub-agents work, and it polls meanwhile; see `STORY_WITH_PLANNING`.

    Args:
        proxy: of the three models.
        client: of it.
        plan: called when all the sub-agents have asked: the planning may end.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, client, "orchestrator", "plan")
        await proxy.told(r"-> loading \(orchestrator\)")
        # Whoever finds an idle model there is first, whatever the ranks: the sub-agents start during the planning.
        nursery.start_soon(agent, client, "explorer", 4, GAP_S)
        nursery.start_soon(agent, client, "explorer", 4, GAP_S)
        await until_waiting(client, 3)
        nursery.start_soon(agent, client, "coder", 4, GAP_S)
        await until_waiting(client, 4)
        plan()
        await proxy.told(r"-> loading \(explorer\)")
        nursery.start_soon(agent, client, "orchestrator", 3, GAP_S)


async def test_the_story_makes_four_loads(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, STORY_WITH_PLANNING) as proxy, proxy.client() as client:
        await story(proxy, client)
        assert proxy.loads == ["orchestrator", "explorer", "coder", "orchestrator"]


async def lone_background_agent(client: httpx.AsyncClient) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agent, client, "orchestrator", 8, GAP_S)
        nursery.start_soon(agent, client, "coder", 6, GAP_S)


async def serial_subtasks(client: httpx.AsyncClient) -> None:
    for subtask in ("explorer", "coder", "explorer"):
        await ask(client, "orchestrator")
        await agent(client, subtask, 3, GAP_S)
    await ask(client, "orchestrator")


async def title_beside_main(client: httpx.AsyncClient) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, client, "explorer", "title, please")
        await trio.sleep(GAP_S)
        nursery.start_soon(agent, client, "coder", 4, GAP_S)


@pytest.mark.parametrize("workload", [lone_background_agent, serial_subtasks, title_beside_main])
async def test_no_workload_loads_more_often_than_in_order_of_arrival(
    tmp_path: Path, workload: Callable[[httpx.AsyncClient], Awaitable[None]]
) -> None:
    loads: dict[str, list[str]] = {}

    async def count(strategy: str) -> None:
        folder = tmp_path / strategy
        folder.mkdir()
        rest = f'[scheduler]\nstrategy = "{strategy}"\n'
        async with running_proxy(folder, STORY, rest=rest) as proxy, proxy.client() as client:
            await workload(client)
            loads[strategy] = proxy.loads

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count, "fifo")
        nursery.start_soon(count, "fifo+")
    assert len(loads["fifo+"]) <= len(loads["fifo"]), loads
    assert set(Counter(loads["fifo+"])) == set(Counter(loads["fifo"]))


async def test_endless_traffic_for_one_model_keeps_another_waiting_no_longer_than_its_bound(tmp_path: Path) -> None:
    max_wait_s, service_s, load_s = 1.0, 0.6, 0.1
    models = demo("a", service=service_s, load=load_s, _concurrency=1000)
    models += demo("b", service=service_s, load=load_s, _max_wait=max_wait_s)
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        await ask(client, "a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(endless_traffic, client, "a")
            await until_seated(client, 5)
            asked_at = trio.current_time()
            await ask(client, "b")
            waited = trio.current_time() - asked_at
            nursery.cancel_scope.cancel()
        # Nobody else waits with an earlier deadline (k = 0). On top comes what processes cost on a busy machine.
        bound = max_wait_s + 2 * (service_s + load_s)
        assert max_wait_s <= waited < bound + 3
        assert proxy.loads[:2] == ["a", "b"]


async def endless_traffic(client: httpx.AsyncClient, model: str) -> None:
    """Ask again long before the last answers have come: the model is never without work."""
    async with trio.open_nursery() as nursery:
        while True:
            nursery.start_soon(ask, client, model)
            await trio.sleep(0.05)
