"""`serve --journal` on a real proxy, and what `replay` makes of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trio

from proxy.cli import main
from proxy.journal.parts import older_parts
from proxy.journal.playback import replay

from .conditions import until
from .proxy_process import ask, demo, meanwhile, running_proxy, serve_command, streaming, until_free, write_config
from .recorded import JOURNAL, assert_replays, recorded_proxy

MODELS = demo("a", _unload_delay=0.2, _concurrency=2) + demo("b", _priority=1) + demo("c", _ttl=0.1, load=0.01)


async def test_a_crowd_that_asks_for_everything_at_once_is_decided_again_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with recorded_proxy(tmp_path, MODELS) as proxy, proxy.client() as client:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for model in "aabbccab":
                    nursery.start_soon(ask, client, model)
            await client.post("/api/models/unload")
    replayed = assert_replays(tmp_path / JOURNAL)
    assert replayed.events >= 3 * 8 * 2
    assert main(["replay", str(tmp_path / JOURNAL), "--svg", str(tmp_path / "j.svg")]) == 0
    told = capsys.readouterr().out
    assert "every event had the effects that were written down" in told
    (everybody,) = [line.split() for line in told.splitlines() if line.startswith("all ")]
    assert everybody[:5] == ["all", "24", "24", "0", "0"]
    assert int(everybody[5]) == len(proxy.loads)
    assert (tmp_path / "j.svg").read_text().startswith("<svg")
    assert main(["replay", str(tmp_path / JOURNAL), "--story", "1"]) == 0
    story = capsys.readouterr().out
    assert "arrives for " in story
    assert "has its answer" in story


async def test_a_killed_proxy_leaves_a_journal_that_replays_and_the_next_one_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / JOURNAL
    async with running_proxy(tmp_path, MODELS, arguments=["--journal", str(file)]) as proxy, proxy.client() as client:
        await ask(client, "a")
        async with trio.open_nursery() as nursery:

            async def keep_asking(model: str) -> None:
                with suppress(httpx.TransportError):
                    while True:
                        await ask(client, model)

            for model in "aabbc":
                nursery.start_soon(keep_asking, model)
            await until(lambda: file.read_bytes().count(b"\n") > 30, within_s=60)
            assert await proxy.end(signal.SIGKILL) == -signal.SIGKILL
    killed = assert_replays(file)
    async with recorded_proxy(tmp_path, MODELS) as proxy, proxy.client() as client:
        await ask(client, "b")
    assert assert_replays(tmp_path / f"{JOURNAL}.1").events == killed.events


async def test_the_journal_is_bounded_and_what_is_left_replays(tmp_path: Path) -> None:
    arguments = ["--journal-size", "10KiB", "--journal-files", "3"]
    async with recorded_proxy(tmp_path, demo("a"), arguments=arguments) as proxy, proxy.client() as client:
        for _ in range(40):
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(ask, client, "a")
    assert replay(tmp_path / JOURNAL).first.part > 0
    assert [path.name for path in replay(tmp_path / JOURNAL).files] == [f"{JOURNAL}.2", f"{JOURNAL}.1", JOURNAL]
    assert not list(older_parts(tmp_path / JOURNAL))[2:]


async def test_a_full_disk_is_told_of_and_delays_nobody(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    arguments = ["--journal", str(tmp_path / "full")]
    async with running_proxy(tmp_path, MODELS, arguments=arguments) as proxy, proxy.client() as client:
        async with streaming(client, "a") as stream, meanwhile(client, "b", times=3) as responses:
            await proxy.told("full is not complete: .*No space left on device")
        assert stream.is_whole
        assert [response.status_code for response in responses] == [200] * 3
        await until_free(client)


def test_a_journal_that_cannot_be_written_is_said_before_anything_is_served(tmp_path: Path) -> None:
    config = write_config(tmp_path, demo("a"))
    command = [*serve_command(config), "--journal", str(tmp_path / "none" / "journal.jsonl")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == f"trio-swap: the journal {tmp_path}/none/journal.jsonl: No such file or directory\n"


async def test_what_is_asked_is_not_in_the_journal(tmp_path: Path) -> None:
    async with recorded_proxy(tmp_path, demo("a")) as proxy, proxy.client() as client:
        await ask(client, "a", "a secret")
    lines = (tmp_path / JOURNAL).read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not [line for line in lines if "secret" in line or sys.executable in line]
