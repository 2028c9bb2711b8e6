"""Models that are unloaded: on request, when idle, with a command of their own; and who is told what meanwhile."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from .conditions import until
from .played_server import STUBBORN, answer, open_stage
from .process_table import living, processes_below, server_pid
from .proxy_process import (
    ask,
    demo,
    error_of,
    meanwhile,
    queue_of,
    running_proxy,
    streaming,
    try_chat,
    until_free,
    until_seated,
    until_waiting,
)
from .raw_client import calling, post

LONG = {"tokens": 100_000, "tokens_per_second": 50}
"""A stream that does not end by itself."""


async def unload(client: httpx.AsyncClient, path: str = "") -> None:
    response = await client.post(f"/api/models/unload{path}")
    assert (response.status_code, response.json()) == (200, {"msg": "ok"})


@pytest.mark.parametrize("path", ["", "/m", "/an-alias"])
async def test_an_unload_is_answered_when_nothing_is_left_of_the_server(tmp_path: Path, path: str) -> None:
    models = demo("m", stop=0.4, _aliases='["an-alias"]')
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        await ask(client, "m")
        server = server_pid(proxy.pid, "m")
        await unload(client, path)
        assert not living([server])
        assert {group["state"] for group in (await queue_of(client))["groups"]} == {"idle"}
        assert (await client.get("/running")).json() == {"running": []}


async def test_an_unload_of_what_is_not_loaded_is_answered_at_once_and_loads_nothing(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, demo("m") + demo("n")) as proxy, proxy.client() as client:
        await unload(client)
        await unload(client, "/n")
        response = await client.post("/api/models/unload/nn")
        assert (response.status_code, error_of(response)["code"]) == (404, "model_not_found")
        assert "did you mean n?" in error_of(response)["message"]
        assert proxy.loads == []


async def test_a_stream_may_finish_within_unload_timeout(tmp_path: Path) -> None:
    """R57: and the server is not told to stop before that."""
    models = demo("m", tokens=40, tokens_per_second=100, _unload_timeout=30)
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        async with streaming(client, "m") as stream, trio.open_nursery() as nursery:
            nursery.start_soon(unload, client)
            await proxy.told(r"-> draining \(m\)")
        assert stream.is_whole
        assert b"[DONE]" in stream.body


async def test_a_stream_that_outlasts_unload_timeout_is_cut_so_that_its_client_can_tell(tmp_path: Path) -> None:
    """R57, W6."""
    async with running_proxy(tmp_path, demo("m", **LONG, _unload_timeout=0.3)) as proxy, proxy.client() as client:
        async with streaming(client, "m") as stream:
            server = server_pid(proxy.pid, "m")
            await unload(client, "/m")
            assert not living([server])
        assert "m was unloaded on request" in stream.assert_ended_by("unloaded")
        await until_free(client)


async def test_an_answer_that_has_not_begun_when_it_is_cut_is_503(tmp_path: Path) -> None:
    models = demo("m", service=600, _unload_timeout=0.2)
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        async with meanwhile(client, "m") as responses:
            await proxy.told("m answers")
            await until_seated(client, 1)
            await unload(client)
        assert (responses[0].status_code, error_of(responses[0])["code"]) == (503, "unloaded")


async def test_whoever_waits_for_an_unloaded_model_is_told_so_at_once(tmp_path: Path) -> None:
    async with open_stage() as stage:
        models = stage.model("m", concurrency=1, unload_timeout=600) + demo("other")
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
            async with calling(proxy, post("m")) as caller, trio.open_nursery() as nursery:
                line = await stage.asked()
                async with meanwhile(client, "m", 3) as refused:
                    await until_waiting(client, 3)
                    nursery.start_soon(unload, client)
                assert {(each.status_code, error_of(each)["code"]) for each in refused} == {(503, "unloaded")}
                # Who has a seat keeps it, who comes later waits, and loads it again.
                async with meanwhile(client, "m") as later:
                    await until_waiting(client, 1)
                    await line.send(answer(b"finished"))
                    await caller.until(b"finished")
                    await (await stage.asked()).send(answer(b"{}"))
                assert later[0].status_code == httpx.codes.OK
            assert proxy.loads == ["m", "m"]


async def test_an_unload_while_loading_stops_the_load_and_tells_who_waits(tmp_path: Path) -> None:
    """R25."""
    async with running_proxy(tmp_path, demo("m", load=600)) as proxy, proxy.client() as client:
        async with meanwhile(client, "m", 2) as refused:
            await until_waiting(client, 2)
            await until(lambda: processes_below(proxy.pid, "--name m "))
            server = server_pid(proxy.pid, "m")
            await unload(client, "/m")
            assert not living([server])
        assert {(each.status_code, error_of(each)["code"]) for each in refused} == {(503, "unloaded")}


async def test_a_second_unload_waits_for_the_same_end(tmp_path: Path) -> None:
    """R23: a server that ignores SIGTERM has its grace, once."""
    async with open_stage() as stage:
        models = stage.model("m", command=STUBBORN, unload_timeout=0.6)
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
            async with calling(proxy, post("m")) as caller:
                await (await stage.asked()).send(answer(b"done"))
                await caller.until(b"done")
            await until_free(client)
            (server,) = processes_below(proxy.pid, "trap '' TERM;")
            async with trio.open_nursery() as nursery:
                asked_at = trio.current_time()
                for _ in range(3):
                    nursery.start_soon(unload, client)
            assert 0.6 <= trio.current_time() - asked_at < 5
            assert not living([server.pid])


async def test_a_model_goes_when_it_has_been_idle_for_its_ttl_and_not_during_a_longer_stream(tmp_path: Path) -> None:
    """R40."""
    models = demo("m", tokens=60, tokens_per_second=100, _ttl=0.2)
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        async with streaming(client, "m") as stream:
            pass
        assert stream.is_whole
        await proxy.told("idle for its ttl")
        await proxy.told("m has stopped")
        assert proxy.loads == ["m"]


async def test_cmd_stop_is_run_with_the_servers_pid(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"echo ${{PID}} ${{MODEL_ID}} > '{said}' && kill -s TERM ${{PID}}"
    models = demo("m", _cmd_stop=f'["sh", "-c", "{script}"]')
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        await ask(client, "m")
        server = server_pid(proxy.pid, "m")
        await unload(client)
        assert said.read_text().split() == [str(server), "m"]
        assert not living([server])


async def test_connections_to_a_server_are_closed_before_it_has_to_stop(tmp_path: Path) -> None:
    """Many servers wait for their clients, some for ever."""
    may_stop = tmp_path / "may-stop"
    script = f"until [ -e '{may_stop}' ]; do sleep 0.02; done; kill ${{PID}}"
    async with open_stage() as stage:
        models = stage.model("m", cmd_stop=["sh", "-c", script])
        async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
            async with calling(proxy, post("m")) as caller:
                line = await stage.asked()
                await line.send(answer(b"done"))
                await caller.until(b"done")
            await until_free(client)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(unload, client)
                await line.gone()
                may_stop.touch()


async def test_a_request_that_arrives_while_its_model_stops_waits_and_loads_it_again(tmp_path: Path) -> None:
    """R01."""
    async with running_proxy(tmp_path, demo("m", stop=0.3)) as proxy, proxy.client() as client:
        await ask(client, "m")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(unload, client)
            await proxy.told(r"-> unloading \(m\)")
            response = await try_chat(client, "m")
            assert response.json()["model"] == "m"
        assert proxy.loads == ["m", "m"]
