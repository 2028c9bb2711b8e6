"""The proxy as process 1 of a container: it inherits every orphan there, and gets no signal that it does not handle."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest
import trio

from proxy.config.configuration import this_program

from .conditions import until
from .process_table import living, processes_below
from .proxy_process import (
    ENDED_WITHIN_S,
    ProxyProcess,
    ask,
    assert_healthy,
    demo,
    serve_command,
    write_config,
)

# As container engines do it: namespaces of its own, and a session of its own.
CONTAIN = ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc", "--", "setsid"]


@cache
def no_containers() -> str:
    """Why there can be none here; empty: there can."""
    if shutil.which("unshare") is None:
        return "needs unshare, of util-linux"
    tried = subprocess.run([*CONTAIN, "true"], capture_output=True, text=True, timeout=60, check=False)
    return "" if tried.returncode == 0 else f"no namespaces for us here: {tried.stderr.strip()}"


pytestmark = pytest.mark.skipif("no_containers()", reason="see no_containers")


class Contained(ProxyProcess):
    """A proxy that is process 1 of a pid namespace; `pid` is its number outside."""

    @property
    def pid(self) -> int:
        (proxy,) = processes_below(self.process.pid, "proxy.cli serve")
        return proxy.pid

    @property
    def children(self) -> list[str]:
        """Its children, with the state of each: "Z" is one that nobody has reaped."""
        table = subprocess.run(
            ["ps", "--ppid", str(self.pid), "-o", "stat=,args="], capture_output=True, text=True, check=False
        ).stdout
        return [line[0] + line[4:] for line in table.splitlines()]

    @property
    def number_inside(self) -> str:
        """Its pid as it sees it itself."""
        return Path(f"/proc/{self.pid}/status").read_text().split("NSpid:")[1].split()[1]

    async def enter(self, script: str) -> None:
        """Run a shell script in the container, as `docker exec` does."""
        await trio.run_process(["nsenter", "-t", str(self.pid), "-p", "-m", "setsid", "sh", "-c", script])


@asynccontextmanager
async def contained_proxy(folder: Path, models: str) -> AsyncIterator[Contained]:
    process = await trio.lowlevel.open_process([*CONTAIN, *serve_command(write_config(folder, models))], stderr=-1)
    proxy = Contained(process)
    assert process.stderr is not None
    async with process.stderr, trio.open_nursery() as nursery:
        nursery.start_soon(proxy.listen)
        try:
            await proxy.started()
            yield proxy
        finally:
            process.kill()  # and the kernel kills the rest
            with trio.CancelScope(shield=True, deadline=trio.current_time() + ENDED_WITHIN_S):
                await process.wait()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_process_1_serves_and_ends_in_good_order_on_a_signal(tmp_path: Path, number: int) -> None:
    async with contained_proxy(tmp_path, demo("m")) as proxy, proxy.client() as client:
        assert proxy.number_inside == "1"
        await ask(client, "m")
        below = [each.pid for each in processes_below(proxy.process.pid)]
        os.kill(proxy.pid, number)
        with trio.fail_after(ENDED_WITHIN_S):
            assert await proxy.process.wait() == 0
        await proxy.told("unloading -> idle")
        assert not living(below)


async def test_process_1_reaps_what_others_leave_behind(tmp_path: Path) -> None:
    async with contained_proxy(tmp_path, demo("m")) as proxy, proxy.client() as client:
        before = proxy.children
        await proxy.enter("sleep 0.4 & sleep 0.5 & sleep 0.6 &")
        assert len(proxy.children) == len(before) + 3
        await until(lambda: proxy.children == before)
        await ask(client, "m")
        await assert_healthy(proxy)


async def test_process_1_clears_away_what_a_server_has_sent_to_the_background(tmp_path: Path) -> None:
    """A daemon, which would hold its memory for ever, and one that has ended."""
    program = "(setsid sleep 600 &); (setsid true &); exec " + shlex.join([*this_program(), "demo-model"])
    words = ["sh", "-c", f"{program} --name m --port ${{PORT}}"]
    models = f"[models.m]\ncmd = {json.dumps(words)}\n{demo('n')}"
    async with contained_proxy(tmp_path, models) as proxy, proxy.client() as client:
        before = proxy.children
        await ask(client, "m")
        assert processes_below(proxy.pid, "sleep 600")
        await ask(client, "n")
        assert not processes_below(proxy.pid, "sleep 600")
        assert len(proxy.children) == len(before) + 1
