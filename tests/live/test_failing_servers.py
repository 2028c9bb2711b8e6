"""Servers that cannot be started, are never ready, die or break off: what their clients are told, and what follows."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
import trio

from .played_server import EVENTS, answer, chunk, open_stage
from .process_table import server_pid
from .proxy_process import (
    ProxyProcess,
    ask,
    demo,
    error_of,
    meanwhile,
    running_proxy,
    streaming,
    try_chat,
    until_free,
    until_seated,
)

WILL_NOT_LOAD = """
[models.m]
cmd = "sh -c 'echo I cannot read the model >&2; exit 3' serve --port ${PORT}"
"""


async def slay(proxy: ProxyProcess, name: str) -> None:
    os.kill(server_pid(proxy.pid, name), signal.SIGKILL)


async def test_a_server_that_ends_while_loading_is_503_with_its_last_words(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, WILL_NOT_LOAD) as proxy, proxy.client() as client:
        response = await try_chat(client, "m")
        error = error_of(response)
        assert (response.status_code, error["code"]) == (503, "load_failed")
        assert "exit status 3" in error["message"]
        assert "I cannot read the model" in error["message"]


async def test_a_command_that_leaves_its_server_in_the_background_is_told_to_stay(tmp_path: Path) -> None:
    """R28: and the last words of a server that never ends its line do not fill the answer."""
    flood = "head -c 1000000 /dev/zero | tr '\\0' x; sleep 600 & exit 0"
    models = f"[models.m]\ncmd = ['sh', '-c', {json.dumps(flood)}, 'serve', '${{PORT}}']\n"
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        response = await try_chat(client, "m")
        assert (response.status_code, error_of(response)["code"]) == (503, "load_failed")
        message = error_of(response)["message"]
        assert message.startswith("m ended before it was ready: exit status 0 (cmd has to stay as long as its server")
        assert "; its last words: xxx" in message
        assert len(message) < 4000


async def test_a_server_that_is_killed_while_loading_is_noticed_at_once(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, demo("m", load=600)) as proxy, proxy.client() as client:
        async with meanwhile(client, "m") as responses:
            await proxy.told(r"-> loading")
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


async def test_a_server_that_answers_elsewhere_is_504_with_where_it_was_looked_for(tmp_path: Path) -> None:
    command = f"sh -c 'exec {sys.executable} -m proxy.cli demo-model --name m --load 0 --port 0' --port ${{PORT}}"
    models = f'[models.m]\ncmd = "{command}"\nload_timeout = 2\n'
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        response = await try_chat(client, "m")
        assert (response.status_code, error_of(response)["code"]) == (504, "load_timeout")
        message = error_of(response)["message"]
        assert "m was not ready within 2 s (load_timeout): nothing listens on 127.0.0.1:" in message
        assert "; its last words: m: listening on http://127.0.0.1:" in message


def only_at(port: int, *names: str, **options: float) -> str:
    """Models that answer at a port of their own choice."""
    where = f'"http://127.0.0.1:{port}"'
    return "".join(demo(name, _proxy=where, **options) for name in names).replace("${PORT}", str(port))


async def test_a_server_is_not_started_where_somebody_else_listens_already(tmp_path: Path) -> None:
    """R20: an orphan's 200 would pass for the health of a server that dies on bind. This port is none of our choice."""
    async with open_stage() as stranger:
        models = only_at(stranger.port, "m")
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
            response = await try_chat(client, "m")
            assert (response.status_code, error_of(response)["code"]) == (503, "load_failed")
            assert error_of(response)["message"] == (
                f"m is not started: something else listens on 127.0.0.1:{stranger.port} already, and would pass for it;"
                ' stop that or change the port. If that is the server you mean, set check_endpoint = "none"'
            )


async def test_a_model_waits_for_a_moment_until_its_port_is_free(tmp_path: Path) -> None:
    """R24: the port of a container outlives it by moments."""
    async with open_stage() as gone_soon:
        models = only_at(gone_soon.port, "m")
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client, trio.open_nursery() as nursery:

            async def leave() -> None:
                await gone_soon.line()
                await gone_soon.leave()

            nursery.start_soon(leave)
            await ask(client, "m")


async def test_two_models_with_one_port_never_answer_for_each_other(tmp_path: Path) -> None:
    """R20: nothing displaces the first, so the second is not started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rest = '[groups.all]\nmembers = ["a", "b"]\nswap = false\n'
    async with running_proxy(tmp_path, only_at(port, "a", "b"), rest=rest) as proxy, proxy.client() as client:
        await ask(client, "a")
        assert "something else listens on" in error_of(await try_chat(client, "b"))["message"]
        await ask(client, "a")


async def test_a_model_that_fails_again_and_again_is_given_a_pause(tmp_path: Path) -> None:
    """R73: 503 with Retry-After, without another try; and a try when the pause is over."""
    async with running_proxy(tmp_path, WILL_NOT_LOAD) as proxy, proxy.client() as client:
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
        async with meanwhile(client, "m") as responses:
            await until_seated(client, 1)
            await slay(proxy, "m")
        error = error_of(responses[0])
        assert (responses[0].status_code, error["code"]) == (502, "server_died")
        assert "killed by SIGKILL" in error["message"]
        await until_free(client)
        await ask(client, "m")
        assert proxy.loads == ["m", "m"]


async def test_a_server_that_dies_mid_stream_ends_it_with_an_error_event_and_aborts_it(tmp_path: Path) -> None:
    """R57, W6: nobody may take half an answer for a whole one."""
    models = demo("m", tokens=10_000, tokens_per_second=100)
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        async with streaming(client, "m") as stream:
            await slay(proxy, "m")
        assert "killed by SIGKILL" in stream.assert_ended_by("server_died")
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

            async def play() -> None:
                line = await stage.asked()
                await line.send(PARTS[part])
                await line.hang_up()

            nursery.start_soon(play)
            async with streaming(client, "m") as stream:
                pass
        assert b"half" in stream.body
        assert not stream.is_whole
        if part == "events":
            stream.assert_ended_by("bad_gateway")
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
    models = """[models.m]\ncmd = "sh -c 'sleep 600' serve --port ${PORT}"\ncheck_endpoint = "none"\n"""
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        response = await try_chat(client, "m")
        assert (response.status_code, error_of(response)["code"]) == (502, "bad_gateway")
        assert "refused" in error_of(response)["message"].lower()


async def test_the_end_of_one_server_is_none_of_another_groups_business(tmp_path: Path) -> None:
    models = demo("doomed") + demo("steady", tokens=60, tokens_per_second=100)
    rest = '[groups.all]\nmembers = ["doomed", "steady"]\nswap = false\n'
    async with running_proxy(tmp_path, models, rest=rest) as proxy, proxy.client() as client:
        await ask(client, "doomed")
        async with streaming(client, "steady") as stream:
            await slay(proxy, "doomed")
        assert stream.is_whole
        assert b"[DONE]" in stream.body
        await proxy.told("doomed ended: killed by SIGKILL")
        assert await ask(client, "doomed")
