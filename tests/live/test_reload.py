"""The configuration again while everything runs, on a real proxy: by a signal, by a request, by a watch on the file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import trio

from .conditions import until
from .process_table import living, server_pid
from .proxy_process import (
    ProxyProcess,
    ask,
    demo,
    error_of,
    meanwhile,
    queue_of,
    running_proxy,
    streaming,
    try_chat,
    until_waiting,
)
from .recorded import recorded_proxy

APART = "[groups.apart]\nmembers = [{}]\nswap = false\nexclusive = false\n"


def change(folder: Path, models: str, rest: str = "") -> None:
    """Write other models into the file, as an editor does: beside it, and then in its place."""
    file = folder / "config.toml"
    head = file.read_text().partition("\n\n")[0]
    (folder / "new").write_text(f"{head}\n\n{models}\n{rest}\n")
    os.replace(folder / "new", file)  # noqa: PTH105 - as editors do


async def reload(client: httpx.AsyncClient) -> dict[str, object]:
    response = await client.post("/api/reload")
    assert response.status_code == httpx.codes.OK, response.text
    content: dict[str, object] = response.json()
    return content


def loads_of(proxy: ProxyProcess, model: str) -> int:
    return proxy.loads.count(model)


async def test_a_reload_every_50_ms_loses_no_stream_no_place_in_line_and_no_swap(tmp_path: Path) -> None:
    """And what did not change is the same process in the end; the journal of it all replays."""

    def tables(number: int) -> str:
        kept = demo("kept", tokens=300, tokens_per_second=100, _concurrency=1, _priority=number % 3)
        pair = demo("x", load=0.3, stop=0.2, _unload_delay=number % 2) + demo("y", load=0.3, stop=0.2)
        return kept + pair + demo("changing", load=0.05 + number / 1000)

    rest = APART.format('"kept", "changing"') + '[groups.pair]\nmembers = ["x", "y"]\nexclusive = false\n'
    async with recorded_proxy(tmp_path, tables(0), rest=rest) as proxy, proxy.client() as client:
        await ask(client, "x")
        async with streaming(client, "kept") as stream, meanwhile(client, "kept", times=2) as queued:
            await until_waiting(client, 2)
            servers = [server_pid(proxy.pid, name) for name in ("kept", "x")]
            async with meanwhile(client, "y") as swapped, meanwhile(client, "changing", times=2) as returning:
                for number in range(1, 31):
                    change(tmp_path, tables(number), rest)
                    outcome = await reload(client)
                    assert outcome["restarted"] == ["changing"]
                    await trio.sleep(0.05)
            assert server_pid(proxy.pid, "kept") == servers[0]
        assert stream.is_whole
        answers = [*queued, *swapped, *returning]
        assert [response.status_code for response in answers] == [httpx.codes.OK] * 5
        assert [loads_of(proxy, model) for model in ("kept", "x", "y")] == [1, 1, 1]
        assert server_pid(proxy.pid, "kept") == servers[0]
        assert not living(servers[1:])


async def test_a_reload_under_traffic_loses_nothing_and_restarts_only_what_changed(tmp_path: Path) -> None:
    long = {"tokens": 60, "tokens_per_second": 100}
    kept, changed, gone = demo("kept", **long), demo("changed", **long), demo("gone", _concurrency=1, **long)
    apart = APART.format('"kept", "changed", "gone"')
    async with recorded_proxy(tmp_path, kept + changed + gone, rest=apart) as proxy, proxy.client() as client:
        async with (
            streaming(client, "kept") as of_kept,
            streaming(client, "changed") as of_changed,
            streaming(client, "gone") as of_gone,
            meanwhile(client, "gone") as refused,
        ):
            await until_waiting(client, 1)
            change(tmp_path, kept + demo("changed", load=0.2) + demo("new"), APART.format('"kept", "changed", "new"'))
            outcome = await reload(client)
            assert (outcome["added"], outcome["removed"], outcome["restarted"]) == (["new"], ["gone"], ["changed"])
            assert "new" in await ask(client, "new")
            assert "changed" in await ask(client, "changed")
        assert of_kept.is_whole
        assert of_changed.is_whole
        assert of_gone.is_whole
        assert [error_of(response)["code"] for response in refused] == ["unloaded"]
        assert (await try_chat(client, "gone")).status_code == httpx.codes.NOT_FOUND
        assert "kept" in await ask(client, "kept")
        assert [loads_of(proxy, model) for model in ("kept", "changed", "gone", "new")] == [1, 2, 1, 1]


async def test_a_file_that_is_wrong_changes_nothing_and_says_why(tmp_path: Path) -> None:
    """R72."""
    async with running_proxy(tmp_path, demo("m")) as proxy, proxy.client() as client:
        await ask(client, "m")
        change(tmp_path, demo("m") + "[models.n]\ncmd = 'x ${PORT}'\nttl = 'long'\n")
        response = await client.post("/api/reload")
        error = error_of(response)
        assert (response.status_code, error["code"]) == (422, "invalid_configuration")
        assert "models.n.ttl: expected a duration" in error["message"]
        proxy.process.send_signal(signal.SIGHUP)
        await proxy.told("SIGHUP: the configuration is wrong, and stays as it was")
        last = (await client.get("/api/reload")).json()["reload"]
        assert (last["ok"], last["cause"]) == (False, "SIGHUP")
        assert "models.n.ttl" in last["report"]
        assert "m" in await ask(client, "m")
        assert proxy.loads == ["m"]


async def test_two_quick_edits_are_reloads_in_order_and_never_two_loads(tmp_path: Path) -> None:
    """R70."""
    preload = '[hooks.on_startup]\npreload = ["m"]\n'
    async with recorded_proxy(tmp_path, demo("other")) as proxy, proxy.client() as client:
        for load in (0.2, 0.3):
            change(tmp_path, demo("other") + demo("m", load=load), preload)
            proxy.process.send_signal(signal.SIGHUP)
        await proxy.told("m answers")
        assert "m" in await ask(client, "m")
        groups = (await queue_of(client))["groups"]
        assert [group["state"] for group in groups] == ["active"]
        assert loads_of(proxy, "m") <= 2
        assert loads_of(proxy, "m") == 1 + sum("unload asked" in line for line in proxy.lines)


async def test_a_watched_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    async with (
        running_proxy(tmp_path, demo("m"), arguments=["--watch"]) as proxy,
        proxy.client() as client,
    ):
        change(tmp_path, demo("m") + demo("n"))
        await proxy.told("a file has changed: the configuration was read again; new: n")
        assert "n" in await ask(client, "n")
        change(tmp_path, demo("m"))
        await proxy.told("gone: n")


async def test_a_link_that_is_swapped_is_a_change(tmp_path: Path) -> None:
    """R71: so a mounted volume changes."""
    async with running_proxy(tmp_path, demo("m"), arguments=["--watch"]) as proxy:
        file = tmp_path / "config.toml"
        for number, models in enumerate((demo("m"), demo("m") + demo("n"))):
            folder = tmp_path / f"..{number}"
            folder.mkdir()
            (folder / "config.toml").write_text(file.read_text().partition("\n\n")[0] + f"\n\n{models}")
        (tmp_path / "..data").symlink_to("..0")
        (tmp_path / "link").symlink_to("..data/config.toml")
        os.replace(tmp_path / "link", file)  # noqa: PTH105 - in one step
        (tmp_path / "..new").symlink_to("..1")
        os.replace(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH105 - in one step
        await proxy.told("new: n")


async def test_fifty_reloads_under_traffic_restart_nothing_that_did_not_change(tmp_path: Path) -> None:
    models = demo("a", _concurrency=2) + demo("b")
    async with recorded_proxy(tmp_path, models) as proxy, proxy.client() as client:
        answers: list[str] = []

        async def traffic(model: str) -> None:
            while len(answers) < 1000:
                answers.append(await ask(client, model))

        async with trio.open_nursery() as nursery:
            for model in "aab":
                nursery.start_soon(traffic, model)
            for number in range(50):
                change(tmp_path, demo("a", _concurrency=1 + number % 3) + demo("b", _priority=number % 2))
                outcome = await reload(client)
                assert outcome["restarted"] == []
            await until(lambda: len(answers) > 20, within_s=60)
            nursery.cancel_scope.cancel()
        assert not [line for line in proxy.lines if "unload asked" in line]
