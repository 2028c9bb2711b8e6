"""A real proxy as a process of its own, with demo models behind it, and agents that talk to it."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio

STARTED_WITHIN_S = 20
ENDED_WITHIN_S = 20
ANSWERED_WITHIN_S = 60
"""Generous: the machine may be busy. What a test is about is asserted by itself."""

_LISTENING = re.compile(r"listening on (http://\S+)")
_LOADING = re.compile(r"-> loading \((\S+)\)")


def demo(name: str, **options: float | str) -> str:
    """One `[models.NAME]` table with a demo model, ready for keys to be added.

    Args:
        name: of the model.
        options: of demo-model, such as `load=0.1`; what starts with an underscore is a key of the model instead.
    """
    chosen = {"load": 0.05, "service": 0.05, "stop": 0.0, "tokens": 3, "tokens_per_second": 1000}
    chosen |= {key: value for key, value in options.items() if not key.startswith("_")}
    words = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in chosen.items())
    keys = "".join(f"{key[1:]} = {value}\n" for key, value in options.items() if key.startswith("_"))
    return f'[models.{name}]\ncmd = "trio-swap demo-model --name {name} --port ${{PORT}} {words}"\n{keys}\n'


class ProxyProcess:
    """A running proxy."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._told = trio.Event()

    @property
    def loads(self) -> list[str]:
        """The models that were loaded so far, in order."""
        return [match[1] for line in self.lines if (match := _LOADING.search(line))]

    async def listen(self) -> None:
        """Collect what it logs, as it comes."""
        assert self.process.stderr is not None
        rest = b""
        async for chunk in self.process.stderr:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._note(line.decode())
        self._told.set()

    async def started(self) -> None:
        """Wait until it listens."""
        with trio.fail_after(STARTED_WITHIN_S):
            await self._told.wait()
        assert self.url, "\n".join(self.lines)

    async def told(self, pattern: str) -> None:
        """Wait until a line of its log matches."""
        with trio.fail_after(ANSWERED_WITHIN_S):
            while not any(re.search(pattern, line) for line in self.lines):
                await trio.sleep(0.005)

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end and return its exit code."""
        self.process.send_signal(number)
        with trio.fail_after(ENDED_WITHIN_S):
            return await self.process.wait()

    def client(self) -> httpx.AsyncClient:
        """A client of it that trusts no environment."""
        timeout = httpx.Timeout(ANSWERED_WITHIN_S)
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=timeout)

    def _note(self, line: str) -> None:
        self.lines.append(line)
        if match := _LISTENING.search(line):
            self.url = match[1]
            self._told.set()


@asynccontextmanager
async def running_proxy(
    folder: Path, models: str, *, server: str = "", rest: str = "", arguments: Sequence[str] = ()
) -> AsyncIterator[ProxyProcess]:
    """Serve a configuration from `folder` until the block ends.

    Args:
        folder: where its file goes.
        models: tables of models, see `demo`.
        server: further keys of `[server]`.
        rest: further tables.
        arguments: of `serve`.
    """
    config = folder / "config.toml"
    config.write_text(f'[server]\nlisten = "127.0.0.1:0"\nstart_port = 21000\n{server}\n\n{models}\n{rest}\n')
    command = [sys.executable, "-m", "proxy.cli", "serve", str(config), *arguments]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(command, stderr=-1)
        proxy = ProxyProcess(process)
        nursery.start_soon(proxy.listen)
        try:
            await proxy.started()
            yield proxy
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + ENDED_WITHIN_S):
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
            if process.returncode is None:
                process.kill()
            nursery.cancel_scope.cancel()
            assert process.stderr is not None
            await process.stderr.aclose()


async def ask(client: httpx.AsyncClient, model: str, text: str = "hello") -> str:
    """One chat request; return what was said."""
    response = await client.post("/v1/chat/completions", json=_chat(model, text))
    assert response.status_code == httpx.codes.OK, response.text
    said = response.json()["choices"][0]["message"]["content"]
    assert isinstance(said, str)
    return said


def _chat(model: str, text: str) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


async def agent(client: httpx.AsyncClient, model: str, requests: int, gap_s: float) -> None:
    """A closed loop: ask, work with a tool for `gap_s`, ask again."""
    for number in range(requests):
        if number:
            await trio.sleep(gap_s)
        assert model in await ask(client, model)
