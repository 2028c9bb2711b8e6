"""Servers that cannot be started, are never ready, die or break off: what their clients are told, and what comes next."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from .played_server import EVENTS, answer, chunk, open_stage
from .process_table import server_pid
from .proxy_process import ProxyProcess, ask, chat, demo, queue_of, running_proxy, until_free, until_waiting

NEVER_READY = "[models.m]\ncmd = \"sh -c 'echo I cannot read the model >&2; {then}'\"\n"


def error_of(response: httpx.Response) -> dict[str, Any]:
    content = response.json()
    assert set(content) == {"error"}
    error: dict[str, Any] = content["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def try_chat(client: httpx.AsyncClient, model: str, **more: object) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=chat(model, **more))


async def slay(proxy: ProxyProcess, name: str) -> None:
    os.kill(server_pid(proxy.pid, name), signal.SIGKILL)


async def test_a_server_that_ends_while_loading_is_503_with_its_last_words(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, NEVER_READY.format(then="exit 3")) as proxy, proxy.client() as client:
        response = await try_chat(client, "m")
        error = error_of(response)
        assert (response.status_code, error["code"]) == (503, "load_failed")
        assert "exit status 3" in error["message"]
        assert "I cannot read the model" in error["message"]


async def test_a_server_that_is_killed_while_loading_is_noticed_at_once(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, demo("m", load=600)) as proxy, proxy.client() as client:
        async with trio.open_nursery() as nursery:
            responses: list[httpx.Response] = []

            async def request() -> None:
                responses.append(await try_chat(client, "m"))

            nursery.start_soon(request)
            await proxy.told(r"-> loading")
            await until_waiting(client, 1)
            await slay(proxy, "m")
        error = error_of(responses[0])
        assert (responses[0].status_code, error["code"]) == (503, "load_failed")
        assert "SIGKILL" in error["message"]


async def test_a_command_that_is_not_found_is_503_with_advice(tmp_path: Path) -> None:
    models = '[models.m]\ncmd = "no-such-program-anywhere --port ${PORT}"\n'
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        response = await try_chat(client, "m")
        error = error_of(response)
        assert (response.status_code, error["code"]) == (503, "load_failed")
        assert "'no-such-program-anywhere' was not found on PATH; install it" in error["message"]


async def test_a_server_that_is_not_ready_in_time_is_504_with_the_last_answer_of_its_check(tmp_path: Path) -> None:
    """R74: and the next request tries again."""
    models = demo("m", load=600, _load_timeout=1)
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        response = await try_chat(client, "m")
        error = error_of(response)
        assert (response.status_code, error["code"]) == (504, "load_timeout")
        assert "within 1 s (load_timeout): GET /health answered 503" in error["message"]
        assert (await try_chat(client, "m")).status_code == 504
        assert proxy.loads == ["m", "m"]


async def test_a_model_that_fails_again_and_again_is_given_a_pause(tmp_path: Path) -> None:
    """R73: 503 with Retry-After, without another try; and a try when the pause is over."""
    async with running_proxy(tmp_path, NEVER_READY.format(then="exit 1")) as proxy, proxy.client() as client:
        codes = [error_of(await try_chat(client, "m"))["code"] for _ in range(2)]
        assert codes == ["load_failed", "load_failed"]
        response = await try_chat(client, "m")
        error = error_of(response)
        assert (response.status_code, error["code"]) == (503, "paused")
        assert "failed 2 times in a row" in error["message"]
        assert "I cannot read the model" in error["message"]
        assert len(proxy.loads) == 2
        await trio.sleep(int(response.headers["retry-after"]))  # what is promised, not a guess
        assert error_of(await try_chat(client, "m"))["code"] == "load_failed"
        assert len(proxy.loads) == 3


async def test_a_server_that_dies_before_its_answer_is_502_and_is_loaded_again_for_the_next(tmp_path: Path) -> None:
    """R12."""
    async with running_proxy(tmp_path, demo("m", service=0.5)) as proxy, proxy.client() as client:
        await ask(client, "m")
        responses: list[httpx.Response] = []
        async with trio.open_nursery() as nursery:

            async def request() -> None:
                responses.append(await try_chat(client, "m"))

            nursery.start_soon(request)
            while not any(group["seats_taken"] for group in (await queue_of(client))["groups"]):
                pass
            await slay(proxy, "m")
        error = error_of(responses[0])
        assert (responses[0].status_code, error["code"]) == (502, "server_died")
        assert "killed by SIGKILL" in error["message"]
        await until_free(client)
        await ask(client, "m")
        assert proxy.loads == ["m", "m"]


async def test_a_server_that_dies_mid_stream_ends_it_with_an_error_event_and_an_aborted_transfer(tmp_path: Path) -> None:
    """R57, W6: nobody may take half an answer for a whole one."""
    models = demo("m", tokens=10_000, tokens_per_second=100)
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        request = client.stream("POST", "/v1/chat/completions", json=chat("m", stream=True))
        lines: list[str] = []
        with pytest.raises(httpx.RemoteProtocolError):
            async with request as response:
                assert response.status_code == httpx.codes.OK
                async for line in response.aiter_lines():
                    if line and not lines:
                        await slay(proxy, "m")
                    lines.append(line)
        assert lines[-4:-2] == ["", "event: error"] or lines[-3:-1] == ["", "event: error"], lines[-5:]
        error = json.loads(next(line for line in reversed(lines) if line).removeprefix("data: "))["error"]
        assert error["code"] == "server_died"
        assert "killed by SIGKILL" in error["message"]
        assert "data: [DONE]" not in lines
        await until_free(client)


PARTS = {
    "counted": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n" + b'{"half": ',
    "chunked": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    + chunk(b'{"half": '),
    "events": EVENTS + chunk(b"data: half\n\n"),
}


@pytest.mark.parametrize("part", PARTS)
async def test_an_answer_that_a_living_server_breaks_off_does_not_look_finished(tmp_path: Path, part: str) -> None:
    """R57, W6."""
    async with open_stage() as stage, running_proxy(tmp_path, stage.model("m")) as proxy, proxy.client() as client:
        async with trio.open_nursery() as nursery:
            got: list[bytes] = []

            async def request() -> None:
                with pytest.raises(httpx.RemoteProtocolError):
                    async with client.stream("POST", "/v1/chat/completions", json=chat("m")) as response:
                        got.extend([data async for data in response.aiter_raw()])

            async def collect() -> None:
                with pytest.raises(httpx.RemoteProtocolError):
                    async with client.stream("POST", "/v1/chat/completions", json=chat("m")) as response:
                        async for data in response.aiter_raw():
                            got.append(data)  # noqa: PERF401  what came before the end counts

            del request
            nursery.start_soon(collect)
            line = await stage.asked()
            await line.send(PARTS[part])
            await line.hang_up()
        whole = b"".join(got)
        assert b"half" in whole
        assert (b"event: error" in whole) == (part == "events")
        assert proxy.loads == ["m"]
        await until_free(client)


async def test_a_living_server_that_breaks_off_before_its_answer_is_502(tmp_path: Path) -> None:
    async with open_stage() as stage, running_proxy(tmp_path, stage.model("m")) as proxy, proxy.client() as client:
        async with trio.open_nursery() as nursery:

            async def play() -> None:
                await (await stage.asked()).hang_up()
                await (await stage.asked()).send(answer(b"{}"))

            nursery.start_soon(play)
            response = await try_chat(client, "m")
            assert (response.status_code, error_of(response)["code"]) == (502, "bad_gateway")
            assert error_of(response)["message"].startswith("m broke off")
            assert (await try_chat(client, "m")).content == b"{}"
        assert proxy.loads == ["m"]


async def test_a_server_that_nobody_can_connect_to_is_502(tmp_path: Path) -> None:
    models = '[models.m]\ncmd = "sleep 600"\nproxy = "http://127.0.0.1:${PORT}"\ncheck_endpoint = "none"\n'
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        response = await try_chat(client, "m")
        assert (response.status_code, error_of(response)["code"]) == (502, "bad_gateway")
        assert "refused" in error_of(response)["message"].lower()


async def test_the_end_of_one_server_is_none_of_another_groups_business(tmp_path: Path) -> None:
    models = demo("doomed") + demo("steady", tokens=60, tokens_per_second=100)
    rest = '[groups.all]\nmembers = ["doomed", "steady"]\nswap = false\n'
    async with running_proxy(tmp_path, models, rest=rest) as proxy, proxy.client() as client:
        await ask(client, "doomed")
        seen: list[str] = []
        async with client.stream("POST", "/v1/chat/completions", json=chat("steady", stream=True)) as response:
            async for line in response.aiter_lines():
                if line and not seen:
                    await slay(proxy, "doomed")
                seen.append(line)
        assert "data: [DONE]" in seen
        await proxy.told("doomed ended: killed by SIGKILL")
        assert await ask(client, "doomed")
