"""Work at a real server that is to end: a server told to stop with a client's stream open would wait half a minute."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
import trio

from tests.live.process_table import Listed, living, processes_below
from tests.live.proxy_process import (
    ProxyProcess,
    error_of,
    meanwhile,
    running_proxy,
    streaming,
    try_chat,
    until_free,
    until_seated,
    until_waiting,
)
from tests.live.raw_client import calling, post

from .shelf import ENDLESS, real, said_by

GRACE_S = 1.0
"""For requests, and then for the server."""
QUICK_S = 5.0
"""For what takes milliseconds on a machine with nothing else to do; a server that waits for its clients takes 30 s."""
LOUD = 'log_level = "debug"'
ENDED_BY_ITSELF = "main loop exited"
"""The last words of a server that was not killed."""


def server_of(proxy: ProxyProcess, name: str) -> Listed:
    (server,) = processes_below(proxy.pid, f"-a {name} ")
    return server


async def unload(client: httpx.AsyncClient, name: str) -> None:
    with trio.fail_after(GRACE_S + QUICK_S):
        (await client.post(f"/api/models/unload/{name}")).raise_for_status()


async def test_an_unload_cuts_an_endless_stream_and_its_server_ends_by_itself_at_once(
    shelf: Path, tmp_path: Path
) -> None:
    """R57, W6."""
    models = real(shelf, ENDLESS, unload_timeout=GRACE_S)
    async with running_proxy(tmp_path, models, server=LOUD) as proxy, proxy.client() as client:
        async with streaming(client, ENDLESS) as stream:
            server = server_of(proxy, ENDLESS)
            await unload(client, ENDLESS)
            assert not living([server.pid])
        assert f"{ENDLESS} was unloaded on request" in stream.assert_ended_by("unloaded")
        await proxy.told(ENDED_BY_ITSELF)


async def test_an_unload_ends_a_request_that_is_not_streamed_too(shelf: Path, tmp_path: Path) -> None:
    models = real(shelf, ENDLESS, unload_timeout=GRACE_S)
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        async with meanwhile(client, ENDLESS) as responses:
            await proxy.told(r"-> active")
            await until_seated(client, 1)
            server = server_of(proxy, ENDLESS)
            await unload(client, ENDLESS)
            assert not living([server.pid])
        assert (responses[0].status_code, error_of(responses[0])["code"]) == (503, "unloaded")


async def test_who_waits_for_an_endless_stream_is_served_as_soon_as_it_was_cut(shelf: Path, tmp_path: Path) -> None:
    models = real(shelf, ENDLESS, unload_timeout=GRACE_S) + real(shelf, "ben")
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        async with streaming(client, ENDLESS) as stream, meanwhile(client, "ben") as responses:
            await until_waiting(client, 1)
            await unload(client, ENDLESS)
        stream.assert_ended_by("unloaded")
        assert responses[0].json()["choices"][0]["message"]["content"] == said_by("ben")
        assert proxy.loads == [ENDLESS, "ben"]


async def test_the_proxy_ends_with_an_endless_stream_open(shelf: Path, tmp_path: Path) -> None:
    server = f"{LOUD}\nshutdown_timeout = {GRACE_S}"
    async with running_proxy(tmp_path, real(shelf, ENDLESS), server=server) as proxy, proxy.client() as client:
        async with streaming(client, ENDLESS) as stream:
            pid = server_of(proxy, ENDLESS).pid
            with trio.fail_after(GRACE_S + QUICK_S):
                assert await proxy.end() == 0
            assert not living([pid])
        stream.assert_ended_by("shutting_down")
        await proxy.told(ENDED_BY_ITSELF)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_ends_the_work_at_the_server(shelf: Path, tmp_path: Path, stream: bool) -> None:  # noqa: FBT001
    """The server has one slot, and whoever had it would have kept it for ever."""
    async with running_proxy(tmp_path, real(shelf, ENDLESS, "-np", "1")) as proxy, proxy.client() as client:
        async with calling(proxy, post(ENDLESS, stream=stream)):
            await proxy.told(r"-> active")
            await until_busy(server_of(proxy, ENDLESS))
        # Its slots are not looked at again: that would put off its own look whether its clients are there.
        with trio.fail_after(QUICK_S):
            response = await try_chat(client, ENDLESS, max_tokens=5)
        assert response.json()["usage"]["completion_tokens"] == 5
        await until_free(client)
        assert proxy.loads == [ENDLESS]


async def until_busy(server: Listed) -> None:
    """Ask a server itself until its first slot is at work."""
    port = re.search(r"--port (\d+)", server.command)
    assert port is not None
    async with httpx.AsyncClient(trust_env=False) as client:
        with trio.fail_after(QUICK_S):
            while not (await client.get(f"http://127.0.0.1:{port[1]}/slots")).json()[0]["is_processing"]:  # noqa: ASYNC110
                await trio.sleep(0.005)
