"""What the whole proxy says to whom: lists and views, refusals, keys, addresses; and swaps that nobody notices."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import httpx
import trio

from .played_server import answer, open_stage
from .process_table import processes_below
from .proxy_process import (
    ask,
    chat,
    demo,
    error_of,
    meanwhile,
    queue_of,
    running_proxy,
    serve_command,
    streaming,
    try_chat,
    until_waiting,
    write_config,
)
from .raw_client import calling, post


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, error_of(response)["code"]


async def served_nowhere(config: Path, *arguments: str) -> tuple[int, str]:
    """Run `serve`, which cannot; return its exit code and what it says."""
    with trio.fail_after(20):
        result = await trio.run_process([*serve_command(config), *arguments], capture_stderr=True, check=False)
    return result.returncode, result.stderr.decode()


# What it says of its models


async def test_models_are_listed_for_clients_of_every_kind_and_looking_loads_nothing(tmp_path: Path) -> None:
    """R76."""
    models = demo("first", _name='"The First"', _description='"It is"') + demo('"org/second:7b"', _unlisted="true")
    models = models.replace('--name "org/second:7b"', "--name second") + demo("third", _aliases='["gpt-4o"]')
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        listed = (await client.get("/v1/models")).json()
        assert (listed["object"], listed["has_more"]) == ("list", False)
        assert [entry["id"] for entry in listed["data"]] == ["first", "third"]
        entry = listed["data"][0]
        assert (entry["object"], entry["type"]) == ("model", "model")
        assert (entry["name"], entry["display_name"], entry["description"]) == ("The First", "The First", "It is")
        assert (await client.get("/v1/models/first")).json() == entry
        assert (await client.get("/v1/models/gpt-4o")).json()["id"] == "third"
        for path in ("/v1/models/org/second:7b", "/v1/models/org%2Fsecond:7b"):
            assert (await client.get(path)).json()["id"] == "org/second:7b"
        assert code_of(await client.get("/v1/models/firts")) == (404, "model_not_found")
        for path in ("/running", "/api/queue", "/health", "/v1/models"):
            assert (await client.get(path)).status_code == httpx.codes.OK
            head = await client.head(path)
            assert (head.status_code, head.content) == (200, b"")
        assert proxy.loads == []


async def test_models_are_asked_by_alias_and_by_ids_with_slashes(tmp_path: Path) -> None:
    models = demo('"org/m:7b"', _aliases='["gpt-4o", "other/name"]').replace('--name "org/m:7b"', "--name slashed")
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        for name in ("org/m:7b", "gpt-4o", "other/name"):
            assert (await try_chat(client, name)).json()["model"] == "slashed"
        assert (await client.post("/api/models/unload/org/m:7b")).status_code == httpx.codes.OK
        assert proxy.loads == ["org/m:7b"]
        assert len([line for line in proxy.lines if "has stopped" in line]) == 1


async def test_running_and_queue_show_every_group_and_why_every_ticket_waits(tmp_path: Path) -> None:
    async with open_stage() as stage:
        models = stage.model("a", concurrency=1, priority=2) + demo("b", load=600)
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
            async with (
                calling(proxy, post("a")) as caller,
                meanwhile(client, "a", 1) as second,
                meanwhile(client, "b", 1),
                trio.open_nursery() as nursery,
            ):
                line = await stage.asked()
                await until_waiting(client, 2)
                queue = await queue_of(client)
                (group,) = queue["groups"]
                assert (group["state"], group["model"], group["seats_taken"]) == ("draining", "a", 1)
                assert (group["concurrency"], queue["shutting_down"]) == (1, False)
                tickets = {ticket["model"]: ticket for ticket in queue["waiting"]}
                assert (tickets["a"]["priority"], tickets["b"]["priority"]) == (2, 0)
                assert tickets["a"]["why"] == "a serves as many requests as it may (1)"
                assert tickets["a"]["reason"] == {"kind": "SeatsFull", "model": "a", "concurrency": 1}
                assert tickets["b"]["reason"]["kind"] in {"InFlight", "Outranked"}
                assert all(0 <= ticket["age_s"] < 60 and not ticket["overdue"] for ticket in tickets.values())
                assert (await client.get("/running")).json() == {"running": [{"model": "a", "state": "ready"}]}

                await line.send(answer(b"one"))
                await caller.until(b"one")
                await (await line.request()).send(answer(b"two"))
                await proxy.told(r"-> loading \(b\)")
                (ticket,) = (await queue_of(client))["waiting"]
                assert (ticket["model"], ticket["seated"], ticket["reason"]["kind"]) == ("b", True, "Loading")
                assert (await client.get("/running")).json() == {"running": [{"model": "b", "state": "starting"}]}
                nursery.start_soon(client.post, "/api/models/unload")
            assert second[0].content == b"two"


# What it refuses


NAMELESS: list[tuple[bytes, str | None, str]] = [
    (b"{", None, "not JSON"),
    (b"", None, "not JSON"),
    (b"\xff", None, "not JSON"),
    (b"[1]", None, "not a JSON object"),
    (b'"m"', None, "not a JSON object"),
    (b"{}", "model", "needs a model"),
    (b'{"model": 1}', "model", "not a string"),
    (b'{"model": null}', "model", "not a string"),
]


async def test_a_body_that_names_no_model_is_400(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, demo("m")) as proxy, proxy.client() as client:
        for body, param, says in NAMELESS:
            response = await client.post("/v1/chat/completions", content=body)
            assert code_of(response) == (400, "invalid_request"), body
            error = error_of(response)
            assert (error["param"], error["type"]) == (param, "invalid_request_error"), body
            assert says in error["message"]
        assert proxy.loads == []


async def test_an_unknown_model_is_404_with_near_names(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, demo("explorer") + demo("coder")) as proxy, proxy.client() as client:
        response = await try_chat(client, "explorre")
        assert code_of(response) == (404, "model_not_found")
        assert error_of(response)["message"] == "there is no model 'explorre'; did you mean explorer?"
        assert "GET /v1/models" in error_of(await try_chat(client, "zzz"))["message"]
        message = (await client.post("/v1/messages", json=chat("zzz"))).json()
        assert (message["type"], message["error"]["code"]) == ("error", "model_not_found")


WRONG_METHODS = [
    ("GET", "/v1/chat/completions", "POST"),
    ("DELETE", "/v1/models", "GET, HEAD"),
    ("POST", "/health", "GET, HEAD"),
    ("GET", "/api/models/unload", "POST"),
    ("GET", "/api/models/unload/m", "POST"),
    ("PUT", "/completion", "POST"),
]


async def test_a_wrong_method_is_405_and_says_which_is_right(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, demo("m")) as proxy, proxy.client() as client:
        for method, path, allowed in WRONG_METHODS:
            response = await client.request(method, path)
            assert code_of(response) == (405, "method_not_allowed"), path
            assert response.headers["allow"] == allowed
        assert code_of(await client.get("/nowhere")) == (404, "not_found")


async def test_a_body_over_the_limit_is_413_however_it_is_sent(tmp_path: Path) -> None:
    """R59."""
    fits = json.dumps(chat("m", "x" * 500)).encode()
    server = f"max_body = {len(fits)}"
    async with running_proxy(tmp_path, demo("m"), server=server) as proxy, proxy.client() as client:
        assert (await client.post("/v1/chat/completions", content=fits)).status_code == httpx.codes.OK
        too_large = fits + b" "

        async def pieces() -> Any:
            yield too_large[:100]
            yield too_large[100:]

        assert code_of(await client.post("/v1/chat/completions", content=too_large)) == (413, "body_too_large")
        assert code_of(await client.post("/v1/chat/completions", content=pieces())) == (413, "body_too_large")
        huge = b"POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999\r\n\r\n"
        async with calling(proxy, huge) as caller:
            assert b" 413 " in await caller.head()


async def test_keys_are_asked_for_and_kept_from_the_servers(tmp_path: Path) -> None:
    async with open_stage() as stage:
        server = 'api_keys = ["one", "two"]'
        async with running_proxy(tmp_path, stage.model("m"), server=server) as proxy, proxy.client() as client:
            assert (await client.get("/health")).status_code == httpx.codes.OK
            for headers in ({}, {"authorization": "Bearer three"}, {"x-api-key": ""}, {"authorization": "one"}):
                for path in ("/v1/models", "/running", "/api/queue", "/v1/models/m"):
                    assert code_of(await client.get(path, headers=headers)) == (401, "unauthorized")
                response = await client.post("/v1/completions", json={"model": "m"}, headers=headers)
                assert code_of(response) == (401, "unauthorized")
                assert "one" not in response.text.replace("x-api-key", "")
            line = None
            for headers in ({"authorization": "Bearer one"}, {"x-api-key": "two"}, {"authorization": "bearer two"}):
                async with trio.open_nursery() as nursery:

                    async def request(headers: dict[str, str] = headers) -> None:
                        response = await client.post("/v1/completions", json={"model": "m"}, headers=headers)
                        assert response.content == b"{}"

                    nursery.start_soon(request)
                    line = await (stage.asked() if line is None else line.request())
                    assert b"authorization" not in line.head.lower()
                    assert b"x-api-key" not in line.head.lower()
                    await line.send(answer(b"{}"))
            assert proxy.loads == ["m"]


async def test_a_full_queue_is_429_with_a_time_to_come_back(tmp_path: Path) -> None:
    """R53: before a byte of any stream."""
    async with open_stage() as stage:
        models = stage.model("m", concurrency=1, queue_limit=2)
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
            async with meanwhile(client, "m", 3) as served:
                line = await stage.asked()
                await until_waiting(client, 2)
                for stream in (False, True):
                    response = await try_chat(client, "m", stream=stream)
                    assert code_of(response) == (429, "queue_full")
                    assert int(response.headers["retry-after"]) >= 1
                    assert "2 requests wait for m" in error_of(response)["message"]
                await line.send(answer(b"{}"))
                for _ in range(2):
                    await (await line.request()).send(answer(b"{}"))
            assert [each.status_code for each in served] == [200, 200, 200]


# Where it listens


async def test_a_port_that_is_taken_is_exit_code_1_and_a_message_that_helps(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = write_config(tmp_path, demo("m"), server=f'listen = "{address}"')
        code, said = await served_nowhere(config)
    assert code == 1
    assert said == f"trio-swap: {address} is in use by another program; stop it or pass --listen HOST:PORT\n"


async def test_a_second_proxy_on_the_same_address_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    models = demo("m")
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        host, port = proxy.address
        config = write_config(tmp_path, models)
        code, said = await served_nowhere(config, "--listen", f"{host}:{port}")
        assert (code, "in use" in said) == (1, True)
        await ask(client, "m")


async def test_a_port_that_somebody_else_listens_on_is_skipped(tmp_path: Path) -> None:
    """R29, R20: nobody else's answer passes for the server's."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        start = f"start_port = {port}"
        async with running_proxy(tmp_path, demo("m"), server=start) as proxy, proxy.client() as client:
            await ask(client, "m")
            (server,) = processes_below(proxy.pid, "--name m ")
            assert f"--port {port} " not in server.command


# Swaps, served


async def test_fifty_first_requests_at_once_make_one_load(tmp_path: Path) -> None:
    """R30."""
    async with running_proxy(tmp_path, demo("m", service=0.01, load=0.3)) as proxy, proxy.client() as client:
        async with meanwhile(client, "m", 50) as responses:
            pass
        assert [each.status_code for each in responses] == [200] * 50
        assert proxy.loads == ["m"]
        assert len(processes_below(proxy.pid, "--name m ")) == 1


async def test_a_connection_kept_across_swaps_on_one_port_never_reaches_the_wrong_server(tmp_path: Path) -> None:
    """R56, R20."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = f'"http://127.0.0.1:{port}"'
    models = "".join(demo(name, load=0, service=0, _proxy=where) for name in "ab").replace("${PORT}", str(port))
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        for name in "aabbabab":
            async with meanwhile(client, name, 3) as responses:
                pass
            assert [each.json()["model"] for each in responses] == [name] * 3
        assert proxy.loads == list("ababab")


async def test_models_are_swapped_under_streams_to_both_and_every_stream_is_whole(tmp_path: Path) -> None:
    """R57, R06."""
    models = "".join(demo(name, service=0, tokens=20, tokens_per_second=200) for name in "ab")
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client, trio.open_nursery() as nursery:

        async def streams(name: str) -> None:
            for _ in range(3):
                async with streaming(client, name) as stream:
                    pass
                assert stream.is_whole
                assert stream.body.endswith(b"data: [DONE]\n\n")
                assert stream.body.count(b'"model": "%s"' % name.encode()) >= 20

        for name in "abab":
            nursery.start_soon(streams, name)
    assert len(proxy.loads) >= 2
