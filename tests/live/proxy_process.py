"""A real proxy as a process of its own, with demo models behind it, and agents that talk to it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import trio

from .conditions import until

STARTED_WITHIN_S = 20
ENDED_WITHIN_S = 20
ANSWERED_WITHIN_S = 60
"""Generous: the machine may be busy. What a test is about is asserted by itself."""

_FIRST_PORTS = range(16000, 26000, 40)
"""Below the ports that systems give to clients; proxies of tests that run at the same time start at different ones."""
_numbers = count()
_LISTENING = re.compile(r"listening on (http://\S+)")
_BUG = re.compile(r"Traceback| CRITICAL|a bug")
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
    def pid(self) -> int:
        """Of the proxy itself."""
        return self.process.pid

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        url = httpx.URL(self.url)
        return url.host, url.port or 80

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
            while not any(re.search(pattern, line) for line in self.lines):  # noqa: ASYNC110
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
        # The first says it of the proxy; a server's last words may say it too.
        if not self.url and (match := _LISTENING.search(line)):
            self.url = match[1]
            self._told.set()


def write_config(folder: Path, models: str, *, server: str = "", rest: str = "") -> Path:
    """Write a configuration that listens on any free port, unless `server` says where."""
    listen = "" if "listen =" in server else 'listen = "127.0.0.1:0"\n'
    first = _FIRST_PORTS[(os.getpid() + next(_numbers)) % len(_FIRST_PORTS)]
    start = "" if "start_port =" in server else f"start_port = {first}\n"
    config = folder / "config.toml"
    config.write_text(f"[server]\n{listen}{start}{server}\n\n{models}\n{rest}\n")
    return config


def serve_command(config: Path) -> list[str]:
    """Return the words that serve a configuration."""
    return [sys.executable, "-m", "proxy.cli", "serve", str(config)]


@asynccontextmanager
async def running_proxy(
    folder: Path, models: str, *, server: str = "", rest: str = "", arguments: Sequence[str] = ()
) -> AsyncIterator[ProxyProcess]:
    """Serve a configuration from `folder` until the block ends; then it must be healthy, and end in good order.

    Args:
        folder: where its file goes.
        models: tables of models, see `demo`.
        server: further keys of `[server]`.
        rest: further tables.
        arguments: of `serve`.
    """
    command = [*serve_command(write_config(folder, models, server=server, rest=rest)), *arguments]
    async with serving(command) as proxy:
        yield proxy


@asynccontextmanager
async def serving(command: Sequence[str]) -> AsyncIterator[ProxyProcess]:
    """Run these words, a proxy, until the block ends; then it must be healthy, and end in good order."""
    process = await trio.lowlevel.open_process(command, stderr=-1)
    assert process.stderr is not None
    proxy = ProxyProcess(process)
    async with process.stderr, trio.open_nursery() as nursery:
        nursery.start_soon(proxy.listen)
        try:
            await proxy.started()
            yield proxy
            if process.returncode is None:
                await assert_healthy(proxy)
                assert await proxy.end() == 0, "\n".join(proxy.lines)
        finally:
            await _put_an_end_to(process)
            nursery.cancel_scope.cancel()
    assert not [line for line in proxy.lines if _BUG.search(line)], "\n".join(proxy.lines)


async def _put_an_end_to(process: trio.Process) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + ENDED_WITHIN_S):
        if process.returncode is None:
            process.terminate()
            await process.wait()
    with trio.CancelScope(shield=True, deadline=trio.current_time() + ENDED_WITHIN_S):
        if process.returncode is None:
            process.kill()
            await process.wait()


async def assert_healthy(proxy: ProxyProcess) -> None:
    """The core answers, and is consistent."""
    async with proxy.client() as client:
        response = await client.get("/health")
        assert response.status_code == httpx.codes.OK, response.text


async def queue_of(client: httpx.AsyncClient) -> dict[str, Any]:
    """What /api/queue says: groups and waiting tickets."""
    content: dict[str, Any] = (await client.get("/api/queue")).raise_for_status().json()
    return content


async def until_waiting(client: httpx.AsyncClient, number: int, *, within_s: float = ANSWERED_WITHIN_S) -> None:
    """Return once so many tickets have no seat that they can use."""
    await _until_queue(client, lambda queue: len(queue["waiting"]) == number, within_s)


async def until_seated(client: httpx.AsyncClient, number: int) -> None:
    """Return once so many seats are taken."""
    await _until_queue(client, lambda queue: _seats_taken(queue) == number, ANSWERED_WITHIN_S)


async def until_free(client: httpx.AsyncClient, *, within_s: float = ANSWERED_WITHIN_S) -> None:
    """Return once nobody waits and no seat is taken."""
    await _until_queue(client, lambda queue: not queue["waiting"] and not _seats_taken(queue), within_s)


async def _until_queue(client: httpx.AsyncClient, holds: Callable[[dict[str, Any]], bool], within_s: float) -> None:
    with trio.fail_after(within_s):
        while not holds(await queue_of(client)):  # noqa: ASYNC110  it is another process
            await trio.sleep(0.005)


def _seats_taken(queue: dict[str, Any]) -> int:
    return sum(group["seats_taken"] for group in queue["groups"])


async def ask(client: httpx.AsyncClient, model: str, text: str = "hello") -> str:
    """One chat request; return what was said."""
    response = await client.post("/v1/chat/completions", json=chat(model, text))
    assert response.status_code == httpx.codes.OK, response.text
    said = response.json()["choices"][0]["message"]["content"]
    assert isinstance(said, str)
    return said


async def try_chat(client: httpx.AsyncClient, model: str, **more: object) -> httpx.Response:
    """One chat request; return whatever came back."""
    return await client.post("/v1/chat/completions", json=chat(model, **more))


@asynccontextmanager
async def meanwhile(
    client: httpx.AsyncClient, model: str, times: int = 1, **more: object
) -> AsyncIterator[list[httpx.Response]]:
    """Chat requests under way while the block runs; what came back is in the list afterwards."""
    responses: list[httpx.Response] = []

    async def request() -> None:
        responses.append(await try_chat(client, model, **more))

    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(request)
        yield responses


class Stream:
    """A streamed answer, as far as it came."""

    def __init__(self) -> None:
        self.body = b""
        self.is_whole = False
        """It came to its proper end; false afterwards: its client can tell that it did not."""

    @property
    def last_event(self) -> bytes:
        """What the last event said of itself, with its type."""
        return self.body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]

    def assert_ended_by(self, code: str) -> str:
        """It was cut off, behind an error event with this code; return its message."""
        assert not self.is_whole
        assert b"[DONE]" not in self.body
        assert self.body.endswith(b"\n\n")
        kind, _, data = self.last_event.partition(b"\ndata: ")
        assert kind == b"event: error", self.body[-500:]
        error = json.loads(data)["error"]
        assert error["code"] == code
        return str(error["message"])


@asynccontextmanager
async def streaming(client: httpx.AsyncClient, model: str) -> AsyncIterator[Stream]:
    """A streamed answer under way while the block runs, from its first bytes on; afterwards it has ended."""
    stream = Stream()

    async def take() -> None:
        try:
            async with client.stream("POST", "/v1/chat/completions", json=chat(model, stream=True)) as response:
                async for data in response.aiter_raw():
                    stream.body += data
            stream.is_whole = True
        except httpx.RemoteProtocolError:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await until(lambda: stream.body, within_s=ANSWERED_WITHIN_S)
        yield stream


def error_of(response: httpx.Response) -> dict[str, Any]:
    """Return what OpenAI's clients read of an error; it has exactly that shape."""
    content = response.json()
    assert set(content) == {"error"}, content
    error: dict[str, Any] = content["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def chat(model: str, text: str = "hello", **more: object) -> dict[str, object]:
    """Return the body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def agent(client: httpx.AsyncClient, model: str, requests: int, gap_s: float) -> None:
    """A closed loop: ask, work with a tool for `gap_s`, ask again."""
    for number in range(requests):
        if number:
            await trio.sleep(gap_s)
        assert model in await ask(client, model)
