"""The end of the whole proxy: what may finish, what is refused or cut off, what is left of it, and the exit code."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
import trio

from .conditions import until
from .played_server import STUBBORN, answer, open_stage
from .process_table import living, processes_below
from .proxy_process import (
    ProxyProcess,
    ask,
    demo,
    error_of,
    meanwhile,
    running_proxy,
    streaming,
    until_free,
    until_waiting,
)
from .raw_client import calling, post

ENDLESS = {"tokens": 100_000, "tokens_per_second": 50}
HURRIED_S = 3.0
"""The second signal leaves a second or so for last words; the rest is this machine's."""


def refuses_connections(proxy: ProxyProcess) -> bool:
    try:
        socket.create_connection(proxy.address, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


class Ending:
    """Takes the time from the signal to the end, and sees to it that nothing is left."""

    def __init__(self, proxy: ProxyProcess) -> None:
        self._proxy = proxy
        self._started = [each.pid for each in processes_below(proxy.pid)]
        assert self._started
        self._told_at = trio.current_time()
        self.took_s = 0.0

    async def tell(self, number: int = signal.SIGTERM) -> None:
        """Send one signal and wait until it has been noticed."""
        self._proxy.process.send_signal(number)
        await self._proxy.told(f"{signal.Signals(number).name}: shutting down")

    async def ended(self) -> None:
        """Wait for the end: exit code 0, and no process that it had started."""
        with trio.fail_after(20):
            assert await self._proxy.process.wait() == 0
        self.took_s = trio.current_time() - self._told_at
        assert not living(self._started)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_shutdown_lets_who_is_served_finish_refuses_the_rest_and_stops_every_server(
    tmp_path: Path, number: int
) -> None:
    models = demo("m", tokens=40, tokens_per_second=50, _concurrency=1) + demo("rival", _priority=-1)
    models += demo("beside", stop=0.2)
    rest = '[groups.other]\nmembers = ["beside"]\npersistent = true\n'
    async with running_proxy(tmp_path, models, rest=rest) as proxy, proxy.client() as client, proxy.client() as others:
        await ask(others, "beside")
        async with (
            streaming(client, "m") as stream,
            meanwhile(client, "m", 2) as waiting,
            meanwhile(client, "rival") as rivals,
        ):
            await until_waiting(others, 3)
            ending = Ending(proxy)
            await ending.tell(number)
            await until(lambda: refuses_connections(proxy))
            so_far = len(stream.body)
            await until(lambda: len(stream.body) > so_far)
        for response in (*waiting, *rivals):
            assert (response.status_code, error_of(response)["code"]) == (503, "shutting_down")
        assert stream.is_whole
        assert b"[DONE]" in stream.body
        await ending.ended()
        assert proxy.loads == ["beside", "m"]


async def test_a_request_that_was_not_streamed_finishes_too(tmp_path: Path) -> None:
    async with open_stage() as stage, running_proxy(tmp_path, stage.model("m")) as proxy:
        async with calling(proxy, post("m")) as caller:
            line = await stage.asked()
            ending = Ending(proxy)
            await ending.tell()
            await line.send(answer(b"to the end"))
            assert (await caller.rest()).endswith(b"to the end")
        await ending.ended()


async def test_shutdown_of_an_idle_proxy_closes_connections_that_clients_keep(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, demo("m")) as proxy:
        async with calling(proxy, b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n") as asked, calling(proxy) as silent:
            await asked.until(b'{"status":"ok"}')
            ending = Ending(proxy)
            await ending.tell()
            assert await asked.rest() == b""
            assert await silent.rest() == b""
            await ending.ended()
        assert ending.took_s < HURRIED_S


async def test_shutdown_timeout_cuts_a_stream_so_that_its_client_can_tell(tmp_path: Path) -> None:
    """R57, W6."""
    server = "shutdown_timeout = 0.3"
    async with running_proxy(tmp_path, demo("m", **ENDLESS), server=server) as proxy, proxy.client() as client:
        async with streaming(client, "m") as stream:
            ending = Ending(proxy)
            await ending.tell()
        assert stream.assert_ended_by("shutting_down") == "the proxy is shutting down"
        await ending.ended()
        assert 0.3 <= ending.took_s < 0.3 + HURRIED_S


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_hurries_although_a_stream_runs_and_its_server_ignores_sigterm(
    tmp_path: Path, second: int
) -> None:
    """R23."""
    models = demo("m", **ENDLESS, ignore_sigterm="", _unload_timeout=600)
    async with (
        running_proxy(tmp_path, models, server="shutdown_timeout = 600") as proxy,
        proxy.client() as client,
    ):
        async with streaming(client, "m") as stream:
            ending = Ending(proxy)
            await ending.tell()
            so_far = len(stream.body)
            await until(lambda: len(stream.body) > so_far)  # it goes on
            hurried_at = trio.current_time()
            proxy.process.send_signal(second)
        stream.assert_ended_by("shutting_down")
        await ending.ended()
        assert trio.current_time() - hurried_at < HURRIED_S


async def test_shutdown_while_loading_stops_the_load_and_tells_who_waits(tmp_path: Path) -> None:
    """R25."""
    async with running_proxy(tmp_path, demo("m", load=600)) as proxy, proxy.client() as client:
        async with meanwhile(client, "m") as refused:
            await until(lambda: processes_below(proxy.pid, "--name m "))
            ending = Ending(proxy)
            await ending.tell()
        assert (refused[0].status_code, error_of(refused[0])["code"]) == (503, "shutting_down")
        await ending.ended()
        assert ending.took_s < HURRIED_S


@pytest.mark.parametrize("signals", [1, 2])
async def test_shutdown_while_a_stubborn_server_is_unloaded_ends_with_its_grace_or_at_once(
    tmp_path: Path, signals: int
) -> None:
    """R23: the grace that has begun stands; a second signal ends it."""
    grace_s = 1.0 if signals == 1 else 600
    async with open_stage() as stage:
        models = stage.model("m", command=STUBBORN, unload_timeout=grace_s) + demo("n")
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
            async with calling(proxy, post("m")) as caller:
                await (await stage.asked()).send(answer(b"done"))
                await caller.until(b"done")
            await until_free(client)
            async with meanwhile(client, "n") as refused:
                await proxy.told(r"-> unloading \(m\)")
                ending = Ending(proxy)
                for _ in range(signals):
                    await ending.tell()
            assert (refused[0].status_code, error_of(refused[0])["code"]) == (503, "shutting_down")
            await ending.ended()
            assert ending.took_s < grace_s % 600 + HURRIED_S
            assert proxy.loads == ["m"]


async def test_signals_that_come_in_a_crowd_are_an_orderly_end(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, demo("m", stop=0.2)) as proxy, proxy.client() as client:
        await ask(client, "m")
        ending = Ending(proxy)
        for number in (signal.SIGINT, signal.SIGTERM) * 5:
            proxy.process.send_signal(number)
        await ending.ended()
