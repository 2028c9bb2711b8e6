"""Selectors, peers, profiles, filters and timeouts on real sockets, with traffic."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from proxy.config.routing import Filters, Timeouts
from tests.proxy.routed import peer, profile, routed, selector

from .conditions import until
from .played_server import EVENTS, LAST_CHUNK, Line, Stage, answer, chunk, open_stage
from .proxy_process import ask, demo, error_of, meanwhile, running_proxy, streaming, try_chat
from .routed_proxy import RoutedProxy, routed_proxy
from .test_relay import certificate  # noqa: F401 - a fixture
from .test_reload import change, reload

BODY = (
    b'{"model": "far/large", "temperature": 0.70, "seed": 98765432109876543210, "messages": [ {"content": "\\u00e9"} ]}'
)


@asynccontextmanager
async def proxy_of(stage: Stage, folder: Path, **keys: Any) -> AsyncIterator[tuple[RoutedProxy, httpx.AsyncClient]]:
    """A proxy whose peer `far` the test plays, and a client of it."""
    far = peer("far", f"http://127.0.0.1:{stage.port}/base", "large", **keys)
    async with routed_proxy(folder, demo("here"), routed(far)) as proxy, proxy.client() as client:
        yield proxy, client


async def test_a_stream_comes_through_a_peer_event_by_event(tmp_path: Path) -> None:
    async with (
        open_stage() as stage,
        proxy_of(stage, tmp_path) as (_, client),
        streaming_by_hand(stage, client) as (line, got),
    ):
        for number in range(5):
            await line.send(chunk(b"data: %d\n\n" % number))
            await until(lambda number=number: got[-1] == b"data: %d\n\n" % number)  # type: ignore[misc]
        await line.send(LAST_CHUNK)


@asynccontextmanager
async def streaming_by_hand(stage: Stage, client: httpx.AsyncClient) -> AsyncIterator[tuple[Line, list[bytes]]]:
    """A stream from the peer, and what the client has of it: what came last, then how it ended."""
    got = [b""]

    async def take() -> None:
        body = {"model": "far/large", "stream": True}
        try:
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                async for piece in response.aiter_raw():
                    got.append(piece)  # noqa: PERF401 - the test looks meanwhile
            got.append(b"whole")
        except httpx.RemoteProtocolError:
            got.append(b"cut")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        line = await stage.asked()
        await line.send(EVENTS)
        yield line, got


async def post(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    """A request with exactly this body."""
    assert (await client.post(path, content=body)).status_code == httpx.codes.OK


async def test_a_peer_that_breaks_off_is_told_of_in_the_stream(tmp_path: Path) -> None:
    async with open_stage() as stage, proxy_of(stage, tmp_path) as (_, client):
        async with streaming_by_hand(stage, client) as (line, got):
            await line.send(chunk(b"data: 1\n\n"))
            await until(lambda: got[-1] == b"data: 1\n\n")
            await line.hang_up()
        assert got[-1] == b"cut"
        kind, _, data = b"".join(got[2:-1]).strip().partition(b"\ndata: ")
        error = json.loads(data)["error"]
        assert (kind, error["code"]) == (b"event: error", "bad_gateway")
        assert error["message"].startswith("peer far, asked for large, ")


async def test_a_client_that_goes_away_is_gone_for_the_peer_too(tmp_path: Path) -> None:
    async with open_stage() as stage, proxy_of(stage, tmp_path, concurrency=1) as (_, client):
        with trio.CancelScope() as leaving:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(try_chat, client, "large")
                line = await stage.asked()
                leaving.cancel()
        await line.gone()
        async with meanwhile(client, "large") as responses:
            await (await stage.asked()).send(answer(b"ok"))
        assert responses[0].content == b"ok"


async def test_a_peer_that_is_slow_is_waited_for_unless_a_timeout_says_otherwise(tmp_path: Path) -> None:
    async with open_stage() as stage:
        timeouts = Timeouts(response_header_s=0.2)
        async with proxy_of(stage, tmp_path, timeouts=timeouts) as (_, client):
            async with meanwhile(client, "large") as responses:
                await (await stage.asked()).gone()
            assert (responses[0].status_code, error_of(responses[0])["code"]) == (504, "response_timeout")
            async with streaming_by_hand(stage, client) as (line, got):  # the head came: from here on it may take long
                await trio.sleep(0.4)
                await line.send(chunk(b"late") + LAST_CHUNK)
            assert got == [b"", b"late", b"whole"]


async def test_a_peer_where_nobody_listens_is_down_and_comes_back(tmp_path: Path) -> None:
    async with open_stage() as stage, proxy_of(stage, tmp_path) as (proxy, client):
        await stage.leave()
        response = await try_chat(client, "large")
        assert (response.status_code, error_of(response)["code"]) == (502, "peer_down")
        assert response.headers["retry-after"] == "1"
        async with open_stage() as other:
            config = proxy.proxy.config
            moved = replace(config.peers["far"], url=f"http://127.0.0.1:{other.port}")
            proxy.change(replace(config, peers={"far": moved}))
            async with meanwhile(client, "large") as responses:
                await (await other.asked()).send(answer(b"ok"))
            assert responses[0].content == b"ok"


async def test_two_proxies_that_are_peers_of_each_other_do_not_ask_for_ever(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    async with (
        routed_proxy(first, demo("a")) as one,
        routed_proxy(second, demo("b"), routed(peer("one", one.url, "m", "a"))) as two,
    ):
        one.change(replace(one.proxy.config, peers={"two": peer("two", two.url, "m", "b")}))
        async with one.client() as client:
            assert "b" in await ask(client, "two/b")
            response = await try_chat(client, "m")
        assert (response.status_code, error_of(response)["code"]) == (508, "loop_detected")
        async with two.client() as client:
            assert "a" in await ask(client, "a")
            async with streaming(client, "one/a") as stream:
                pass
        assert stream.is_whole
        assert stream.body.endswith(b"data: [DONE]\n\n")


async def test_no_more_than_its_concurrency_are_on_their_way_to_a_peer(tmp_path: Path) -> None:
    async with open_stage() as stage, proxy_of(stage, tmp_path, concurrency=1) as (_, client):
        async with meanwhile(client, "large", times=3) as responses:
            line = await stage.asked()
            for last in (False, False, True):
                await line.send(answer(b"ok"))
                if not last:
                    await line.request()  # on the same connection, once the one before is over
        assert [response.content for response in responses] == [b"ok"] * 3


async def test_a_peer_may_speak_tls(
    tmp_path: Path,
    certificate: Path,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate)
    heads: list[bytes] = []

    async def serves(stream: trio.SSLStream[trio.SocketStream]) -> None:
        got = b""
        while not got.endswith(b"}"):
            try:
                got += (piece := await stream.receive_some())
            except trio.BrokenResourceError:
                return
            if not piece:
                return
        heads.append(got)
        await stream.send_all(answer(b"secret"))

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_ssl_over_tcp, serves, 0, theirs)
        url = f"https://127.0.0.1:{listeners[0].transport_listener.socket.getsockname()[1]}"
        far = peer("far", url, "large", api_key="theirs")
        async with routed_proxy(tmp_path, demo("here"), routed(far)) as proxy, proxy.client() as client:
            response = await try_chat(client, "large")
            assert (response.status_code, error_of(response)["code"]) == (502, "peer_down")
            assert "certificate verify failed" in response.text
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            proxy.change(replace(proxy.proxy.config, peers={"far": replace(far, timeouts=Timeouts(connect_s=5))}))
            assert (await try_chat(client, "large")).content == b"secret"
            assert b"authorization: bearer theirs" in heads[0].lower()
        nursery.cancel_scope.cancel()


async def test_filters_change_what_they_name_and_no_other_byte(tmp_path: Path) -> None:
    filters = Filters(strip=("temperature",), set={"options.n": 1})
    async with open_stage() as stage, proxy_of(stage, tmp_path, filters=filters) as (_, client):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, client, "/v1/chat/completions?x=1", BODY)
            line = await stage.asked()
            await line.send(answer(b"ok"))
        assert line.head.startswith(b"POST /base/v1/chat/completions?x=1 HTTP/1.1\r\n")
        seed, messages = b'"seed":98765432109876543210', b'"messages":[ {"content": "\\u00e9"} ]'
        assert line.body == b'{"model":"large",' + seed + b"," + messages + b',"options":{"n":1}}'


async def test_a_server_of_ours_gets_the_body_as_its_model_says_or_as_it_came(tmp_path: Path) -> None:
    async with open_stage() as stage:
        models = stage.model("plain", aliases=["other"]) + stage.model("renamed")
        change = routed(renamed={"use_model_name": "org/real"}, plain={"filters": Filters(strip=("top_k",))})
        async with routed_proxy(tmp_path, models, change) as proxy, proxy.client() as client:
            for body, seen in (
                (b' { "model" : "other", "x":1E0 }', b' { "model" : "other", "x":1E0 }'),
                (b'{"model": "plain", "top_k": 1, "x": 1E0}', b'{"model":"plain","x":1E0}'),
                (b'{"model": "renamed", "x": 1E0}', b'{"model":"org/real","x":1E0}'),
            ):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(post, client, "/v1/completions", body)
                    line = await stage.asked()
                    await line.send(answer(b"ok"))
                assert line.body == seen
                await line.hang_up()


async def test_a_server_that_does_not_begin_to_answer_in_time_loses_only_that_request(tmp_path: Path) -> None:
    async with open_stage() as stage:
        change = routed(m={"timeouts": Timeouts(response_header_s=0.2)})
        async with routed_proxy(tmp_path, stage.model("m"), change) as proxy, proxy.client() as client:
            async with meanwhile(client, "m") as responses:
                await (await stage.asked()).gone()
            assert (responses[0].status_code, error_of(responses[0])["code"]) == (504, "response_timeout")
            async with meanwhile(client, "m") as responses:
                await (await stage.asked()).send(answer(b"ok"))
            assert responses[0].content == b"ok"


async def test_warm_keeps_to_what_is_loaded_under_traffic(tmp_path: Path) -> None:
    """Two models that displace each other: nobody swaps for a request that either could serve."""
    change = routed(selector("any", "warm", "a", "b"))
    async with routed_proxy(tmp_path, demo("a") + demo("b"), change) as proxy, proxy.client() as client:
        assert "b" in await ask(client, "b")
        said: list[str] = []

        async def agent() -> None:
            said.extend([await ask(client, "any") for _ in range(8)])

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(agent)
        assert len(said) == 24
        assert all("b" in each for each in said)
        assert proxy.proxy.driver.history.counts.loads == 1
        assert "a" in await ask(client, "a")
        assert "a" in await ask(client, "any")
        assert proxy.proxy.driver.history.counts.loads == 2


async def test_a_profile_is_switched_under_traffic_between_two_requests(tmp_path: Path) -> None:
    change = routed(profile("second", main="b"), a={"aliases": ("main",)})
    async with routed_proxy(tmp_path, demo("a") + demo("b"), change) as proxy, proxy.client() as client:
        async with streaming(client, "main") as stream, meanwhile(client, "main") as responses:
            switched = await client.put("/api/profiles/active", json={"name": "second"})
            assert switched.json() == {"active": "second"}
            assert "b" in await ask(client, "main")
        assert stream.is_whole
        assert responses[0].status_code == httpx.codes.OK
        assert (await client.get("/api/profiles")).json()["active"] == "second"
        proxy.change(replace(proxy.proxy.config, profiles={"second": profile("second", main="b", more="a")}))
        assert (await client.get("/api/profiles")).json()["active"] == "second"
        assert "b" in await ask(client, "main")
        proxy.change(replace(proxy.proxy.config, profiles={}))
        assert (await client.get("/api/profiles")).json() == {"active": None, "profiles": []}
        assert "a" in await ask(client, "main")


async def test_a_selector_and_a_peer_may_go_while_they_are_in_use(tmp_path: Path) -> None:
    async with open_stage() as stage, proxy_of(stage, tmp_path, concurrency=1) as (proxy, client):
        bare = proxy.proxy.config
        proxy.change(replace(bare, selectors={"wide": selector("wide", "spillover", "far/large", "here", spillover=9)}))
        async with meanwhile(client, "wide") as served:
            line = await stage.asked()
            async with meanwhile(client, "large") as refused:
                far = proxy.proxy.peers._peers["far"]
                await until(lambda: len(far._line) == 1)
                proxy.change(replace(bare, peers={}, selectors={}))
            await line.send(answer(b"still here"))
        assert served[0].content == b"still here"
        assert (refused[0].status_code, error_of(refused[0])["code"]) == (503, "unloaded")
        for name in ("wide", "large", "far/large"):
            assert error_of(await try_chat(client, name))["code"] == "model_not_found"
        assert "here" in await ask(client, "here")
        await line.gone()


async def test_a_reload_every_fifty_milliseconds_loses_no_request_of_a_selector_or_a_peer(tmp_path: Path) -> None:
    """Limits, addresses, filters, pins and targets change all the time; every request is answered by whom it may be."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    stream = {"tokens": 30, "tokens_per_second": 300}

    def change(number: int, far: RoutedProxy) -> list[Any]:
        url = far.url if number % 2 else far.url.replace("127.0.0.1", "localhost")
        filters = Filters(set={"n": number})
        timeouts = Timeouts(connect_s=10 + number % 3)
        return [
            peer("far", url, "c", concurrency=number % 3, filters=filters, timeouts=timeouts),
            selector("any", "warm", *("ab" if number % 2 else "ba")),
            selector("wide", "spillover", "a", "far/c", spillover=1 + number % 2),
            profile("p", main="a" if number % 3 else "far/c"),
        ]

    async with (
        routed_proxy(second, demo("c", **stream)) as far,
        routed_proxy(first, demo("a", **stream) + demo("b", **stream)) as here,
        here.client() as client,
    ):
        bare = here.proxy.config
        here.change(routed(*change(0, far))(bare))
        here.proxy.routes.names.switch("p")
        said: dict[str, list[str]] = {"any": [], "wide": [], "far/c": [], "main": []}

        async def agent(name: str) -> None:
            while True:
                said[name].append(await ask(client, name))

        async with trio.open_nursery() as nursery:
            for name in said:
                for _ in range(2):
                    nursery.start_soon(agent, name)
            for number in range(1, 41):
                here.change(routed(*change(number, far))(bare))
                await trio.sleep(0.05)
            await until(lambda: all(len(each) >= 5 for each in said.values()), within_s=60)
            nursery.cancel_scope.cancel()
        assert here.proxy.routes.names.profile == "p"
        await until(lambda: not here.proxy.peers._calls)
        assert here.proxy.driver.history.counts.refused == 0
        assert all("c" in each for each in said["far/c"])


FILE = """
[selectors.any]
strategy = "warm"
targets = ["a", "b"]

[profiles.away]
pins = {{ main = "far/large", a = "" }}

[peers.far]
proxy = "http://127.0.0.1:{port}"
models = ["large"]
api_key = "theirs"

[peers.far.filters]
strip_params = ["messages"]
set_params = {{ "options.n" = 1 }}
"""


async def test_a_file_with_all_of_it_is_served_and_may_lose_it_while_it_runs(tmp_path: Path) -> None:
    models = demo("a") + demo("b")
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, models, rest=FILE.format(port=stage.port)) as proxy,
        proxy.client() as client,
    ):
        listed = [entry["id"] for entry in (await client.get("/v1/models")).json()["data"]]
        assert listed == ["a", "b", "any", "far/large"]
        assert "b" in await ask(client, "b")
        assert "b" in await ask(client, "any")
        assert (await client.put("/api/profiles/active", json={"name": "away"})).json() == {"active": "away"}
        assert error_of(await try_chat(client, "a"))["message"] == "a is switched off by the active profile, away"
        async with meanwhile(client, "main") as responses:
            line = await stage.asked()
            assert b"\r\nauthorization: Bearer theirs\r\n" in line.head
            assert line.body == b'{"model":"large","options":{"n":1}}'
            change(tmp_path, models)
            await reload(client)
            await line.send(answer(b"to the end"))
        assert responses[0].content == b"to the end"
        await proxy.told("the active profile away is gone")
        assert error_of(await try_chat(client, "main"))["code"] == "model_not_found"
        assert "a" in await ask(client, "a")
        assert proxy.loads == ["b", "a"]
