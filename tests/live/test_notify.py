"""A real proxy under a service manager that listens: ready, alive, stopping."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from .conditions import until
from .process_table import linux_only, server_pid
from .proxy_process import ProxyProcess, ask, demo, running_proxy, serve_command, write_config
from .raw_client import calling, post

HEARD_WITHIN_S = 20
WATCHDOG = "200000"

# The lost wake-up of tests/proxy/test_health.py: what happens is noted, and nothing is decided.
STUCK = """
import sys
from proxy.cli import main
from states.core import Core
Core._settle = lambda self: None
sys.exit(main(["serve", sys.argv[1]]))
"""


class Manager:
    """The service manager's ear."""

    def __init__(self, ear: trio.socket.SocketType) -> None:
        self._ear = ear

    async def hear(self) -> list[str]:
        """Wait for the next news."""
        with trio.fail_after(HEARD_WITHIN_S):
            return (await self._ear.recv(4096)).decode().splitlines()

    async def hear_until(self, words: str) -> list[str]:
        """Skip what comes before the news that begins with `words`."""
        while not (news := await self.hear())[0].startswith(words):
            pass
        return news


def variables_of(pid: int) -> set[bytes]:
    """Return the names of the variables in a process' environment."""
    return {word.partition(b"=")[0] for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}


@asynccontextmanager
async def service_manager(
    folder: Path, monkeypatch: pytest.MonkeyPatch, watchdog: str | None = None
) -> AsyncIterator[Manager]:
    """Processes that are started in the block are asked to tell this manager."""
    address = str(folder / "notify")
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        await ear.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        if watchdog is not None:
            monkeypatch.setenv("WATCHDOG_USEC", watchdog)
        yield Manager(ear)


async def test_ready_is_said_once_requests_are_taken_and_stopping_with_the_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = demo("slow", load=600, _unload_timeout=3) + demo("b", _unload_timeout=1)
    server, rest = "shutdown_timeout = 2", '[hooks.on_startup]\npreload = ["slow"]'
    async with (
        service_manager(tmp_path, monkeypatch) as manager,
        running_proxy(tmp_path, models, server=server, rest=rest) as proxy,
        proxy.client() as client,
    ):
        assert await manager.hear() == ["READY=1", "STATUS=serving slow, b"]
        assert (await client.get("/health")).status_code == httpx.codes.OK
        proxy.process.send_signal(signal.SIGTERM)
        # 2 s for requests, 3 s for the slowest server, 5 s after SIGKILL, twice 2 s of last words.
        assert (await manager.hear())[:2] == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=14000000"]
        with trio.fail_after(HEARD_WITHIN_S):
            assert await proxy.process.wait() == 0


async def test_an_address_that_is_taken_is_never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f'listen = "127.0.0.1:{taken.getsockname()[1]}"'
        config = write_config(tmp_path, demo("m"), server=listen)
        async with service_manager(tmp_path, monkeypatch) as manager:
            with trio.fail_after(HEARD_WITHIN_S):
                ended = await trio.run_process(serve_command(config), capture_stderr=True, check=False)
            assert ended.returncode == 1
            with trio.move_on_after(0) as silent:
                await manager.hear()
            assert silent.cancelled_caught


async def test_the_watchdog_is_fed_from_ready_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        service_manager(tmp_path, monkeypatch, WATCHDOG) as manager,
        running_proxy(tmp_path, demo("m")),
    ):
        first = {(await manager.hear())[0], (await manager.hear())[0]}
        assert first == {"READY=1", "WATCHDOG=1"}
        for _ in range(3):
            assert await manager.hear() == ["WATCHDOG=1"]


@linux_only  # reading another process' environment is
async def test_the_model_servers_are_not_asked_to_tell_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        service_manager(tmp_path, monkeypatch, WATCHDOG),
        running_proxy(tmp_path, demo("m")) as proxy,
        proxy.client() as client,
    ):
        await ask(client, "m")
        names = variables_of(server_pid(proxy.pid, "m"))
        assert b"TRIO_SWAP_SERVER" in names
        assert names.isdisjoint({b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID"})


async def test_a_stuck_scheduler_is_not_vouched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", STUCK, str(write_config(tmp_path, demo("m")))]
    async with service_manager(tmp_path, monkeypatch, WATCHDOG) as manager, trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(command, stderr=-1)
        proxy = ProxyProcess(process)
        nursery.start_soon(proxy.listen)
        try:
            await proxy.started()
            await manager.hear_until("WATCHDOG=1")
            async with calling(proxy, post("m")):
                news = await manager.hear_until("STATUS=unhealthy: ")
                assert "has nothing in its way and is not committed" in news[0]
                for _ in range(3):
                    assert await manager.hear() == news
                # What a service manager does next. It says where it was.
                process.send_signal(signal.SIGABRT)
                with trio.fail_after(HEARD_WITHIN_S):
                    assert await process.wait() == -signal.SIGABRT
                await until(lambda: any("Fatal Python error: Aborted" in line for line in proxy.lines))
            nursery.cancel_scope.cancel()
        finally:
            process.kill()
