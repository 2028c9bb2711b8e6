"""The traps that proxies of this kind fell into, each sprung on a whole proxy: real sockets, signals and processes."""

from __future__ import annotations

import random
import signal
import sys
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles

import httpx
import pytest
import trio

from .conditions import until
from .played_server import EVENTS, LAST_CHUNK, STUBBORN, Line, answer, chunk, open_stage
from .process_table import linux_only, living, open_files, processes_below
from .proxy_process import ProxyProcess, ask, demo, queue_of, running_proxy, until_free
from .raw_client import calling, post

PIECE = 64 * 1024
STALLED_S = 0.25
"""Nothing has moved for so long: every buffer on the way is full."""
MOST_ON_THE_WAY = 32 * 1024 * 1024
"""Far more than the buffers of four sockets, far less than what a server sends within a second."""


async def until_stalled(progress: list[int]) -> None:
    seen = -1
    with trio.fail_after(20):
        while progress[0] != seen or not seen:
            seen = progress[0]
            await trio.sleep(STALLED_S)


@pytest.mark.parametrize("signals", [1, 2])
async def test_a_client_that_stops_reading_does_not_hang_shutdown(tmp_path: Path, signals: int) -> None:
    """R60."""
    drain_s = 0.3 if signals == 1 else 600
    async with open_stage() as stage, trio.open_nursery() as nursery:
        server = f"shutdown_timeout = {drain_s}"
        async with (
            running_proxy(tmp_path, stage.model("m"), server=server) as proxy,
            calling(proxy, post("m", stream=True), receive_buffer=4096) as caller,
        ):
            progress = [0]
            line = await stage.asked()
            await line.send(EVENTS)
            nursery.start_soon(line.pour, chunk(b"x" * PIECE), progress)
            await caller.head()
            await until_stalled(progress)
            assert progress[0] * PIECE < MOST_ON_THE_WAY
            told_at = trio.current_time()
            for _ in range(signals - 1):
                proxy.process.send_signal(signal.SIGTERM)
                await proxy.told("shutting down")
            assert await proxy.end() == 0
            assert trio.current_time() - told_at < drain_s % 600 + 8


async def test_a_client_that_stops_reading_holds_up_nobody_else(tmp_path: Path) -> None:
    """R60: neither other clients of the same server, nor, longer than its grace, an unload."""
    async with (
        open_stage() as stage,
        trio.open_nursery() as nursery,
        running_proxy(tmp_path, stage.model("m", unload_timeout=0.3)) as proxy,
        calling(proxy, post("m", stream=True), receive_buffer=4096),
        proxy.client() as client,
    ):
        progress = [0]
        line = await stage.asked()
        await line.send(EVENTS)
        nursery.start_soon(line.pour, chunk(b"x" * PIECE), progress)
        await until_stalled(progress)
        async with calling(proxy, post("m", stream=True)) as other:
            second = await stage.asked()
            await second.send(EVENTS + chunk(b"data: 1\n\n") + LAST_CHUNK)
            assert b"data: 1" in await other.until(LAST_CHUNK)
        response = await client.post("/api/models/unload/m")
        assert response.status_code == httpx.codes.OK
        await until_free(client)


async def test_a_client_that_stops_reading_gives_its_seat_up_in_the_end(tmp_path: Path) -> None:
    """R60: to the next in line, after `server.send_timeout`; the server hears of it."""
    async with (
        open_stage() as stage,
        trio.open_nursery() as nursery,
        running_proxy(tmp_path, stage.model("m", concurrency=1), server="send_timeout = 0.5") as proxy,
        calling(proxy, post("m", stream=True), receive_buffer=4096) as stuck,
    ):
        line = await stage.asked()
        await line.send(EVENTS)
        nursery.start_soon(line.pour, chunk(b"x" * PIECE), [0])
        await stuck.head()
        async with calling(proxy, post("m")) as next_one:
            await (await stage.asked()).send(answer(b"served"))
            await next_one.until(b"served")
        await proxy.told(r"took nothing of its answer for 0.5 s \(server.send_timeout\)")
        with pytest.raises(trio.BrokenResourceError):
            await stuck.rest()


@linux_only
@pytest.mark.parametrize(
    ("behind", "server"), [(1, "silent"), (2000, "talks")], ids=["a few bytes", "more than is read ahead"]
)
@pytest.mark.parametrize("farewell", ["in good order", "with a reset"])
async def test_a_disconnect_after_pipelined_bytes_leaks_no_task_or_descriptor(
    tmp_path: Path, behind: int, server: str, farewell: str
) -> None:
    """R50: noticed at once, or, behind more than is read ahead, by the next bytes for the client."""
    pipelined = b"GET /v1/models HTTP/1.1\r\nHost: test\r\n\r\n" * behind
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("m", concurrency=100)) as proxy,
        proxy.client() as client,
    ):
        await until_free(client)
        before = open_files(proxy.pid)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(_leave_mid_stream, proxy, post("m", stream=True) + pipelined, farewell)
            for _ in range(20):
                line = await stage.asked()
                await line.send(EVENTS + chunk(b"data: 1\n\n"))
                nursery.start_soon(Line.gone if server == "silent" else _talk, line)
        await until_free(client, within_s=5)
        assert (await client.post("/api/models/unload")).status_code == httpx.codes.OK
        await until(lambda: open_files(proxy.pid) == before)


async def _leave_mid_stream(proxy: ProxyProcess, request: bytes, farewell: str) -> None:
    async with calling(proxy, request) as caller:
        await caller.until(b"data: 1\n\n")
        await (caller.reset() if farewell == "with a reset" else caller.hang_up())


async def _talk(line: Line) -> None:
    """Send an event now and then until the proxy hangs up."""
    with trio.fail_after(20), suppress(trio.BrokenResourceError):
        while True:
            await line.send(chunk(b"data: 2\n\n"))
            await trio.sleep(0.02)


@linux_only
async def test_two_hundred_clients_cancelled_at_random_leave_nothing_behind(tmp_path: Path) -> None:
    """R11, R50, R51: no seat, ticket, connection or descriptor."""
    models = "".join(demo(name, service=0.02, tokens=20, tokens_per_second=200, _concurrency=4) for name in "abc")
    rest = '[groups.pair]\nmembers = ["a", "b"]\n\n[groups.other]\nmembers = ["c"]\npersistent = true\n'
    async with running_proxy(tmp_path, models, rest=rest) as proxy, proxy.client() as client:
        await client.get("/health")
        before = open_files(proxy.pid)
        chance = random.Random(20)
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(_come_and_go, proxy, chance.choice("abc"), chance.uniform(0, 2), number % 3)
        await until_free(client, within_s=10)
        async with proxy.client() as others:
            for name in "abc":
                # As many at once as there are seats: none is lost.
                async with trio.open_nursery() as nursery:
                    for _ in range(4):
                        nursery.start_soon(ask, others, name)
        assert (await client.post("/api/models/unload")).status_code == httpx.codes.OK
        assert {group["state"] for group in (await queue_of(client))["groups"]} == {"idle"}
        await until(lambda: open_files(proxy.pid) == before)


async def _come_and_go(proxy: ProxyProcess, model: str, stays_s: float, way: int) -> None:
    async with calling(proxy, post(model, stream=way > 0)) as caller:
        with trio.move_on_after(stays_s):
            await caller.until(b"[DONE]" if way > 0 else b'"usage"')
        await (caller.reset() if way == 1 else caller.hang_up())


async def test_a_server_that_ignores_sigterm_does_not_delay_requests_to_other_models(tmp_path: Path) -> None:
    """R03, W2: by at most 50 ms, loaded models and others; the peer's router stands still for the whole grace."""
    grace_s, allowed_s = 4.0, 0.05
    async with open_stage() as stage:
        models = stage.model("stubborn", command=STUBBORN, unload_timeout=grace_s)
        models += demo("next") + demo("steady", service=0.0) + stage.model("cold")
        rest = "".join(
            f"[groups.{name}]\nmembers = {members}\npersistent = true\n"
            for name, members in {"one": ["stubborn", "next"], "two": ["steady"], "three": ["cold"]}.items()
        )
        async with running_proxy(tmp_path, models, rest=rest) as proxy, proxy.client() as client:
            await ask(client, "steady")
            async with calling(proxy, post("stubborn")):
                await stage.asked()
            await until_free(client)
            undisturbed = await _latencies(client)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, client, "next")
                disturbed = await _latencies(client)
                async with calling(proxy, post("cold")) as caller:
                    await (await stage.asked()).send(answer(b"loaded meanwhile"))
                    await caller.until(b"loaded meanwhile")
                assert proxy.loads == ["steady", "stubborn", "cold"], "it did not take its whole grace"
                await proxy.told(r"-> loading \(next\)")
    # A standstill, or several, of a tenth of the time would show in the second.
    assert median(disturbed) - median(undisturbed) <= allowed_s
    assert quantiles(disturbed, n=10)[-1] - quantiles(undisturbed, n=10)[-1] <= allowed_s


async def _latencies(client: httpx.AsyncClient) -> list[float]:
    """Ask a loaded model a hundred times, whether it has answered or not: a standstill delays all that fall into it."""
    latencies: list[float] = []

    async def request() -> None:
        asked_at = trio.current_time()
        await ask(client, "steady")
        latencies.append(trio.current_time() - asked_at)

    async with trio.open_nursery() as nursery:
        began_at = trio.current_time()
        for number in range(100):
            await trio.sleep_until(began_at + number * 0.02)
            nursery.start_soon(request)
    return latencies


@linux_only
async def test_sigkill_of_the_proxy_leaves_no_server_after_a_second(tmp_path: Path) -> None:
    """R20: neither a server, nor one behind a shell, nor one that has moved to a session of its own."""
    demo_model = f"{sys.executable} -m proxy.cli demo-model --port ${{PORT}} --name"
    wrapped = f"""sh -c "{demo_model} wrapped --load 0 & wait" """
    moved = f"""sh -c "setsid {demo_model} moved --ignore-sigterm & setsid sleep 600 & wait" """
    models = demo("plain", ignore_sigterm="") + f"[models.wrapped]\ncmd = '''{wrapped}'''\n\n"
    models += f"[models.moved]\ncmd = '''{moved}'''\n"
    rest = '[groups.all]\nmembers = ["plain", "wrapped", "moved"]\nswap = false\n'
    async with running_proxy(tmp_path, models, rest=rest) as proxy, proxy.client() as client:
        for name in ("plain", "wrapped", "moved"):
            await ask(client, name)
        servers = [each.pid for each in processes_below(proxy.pid)]
        assert len(servers) >= 6, servers
        proxy.process.kill()
        await proxy.process.wait()
        killed_at = trio.current_time()
        await until(lambda: not living(servers), within_s=1)
        assert trio.current_time() - killed_at < 1
