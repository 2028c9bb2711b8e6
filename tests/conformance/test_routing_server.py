"""Requests and what they lead to, against section 10, "Server", of llama-swap's behaviour, where a route of it is here.

Each docstring begins with its section; where we differ on purpose it says so, and why. Listing is in
`test_routing_listing.py`, peers in `test_routing_peers.py`, what a filter changes in `test_routing_names.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.proxy.fake_fleet import PROXY_PORT

from .routing_stage import CHAT, Routing, routing, said

JSON = b'{ "z": 1E400, "model": "small" ,"a":[1.10] }'


async def send(it: Routing, body: bytes, path: str = CHAT, kind: str = "application/json") -> httpx.Response:
    """Send a body as it is."""
    async with it.scene.network.client(PROXY_PORT) as client:
        return await client.post(path, content=body, headers={"content-type": kind})


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/messages", "/rerank", "/v1/rerank", "/infill"])
async def test_the_model_is_read_and_the_server_gets_the_same_bytes(
    tmp_path: Path, autojump_clock: MockClock, path: str
) -> None:
    """10, 3.3."""
    async with routing(tmp_path) as it:
        assert (await send(it, JSON, path)).text == "small"
        assert it.sent == JSON


async def test_a_body_that_is_json_is_read_as_json_whatever_it_is_called(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """10, 3.3. Better: with curl's own content type such a request is 404 there."""
    async with routing(tmp_path) as it:
        assert (await send(it, JSON, kind="application/x-www-form-urlencoded")).text == "small"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"model=small", "application/x-www-form-urlencoded"),
        (
            b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nsmall\r\n--x--',
            "multipart/form-data; boundary=x",
        ),
        (b'{"model": 7}', "application/json"),
        (b"{}", "application/json"),
    ],
    ids=["form", "multipart", "number", "none"],
)
async def test_a_body_that_names_no_model_as_json_does_is_400(
    tmp_path: Path, autojump_clock: MockClock, body: bytes, kind: str
) -> None:
    """10, 3.3. Different: forms name a model there, and numbers are taken for names; here the error says what to do."""
    async with routing(tmp_path) as it:
        response = await send(it, body, kind=kind)
        assert (response.status_code, said(response)) == (400, "invalid_request")
        assert it.scene.fleet.loads == []


async def test_a_name_that_is_written_anew_fits_the_length(tmp_path: Path, autojump_clock: MockClock) -> None:
    """10, 2.5."""
    async with routing(tmp_path, small={"use_model_name": "organisation/small-instruct"}) as it:
        await it.ask("small")
        assert json.loads(it.sent)["model"] == "organisation/small-instruct"
        assert int(it.scene.fleet.last_head[b"content-length"]) == len(it.sent)


async def test_an_unload_is_answered_when_the_server_is_gone(tmp_path: Path, autojump_clock: MockClock) -> None:
    """10, 3.5: one by its id or an alias, or all. Different: for one it is JSON too, not the text OK."""
    async with routing(tmp_path, small={"aliases": ("org/nick",)}) as it:
        for path in ("", "/small", "/org/nick"):
            await it.ask("small")
            since = trio.current_time()
            response = await it.client.post(f"/api/models/unload{path}")
            assert (response.status_code, response.json()) == (200, {"msg": "ok"})
            assert trio.current_time() - since == pytest.approx(0.5)
            assert not it.scene.fleet.alive
        assert said(await it.client.post("/api/models/unload/nobody")) == "model_not_found"


async def test_unloading_waits_for_no_other_model(tmp_path: Path, autojump_clock: MockClock) -> None:
    """10, 5.4, 9 (W2). Better: there every request of the router waits."""
    async with routing(tmp_path) as it, trio.open_nursery() as nursery:
        for name in ("both-a", "both-b"):
            await it.ask(name)
        nursery.start_soon(it.client.post, "/api/models/unload/both-a")
        await trio.testing.wait_all_tasks_blocked()
        since = trio.current_time()
        assert await it.ask("both-b") == "both-b"
        assert trio.current_time() == since


async def test_a_client_that_goes_is_forgotten_wherever_its_request_is(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """10, 5.3: in line, while its model loads, and while it is served."""
    async with routing(tmp_path) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.ask, "large")
        await trio.sleep(0.5)
        with trio.move_on_after(0.1):
            await it.ask("large")
        with trio.move_on_after(0.1):
            await it.ask("small")
        await trio.sleep(5)
        with trio.move_on_after(5):
            await it.post("large", service_s=600)
        await it.ask("small")
        assert it.scene.fleet.loads == ["large", "small"]
        assert it.scene.fleet.served == ["large", "small"]


async def test_where_get_is_taken_head_is_too_and_other_methods_are_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """3.0."""
    async with routing(tmp_path) as it:
        for path in ("/v1/models", "/running", "/health", "/api/profiles"):
            response = await it.client.head(path)
            assert (response.status_code, response.content) == (200, b"")
        response = await it.client.delete("/running")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
