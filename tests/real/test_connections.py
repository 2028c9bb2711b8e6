"""Connections that a real server closes by itself, after a hundred requests or five seconds: nobody notices."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import trio

from tests.live.process_table import processes_below
from tests.live.proxy_process import ANSWERED_WITHIN_S, ask, running_proxy, try_chat

from .shelf import real, said_by


async def test_a_hundred_requests_are_the_end_of_a_connection_and_not_of_anything_else(
    shelf: Path, tmp_path: Path
) -> None:
    async with running_proxy(tmp_path, real(shelf, "ann")) as proxy, proxy.client() as client:
        for _ in range(250):
            response = await try_chat(client, "ann", max_tokens=1)
            assert response.status_code == httpx.codes.OK, response.text
        assert proxy.loads == ["ann"]


async def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used(shelf: Path, tmp_path: Path) -> None:
    async with running_proxy(tmp_path, real(shelf, "ann")) as proxy, proxy.client() as client:
        await ask(client, "ann")
        (server,) = processes_below(proxy.pid, "-a ann ")
        port = re.search(r"--port (\d+)", server.command)
        assert port is not None
        # Idle since a moment later than the proxy's: when the server has closed this one, it has closed that one too.
        async with await trio.open_tcp_stream("127.0.0.1", int(port[1])) as ours:
            await ours.send_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
            with trio.fail_after(ANSWERED_WITHIN_S):
                while await ours.receive_some():
                    pass
        assert await ask(client, "ann") == said_by("ann")
        assert proxy.loads == ["ann"]
