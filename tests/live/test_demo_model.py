"""The demo model behaves as the servers do that it stands for, in the times that it is told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from proxy.processes import Command, ServerProcess, open_process
from proxy.readiness import Readiness

from .conditions import until

ROOT = Path(__file__).parents[2]
HELLO: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "hello big world"}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    server: ServerProcess
    client: httpx.AsyncClient
    port: int

    async def log_has(self, text: str) -> None:
        await until(lambda: any(text in line for line in self.server.output.tail()))


def command(*options: str) -> Command:
    argv = (sys.executable, "-m", "proxy.demo_model", *options)
    return Command(argv=argv, env={"PYTHONPATH": str(ROOT)})


@contextlib.asynccontextmanager
async def demo(*options: str) -> AsyncIterator[Demo]:
    async with open_process(command("--name", "explorer", "--port", "0", *options), name="explorer") as server:
        await until(server.output.tail, within_s=10)
        url = server.output.tail()[0].removeprefix("explorer: listening on ")
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
            yield Demo(server=server, client=client, port=int(url.rpartition(":")[2]))


def events(text: str) -> list[Any]:
    """The events of a stream that is complete."""
    *said, end, nothing = text.split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in said]


async def test_it_listens_at_once_and_is_loading_until_it_is_loaded() -> None:
    started_at = trio.current_time()
    async with demo("--load", "0.6") as model:
        response = await model.client.get("/health")
        assert (response.status_code, response.json()) == (503, {"status": "loading"})
        refused = await model.client.post("/v1/chat/completions", json=HELLO)
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "unavailable_error")
        with trio.fail_after(5):
            await Readiness(str(model.client.base_url), "/health").until_ready()
        assert trio.current_time() - started_at >= 0.6
        assert (await model.client.get("/health")).json() == {"status": "ok"}


async def test_its_answer_names_it_and_repeats_what_was_said() -> None:
    async with demo() as model:
        answer = (await model.client.post("/v1/chat/completions", json=HELLO)).json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "explorer"
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "This is explorer speaking: hello big world"}
    assert choice["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}


async def test_a_streamed_chat_is_a_role_then_tokens_then_a_reason_then_usage_then_done() -> None:
    asked = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}
    async with demo() as model:
        response = await model.client.post("/v1/chat/completions", json=asked)
    assert response.headers["content-type"] == "text/event-stream"
    first, *tokens, last, usage = events(response.text)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    said = "".join(token["choices"][0]["delta"]["content"] for token in tokens)
    assert said == "This is explorer speaking: hello big world"
    assert {token["choices"][0]["finish_reason"] for token in [first, *tokens]} == {None}
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], len(tokens))
    assert len({event["id"] for event in (first, *tokens, last, usage)}) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_completions_are_answered_too(*, stream: bool) -> None:
    async with demo() as model:
        response = await model.client.post("/v1/completions", json={"prompt": "once", "stream": stream})
    objects = events(response.text) if stream else [response.json()]
    assert "".join(event["choices"][0]["text"] for event in objects) == "This is explorer speaking: once"
    assert {event["object"] for event in objects} == {"text_completion"}
    assert objects[-1]["choices"][0]["finish_reason"] == "stop"


async def test_an_answer_is_as_long_as_it_is_told_and_no_longer_than_asked_for() -> None:
    async with demo("--tokens", "50") as model:
        whole = (await model.client.post("/v1/chat/completions", json=HELLO)).json()
        cut = (await model.client.post("/v1/chat/completions", json={**HELLO, "max_tokens": 5})).json()
    assert (whole["usage"]["completion_tokens"], whole["choices"][0]["finish_reason"]) == (50, "stop")
    assert (cut["usage"]["completion_tokens"], cut["choices"][0]["finish_reason"]) == (5, "length")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_takes_its_service_time_and_then_comes_at_its_pace(*, stream: bool) -> None:
    async with demo("--service", "0.2", "--tokens", "11", "--tokens-per-second", "50") as model:
        asked_at = trio.current_time()
        asked = {**HELLO, "stream": stream}
        async with model.client.stream("POST", "/v1/chat/completions", json=asked) as response:
            arrived = [trio.current_time() - asked_at async for _ in response.aiter_raw()]
    assert arrived[0] >= 0.2
    assert 0.4 <= arrived[-1] < 1.5
    if stream:
        assert len(arrived) > 5


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", "messages"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": [1]}', "messages"),
        (b'{"messages": [{"role": "user", "content": 7}]}', "messages"),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": "7"}', "max_tokens"),
        (b"\xff", None),
    ],
)
async def test_a_bad_request_is_explained_in_openais_shape(body: bytes, param: str | None) -> None:
    async with demo() as model:
        response = await model.client.post("/v1/chat/completions", content=body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]


async def test_it_lists_itself_and_nothing_else_is_there() -> None:
    async with demo() as model:
        assert [entry["id"] for entry in (await model.client.get("/v1/models")).json()["data"]] == ["explorer"]
        assert (await model.client.get("/v1/nothing")).status_code == 404
        assert (await model.client.delete("/v1/models")).status_code == 405
        assert (await model.client.head("/health")).status_code == 200


async def test_each_request_is_a_line_of_its_log() -> None:
    async with demo() as model:
        await model.client.post("/v1/chat/completions", json={**HELLO, "stream": True})
        await model.log_has("explorer: POST /v1/chat/completions 200, 9 events, ")


async def test_a_client_that_goes_away_ends_its_answer() -> None:
    """R50."""
    async with demo("--service", "1000") as model:
        with trio.move_on_after(0.2):
            await model.client.post("/v1/chat/completions", json={**HELLO, "stream": True})
        await model.log_has(", cut off")


async def test_requests_in_a_row_on_one_connection_are_answered_in_order() -> None:
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with demo() as model:
        stream = await trio.open_tcp_stream("127.0.0.1", model.port)
        async with stream:
            await stream.send_all(request * 3 + last)
            with trio.fail_after(5):
                answer = b"".join([bytes(chunk) async for chunk in stream])
    assert answer.count(b"HTTP/1.1 200") == 4
    assert answer.count(b'{"status": "ok"}') == 3
    assert answer.endswith(b"}]}")


async def test_what_is_not_http_is_refused_and_what_breaks_off_does_no_harm() -> None:
    async with demo() as model:
        async with await trio.open_tcp_stream("127.0.0.1", model.port) as stream:
            await stream.send_all(b"\x16\x03\x01 nonsense\r\n\r\n")
            with trio.fail_after(5):
                answer = b"".join([bytes(chunk) async for chunk in stream])
        assert answer.startswith(b"HTTP/1.1 400")
        async with await trio.open_tcp_stream("127.0.0.1", model.port) as stream:
            await stream.send_all(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        await model.log_has("cut off")
        assert (await model.client.get("/health")).status_code == 200


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_it_takes_its_time_to_stop_and_finishes_nothing(signum: signal.Signals) -> None:
    async with demo("--service", "1000", "--stop", "0.4") as model, trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(httpx.RemoteProtocolError):
                await model.client.post("/v1/chat/completions", json={**HELLO, "stream": True})

        nursery.start_soon(ask)
        await trio.sleep(0.2)
        stopped_at = trio.current_time()
        os.kill(model.server.pid, signum)
        with trio.fail_after(5):
            assert await model.server.exited() == 0
        assert 0.4 <= trio.current_time() - stopped_at < 2


async def test_it_can_ignore_sigterm() -> None:
    """R23."""
    async with demo("--ignore-sigterm") as model:
        with trio.move_on_after(0.3):
            await model.server.stop()
        assert model.server.status is None
        assert (await model.client.get("/health")).status_code == 200


async def test_a_port_in_use_is_named() -> None:
    """R29."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        async with open_process(command("--port", str(port)), name="m") as server:
            with trio.fail_after(10):
                assert await server.exited() == 1
        assert f"port {port} is in use: end its user or choose another --port" in server.output.tail()[0]


@pytest.mark.parametrize(
    "options", [("--port", "70000"), ("--port", "0", "--load", "-1"), ("--port", "0", "--tokens", "x")]
)
async def test_options_that_make_no_sense_are_refused(options: tuple[str, ...]) -> None:
    async with open_process(command(*options), name="m") as server:
        with trio.fail_after(10):
            assert await server.exited() == 2
    assert f"'{options[-1]}' is not a" in server.output.tail()[-1]


async def test_it_listens_soon_after_it_was_started() -> None:
    """A swap is only as quick as its server: 0.13 s on a quiet machine."""
    took_s = []
    for _ in range(3):
        started_at = trio.current_time()
        async with demo():
            took_s.append(trio.current_time() - started_at)
    assert min(took_s) < 0.7
