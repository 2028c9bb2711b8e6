"""What passes through the proxy, byte for byte and at once, and what happens upstream when a client goes away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from .played_server import EVENTS, LAST_CHUNK, SLEEPER, answer, chunk, open_stage
from .proxy_process import chat, demo, running_proxy, until_free, until_waiting
from .raw_client import Caller, calling, post, post_bytes

AT_ONCE_S = 2.0
"""Nothing here waits for a timer of the proxy: measured are a few milliseconds."""


async def piece(pieces: AsyncIterator[bytes]) -> bytes:
    with trio.fail_after(20):
        return await anext(pieces)


async def test_every_chunk_reaches_the_client_before_the_server_sends_the_next(tmp_path: Path) -> None:
    """R54: nothing is collected, neither the head nor half an event nor the last bytes before the end."""
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("m")) as proxy,
        proxy.client() as client,
        trio.open_nursery() as nursery,
    ):
        heads, got_head = trio.open_memory_channel[httpx.Response](0)

        async def request() -> None:
            async with client.stream("POST", "/v1/chat/completions", json=chat("m", stream=True)) as response:
                await heads.send(response)
                await trio.sleep_forever()

        nursery.start_soon(request)
        line = await stage.asked()
        await line.send(EVENTS)
        with trio.fail_after(20):
            response = await got_head.receive()
        assert response.status_code == httpx.codes.OK
        pieces = response.aiter_raw()
        for sent in (b"data: 1\n\n", b"data: ha", b"lf\n\n", b": a comment\n\n", b"x" * 5000):
            await line.send(chunk(sent))
            assert await piece(pieces) == sent
        await line.send(LAST_CHUNK)
        with pytest.raises(StopAsyncIteration):
            await piece(pieces)
        nursery.cancel_scope.cancel()


async def test_a_request_reaches_the_server_as_it_was_sent(tmp_path: Path) -> None:
    """Path, query, body and end-to-end headers untouched; nothing is added but Host and the body's length."""
    body = b'{ "stream":false,\n\t"model" : "m", "odd": 1e2, "text": "\\u00e4 \xc3\xa4" , "model_2": [ ] }  \n'
    given = [b"User-Agent: a client", b"X-Twice: 1", b"X-Twice: 2", b"Accept-Encoding: br", b"authorization: Bearer s"]
    hop_by_hop = [b"Connection: keep-alive, x-hop", b"X-Hop: 1", b"TE: trailers", b"Keep-Alive: 5"]
    async with open_stage() as stage, running_proxy(tmp_path, stage.model("m")) as proxy:
        request = post_bytes(body, "/v1/any/thing%2Felse?q=%20a&q=b", *given, *hop_by_hop)
        async with calling(proxy, request) as caller:
            line = await stage.asked()
            await line.send(answer(b"done"))
            assert (await caller.until(b"done")).startswith(b"HTTP/1.1 200")
    request_line, *headers = line.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert request_line == b"POST /v1/any/thing%2Felse?q=%20a&q=b HTTP/1.1"
    assert line.body == body
    own = [b"host: 127.0.0.1:%d" % stage.port, b"content-length: %d" % len(body)]
    expected = [*given, b"content-type: application/json", *own]
    assert sorted(map(_lower_name, headers)) == sorted(map(_lower_name, expected))


def _lower_name(header: bytes) -> bytes:
    name, colon, value = header.partition(b":")
    return name.lower() + colon + value


async def test_an_answer_reaches_the_client_as_it_was_sent(tmp_path: Path) -> None:
    """Status, body and end-to-end headers untouched, whatever they say; a coded body stays coded."""
    body = bytes(range(256))
    headers = [b"Content-Type: text/odd", b"Content-Encoding: gzip", b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"X-Y: ,"]
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("m")) as proxy,
        calling(proxy, post("m")) as caller,
    ):
        line = await stage.asked()
        await line.send(answer(body, *headers, b"Connection: x-hop", b"X-Hop: 1", status=b"418 I'm a teapot"))
        status, *got = (await caller.head()).removesuffix(b"\r\n\r\n").split(b"\r\n")
        assert await caller.until(body[-8:]) == body
    assert status.split()[:2] == [b"HTTP/1.1", b"418"]
    expected = [*headers, b"content-length: 256"]
    assert list(map(_lower_name, got)) == list(map(_lower_name, expected))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([b"content-type: text/event-stream"], ["no"]),
        ([b"content-type: Text/Event-Stream; charset=utf-8"], ["no"]),
        ([b"content-type: text/event-stream", b"x-accel-buffering: yes"], ["yes"]),
        ([b"content-type: application/json"], []),
    ],
)
async def test_event_streams_and_only_they_tell_reverse_proxies_not_to_buffer(
    tmp_path: Path, headers: list[bytes], expected: list[str]
) -> None:
    """R54."""
    async with open_stage() as stage, running_proxy(tmp_path, stage.model("m")) as proxy, proxy.client() as client:
        async with trio.open_nursery() as nursery:

            async def play() -> None:
                await (await stage.asked()).send(answer(b"data: 1\n\n", *headers))

            nursery.start_soon(play)
            response = await client.post("/v1/completions", json={"model": "m"})
        assert response.headers.get_list("x-accel-buffering") == expected
        assert response.content == b"data: 1\n\n"


async def test_a_client_that_closes_only_its_sending_side_gets_its_answer(tmp_path: Path) -> None:
    """R55."""
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("m")) as proxy,
        calling(proxy, post("m")) as caller,
    ):
        await caller.stream.send_eof()
        line = await stage.asked()
        await line.send(answer(b"all of it"))
        assert (await caller.rest()).endswith(b"all of it")


async def test_a_client_that_leaves_the_queue_is_forgotten_at_once_and_nothing_is_loaded_for_it(tmp_path: Path) -> None:
    """R50, R51."""
    models = ""
    async with open_stage() as stage:
        models = stage.model("busy", concurrency=1) + demo("rival", _priority=5)
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
            async with calling(proxy, post("busy")) as served:
                line = await stage.asked()
                for model in ("busy", "rival"):
                    async with calling(proxy, post(model)) as caller:
                        await until_waiting(client, 1)
                        await caller.hang_up()
                        await until_waiting(client, 0, within_s=AT_ONCE_S)
                await line.send(answer(b"served"))
                await served.until(b"served")
            await until_free(client, within_s=AT_ONCE_S)
            assert proxy.loads == ["busy"]


async def test_a_client_that_leaves_while_its_model_loads_gives_its_seat_back_at_once(tmp_path: Path) -> None:
    """R50, R51: the load that was started goes on, without a passenger."""
    async with running_proxy(tmp_path, demo("m", load=2)) as proxy, proxy.client() as client:
        async with calling(proxy, post("m")) as caller:
            await proxy.told(r"-> loading")
            await until_waiting(client, 1)
            await caller.hang_up()
            await until_free(client, within_s=AT_ONCE_S)
        assert not any("m answers" in line for line in proxy.lines)
        await proxy.told("m answers")
        assert proxy.loads == ["m"]


@pytest.mark.parametrize("farewell", ["hang_up", "reset"])
@pytest.mark.parametrize("sent", [b"", EVENTS + chunk(b"data: 1\n\n")], ids=["before the head", "mid-stream"])
async def test_a_client_that_goes_away_frees_its_seat_and_ends_the_work_upstream_at_once(
    tmp_path: Path, sent: bytes, farewell: str
) -> None:
    """R50: also while the server is silent."""
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("m", concurrency=1)) as proxy,
        proxy.client() as client,
    ):
        async with calling(proxy, post("m", stream=True)) as caller:
            line = await stage.asked()
            if sent:
                await line.send(sent)
                await caller.until(b"data: 1\n\n")
            await getattr(Caller, farewell)(caller)
            with trio.fail_after(AT_ONCE_S):
                await line.gone()
        await until_free(client, within_s=AT_ONCE_S)
        async with calling(proxy, post("m")) as caller:
            await (await stage.asked()).send(answer(b"the seat is free"))
            await caller.until(b"the seat is free")


async def test_a_connection_is_used_again_only_when_its_request_was_certainly_read(tmp_path: Path) -> None:
    """A server that answers an error without reading the body would take the body for the next request."""
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("m")) as proxy,
        calling(proxy, post("m") * 3) as caller,
    ):
        first = await stage.asked()
        await first.send(answer(b"one"))
        await caller.until(b"one")
        await first.request()  # the second, on the same connection
        await first.send(answer(b"two", status=b"404 Not Found"))
        await caller.until(b"two")
        third = await stage.asked()  # on another
        await third.send(answer(b"three"))
        await caller.until(b"three")
        await first.gone()


async def test_a_model_without_a_check_is_ready_when_it_has_started(tmp_path: Path) -> None:
    """`check_endpoint = "none"`: nothing is asked but what the client asks."""
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("m", command=SLEEPER)) as proxy,
        calling(proxy, post("m", text="only this")) as caller,
    ):
        line = await stage.asked()
        assert json.loads(line.body)["messages"][0]["content"] == "only this"
        await line.send(answer(b"done"))
        await caller.until(b"done")
