"""How the proxy starts, what signals do and how it ends, against sections 1.3, 1.4 and 1.6 of llama-swap's behaviour.

Each docstring begins with its section; where we differ on purpose it says so, and why. Time is virtual, except where a
process is the point. A reload (1.5) is in `tests/live/test_reload.py`.
"""

from __future__ import annotations

import signal
import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from proxy.app import shut_down
from proxy.config import load_config
from states.group import GroupState
from tests.live.conditions import until
from tests.live.process_table import linux_only, living, processes_below
from tests.live.proxy_process import ask, demo, running_proxy, serve_command, write_config
from tests.proxy.fake_fleet import Behaviour, Stage, stage, table

from .config_stage import MODEL, load
from .routing_stage import TOGETHER, said

PRELOAD = '[hooks.on_startup]\npreload = ["m"]\n'

# 1.3 The start


async def test_nothing_is_started_where_it_cannot_listen(tmp_path: Path) -> None:
    """1.3, 1.2: 1. Better: there models are preloaded by then, and left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        models = f"[models.m]\ncmd = ['touch', '{tmp_path}/started', '${{PORT}}']\n"
        listen = f'listen = "127.0.0.1:{taken.getsockname()[1]}"\n'
        command = serve_command(write_config(tmp_path, models, server=listen, rest=PRELOAD))
        with trio.fail_after(20):
            ended = await trio.run_process(command, capture_stderr=True, check=False)
    assert (ended.returncode, b"in use" in ended.stderr) == (1, True)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_listens_then_preloads_and_ends_well_when_it_is_told_to(tmp_path: Path, number: int) -> None:
    """1.3, 1.4, 1.6: exit code 0. Different: there the preload begins first."""
    async with running_proxy(tmp_path, demo("m"), rest=PRELOAD) as proxy:
        await proxy.told("-> active")
        (listens,), (loads,) = (
            [place for place, line in enumerate(proxy.lines) if word in line]
            for word in ("listening on http", "-> loading")
        )
        assert listens < loads
        assert await proxy.end(number) == 0


@pytest.mark.parametrize(
    ("listen", "is_open"),
    [
        ("127.0.0.1:8080", False),
        ("127.8.8.8:8080", False),
        ("[::1]:8080", False),
        ("localhost:8080", False),
        ("unix:/tmp/swap.sock", False),
        ("0.0.0.0:8080", True),
        ("[::]:8080", True),
        ("192.0.2.1:8080", True),
        ("example.net:8080", True),
    ],
)
def test_it_is_said_when_others_can_reach_it(tmp_path: Path, listen: str, *, is_open: bool) -> None:
    """1.3. Better: as a warning, where no key is asked for. Different: every name but `localhost` counts, as nothing is
    looked up."""
    file = tmp_path / "config.toml"
    file.write_text(f'[server]\nlisten = "{listen}"\n[models.m]\ncmd = "x ${{PORT}}"\n')
    assert bool(load_config(file, {}).unprotected) is is_open


# 1.4 Signals


async def test_hanging_up_reloads_and_interrupts_nothing(tmp_path: Path) -> None:
    """1.4: SIGHUP."""
    async with running_proxy(tmp_path, demo("m")) as proxy, proxy.client() as client:
        await ask(client, "m")
        proxy.process.send_signal(signal.SIGHUP)
        await until_reloaded(client)
        await ask(client, "m")
        assert proxy.loads == ["m"]


async def until_reloaded(client: httpx.AsyncClient) -> None:
    """Wait for the outcome of a reload."""
    with trio.fail_after(10):
        while (await client.get("/api/reload")).json()["reload"] is None:  # noqa: ASYNC110  it is another process
            await trio.sleep(0.005)


async def test_a_second_signal_hurries(tmp_path: Path, autojump_clock: MockClock) -> None:
    """1.4. Better: there it is swallowed."""
    async with serving(tmp_path, Behaviour(service_s=600, stop_s=600)) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask, "m")
        await trio.sleep(3)
        nursery.start_soon(hurry_after, 5.0, scene)
        assert await seconds_to_end(scene) == pytest.approx(5)


@linux_only
async def test_servers_die_with_a_proxy_that_is_killed(tmp_path: Path) -> None:
    """1.4, 9 (W20). Better: on Unix they are left running there."""
    async with running_proxy(tmp_path, demo("m", ignore_sigterm="")) as proxy, proxy.client() as client:
        await ask(client, "m")
        servers = [each.pid for each in processes_below(proxy.pid)]
        assert servers
        proxy.process.kill()
        await proxy.process.wait()
        await until(lambda: not living(servers))


# 1.6 The end


def serving(folder: Path, behaviour: Behaviour) -> AbstractAsyncContextManager[Stage]:
    """A proxy with one model, which takes one request at a time."""
    return stage(folder, table("m", "concurrency = 1\nunload_timeout = 10"), {"m": behaviour})


async def seconds_to_end(scene: Stage, drain_s: float = 30) -> float:
    """Shut down; return what it took."""
    began_at = trio.current_time()
    await shut_down(scene.proxy, scene.http, drain_s)
    assert not scene.fleet.alive
    return trio.current_time() - began_at


async def hurry_after(seconds: float, scene: Stage) -> None:
    """Give the second signal when so much time has passed."""
    await trio.sleep(seconds)
    scene.proxy.driver.hurry()


def test_requests_may_take_half_a_minute_more_unless_something_else_is_said(tmp_path: Path) -> None:
    """1.6. Better: `shutdown_timeout` says something else."""
    assert load(tmp_path, MODEL).shutdown_timeout_s == 30


async def test_an_idle_proxy_ends_when_its_servers_have_all_at_the_same_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """1.6: in parallel."""
    behaviours = {name: Behaviour(stop_s=4) for name in ("both-a", "both-b")}
    async with stage(tmp_path, table("both-a") + table("both-b"), behaviours, TOGETHER) as scene:
        for name in behaviours:
            await scene.ask(name)
        assert len(scene.fleet.alive) == 2
        assert await seconds_to_end(scene) == pytest.approx(4)


async def test_who_is_served_may_finish_and_then_the_server_stops(tmp_path: Path, autojump_clock: MockClock) -> None:
    """1.6."""
    async with serving(tmp_path, Behaviour(load_s=1, service_s=25)) as scene, trio.open_nursery() as nursery:
        answers: list[httpx.Response] = []
        nursery.start_soon(take, scene, answers)
        await trio.sleep(5)
        assert await seconds_to_end(scene) == pytest.approx(21.5)
        assert [answer.text for answer in answers] == ["m"]


async def test_who_waits_is_refused_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """1.6. Different: there queued and loading requests are scheduled on, and cut when the time is over; here they can
    go elsewhere while there is time."""
    async with serving(tmp_path, Behaviour(load_s=1, service_s=25)) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask, "m")
        await trio.sleep(5)
        answers: list[httpx.Response] = []
        nursery.start_soon(take, scene, answers)
        await wait_all_tasks_blocked()
        nursery.start_soon(seconds_to_end, scene)
        await wait_all_tasks_blocked()
        assert [(answer.status_code, said(answer)) for answer in answers] == [(503, "shutting_down")]


async def test_a_load_is_given_up_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """1.6. Different: there whoever waits for it is waited for."""
    async with serving(tmp_path, Behaviour(load_s=600)) as scene, trio.open_nursery() as nursery:
        answers: list[httpx.Response] = []
        nursery.start_soon(take, scene, answers)
        await trio.sleep(5)
        assert await seconds_to_end(scene) == pytest.approx(0.5)
        assert said(answers[0]) == "shutting_down"


async def test_no_connection_is_taken_any_more(tmp_path: Path, autojump_clock: MockClock) -> None:
    """1.6."""
    async with serving(tmp_path, Behaviour(load_s=1, service_s=25)) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask, "m")
        await trio.sleep(5)
        nursery.start_soon(seconds_to_end, scene)
        await wait_all_tasks_blocked()
        with pytest.raises(httpx.TransportError):
            await scene.ask("m")


async def test_an_answer_that_takes_too_long_is_cut_and_its_client_can_tell(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """1.6. Better: after the same 30 s it ends cleanly there, as if that were all."""
    async with serving(tmp_path, Behaviour(load_s=1, answer_s=600)) as scene, trio.open_nursery() as nursery:

        async def end() -> None:
            await trio.sleep(3)
            assert await seconds_to_end(scene) == pytest.approx(30.5)

        nursery.start_soon(end)
        with pytest.raises(httpx.RemoteProtocolError):
            await scene.ask("m")


async def test_the_slowest_end_is_the_time_for_requests_and_then_the_grace_of_a_server(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """1.6. Different: there the grace is what is left of the 30 s, perhaps a millisecond, and at 35 s the proxy exits
    with 1 and leaves its servers behind; here nothing is left behind, and service managers are told how long it may
    take."""
    behaviour = Behaviour(load_s=1, service_s=600, stop_s=600)
    async with serving(tmp_path, behaviour) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask, "m")
        await trio.sleep(3)
        assert await seconds_to_end(scene) == pytest.approx(30 + 10)
        assert scene.state is GroupState.IDLE


async def take(scene: Stage, answers: list[httpx.Response]) -> None:
    """Ask, and keep the answer."""
    answers.append(await scene.ask("m"))
