"""What real servers take to start, to stop and to be swapped, by themselves and through the proxy.

Run it from the project's root while nothing else is going on: `python -m tests.benchmarks.real_servers`. llama.cpp's
HTTP server with models of half a megabyte: what is measured is everything but the size of a model. With `--patient` it
also waits for a server that was told to stop while a client had a stream open.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from statistics import median
from subprocess import DEVNULL
from typing import Final

import httpx
import trio

from tests.live.proxy_process import ProxyProcess, ask, chat, running_proxy, streaming
from tests.real.shelf import ENDLESS, fill, llama_server, real

from .measuring import one, row, table

CUT_AFTER_S: Final = 0.1
"""`unload_timeout` of the model that never ends: what an unload takes beyond it is measured."""
WARM_UP: Final = 20
BLOCKS: Final = 10
TOKENS: Final = 500
TRIES: Final = 8
"""Servers that are told to stop while a client reads: whether one waits for it is a matter of luck."""
_PATH: Final = "/v1/chat/completions"


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What real servers take, by themselves and through the proxy.")
    parser.add_argument("--times", type=int, default=15, help="starts, stops and swaps to measure (default: 15)")
    parser.add_argument("--requests", type=int, default=500, help="small requests to measure (default: 500)")
    parser.add_argument("--patient", action="store_true", help="wait for a server that waits for its client: 30 s")
    options = parser.parse_args()
    with table(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder)
        models = real(folder, "ann") + real(folder, "ben") + real(folder, ENDLESS, unload_timeout=CUT_AFTER_S)
        async with running_proxy(folder, models) as proxy, proxy.client() as client:
            await _swaps(folder, client, options.times)
            row("an unload with a stream open, beyond unload_timeout, ms", await _cuts(client, options.times))
            await _requests(folder, proxy, options.requests)
            await _streams(folder, proxy)
        if options.patient:
            seconds = await _patience_s(folder)
            one(f"a server alone: SIGTERM to exit, a stream open, the longest of {TRIES}, s", max(seconds))
            one(f"  so many of the {TRIES} took more than a second", sum(each > 1 for each in seconds))


async def timed(do: Callable[[], Awaitable[object]]) -> float:
    """Return how many seconds something takes."""
    began_at = trio.current_time()
    await do()
    return trio.current_time() - began_at


@asynccontextmanager
async def server(folder: Path, name: str) -> AsyncIterator[tuple[trio.Process, str]]:
    """A server without a proxy, ready; its process and address."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    process = await trio.lowlevel.open_process(llama_server(folder, name, port=port), stdout=DEVNULL, stderr=DEVNULL)
    try:
        while not await _is_ready(port):  # noqa: ASYNC110  it is another process
            await trio.sleep(0.001)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()


async def _is_ready(port: int) -> bool:
    try:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return b" 200 " in await stream.receive_some()
    except OSError:
        return False


async def _swaps(folder: Path, client: httpx.AsyncClient, times: int) -> None:
    """Swap, and between swaps do by hand what each of them consists of."""
    swaps: list[float] = []
    alone: list[tuple[float, float, float]] = []
    await ask(client, "ben")
    for turn in range(times):
        swaps.append(await timed(lambda turn=turn: ask(client, ("ann", "ben")[turn % 2])))
        alone.append(await _alone(folder))
    stops, starts, services = map(list, zip(*alone, strict=True))
    row("a server alone: SIGTERM to exit, ms", stops)
    row("a server alone: start to ready, ms", starts)
    row("a server alone: the first request, ms", services)
    row("a request that needs a swap, ms", swaps)
    one("A SWAP BEYOND STOP, LOAD AND REQUEST, ms", 1e3 * (median(swaps) - sum(map(median, (stops, starts, services)))))


async def _alone(folder: Path) -> tuple[float, float, float]:
    """Start a server, ask it once, stop it; return seconds to stop, to get ready, to answer."""
    began_at = trio.current_time()
    async with server(folder, "ann") as (process, url):
        start_s = trio.current_time() - began_at
        # One that is told to stop in the moment it is ready may not hear it: it is always asked first.
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            service_s = await timed(lambda: ask(client, "ann"))
        process.terminate()
        return await timed(process.wait), start_s, service_s


async def _patience_s(folder: Path) -> list[float]:
    """Stop servers while a client of each reads what never ends."""
    taken: list[float] = []
    async with trio.open_nursery() as nursery:
        for _ in range(TRIES):
            nursery.start_soon(_stopped_amid_a_stream, folder, taken)
    return taken


async def _stopped_amid_a_stream(folder: Path, taken: list[float]) -> None:
    async with (
        server(folder, ENDLESS) as (process, url),
        httpx.AsyncClient(trust_env=False, timeout=None) as client,
        client.stream("POST", url + _PATH, json=chat(ENDLESS, stream=True)) as response,
        aclosing(response.aiter_raw()) as chunks,
        trio.open_nursery() as nursery,
    ):
        for _ in range(20):  # at the first word it is not yet at work so that it would wait
            await anext(chunks)
        nursery.start_soon(_read, chunks)
        process.terminate()
        taken.append(await timed(process.wait))
        nursery.cancel_scope.cancel()


async def _read(chunks: AsyncIterator[bytes]) -> None:
    with suppress(httpx.RemoteProtocolError):
        async for _ in chunks:
            pass


async def _cuts(client: httpx.AsyncClient, times: int) -> list[float]:
    cuts = []
    for _ in range(times):
        async with streaming(client, ENDLESS) as stream:
            cuts.append(await timed(lambda: client.post(f"/api/models/unload/{ENDLESS}")) - CUT_AFTER_S)
        stream.assert_ended_by("unloaded")
    return cuts


async def _requests(folder: Path, proxy: ProxyProcess, number: int) -> None:
    """The same small requests by turns at a server and through the proxy, on kept connections."""
    async with sides(folder, "ann", proxy) as clients:
        for client in clients.values():
            for _ in range(WARM_UP):
                await ask(client, "ann")
        taken: dict[str, list[float]] = {where: [] for where in clients}
        for _ in range(BLOCKS):
            for where, client in clients.items():
                taken[where] += [await timed(lambda it=client: ask(it, "ann")) for _ in range(number // BLOCKS)]
    for where, seconds in taken.items():
        row(f"a small request, {where}, ms", seconds)


async def _streams(folder: Path, proxy: ProxyProcess) -> None:
    """The same streams by turns at a server and through the proxy."""
    async with sides(folder, ENDLESS, proxy) as clients:
        for client in clients.values():
            await _stream(client)
        taken: dict[str, list[float]] = {where: [] for where in clients}
        for _ in range(BLOCKS):
            for where, client in clients.items():
                taken[where].append(await timed(lambda it=client: _stream(it)))
    for where, seconds in taken.items():
        row(f"{TOKENS} tokens in a stream, {where}, ms", seconds)


@asynccontextmanager
async def sides(folder: Path, name: str, proxy: ProxyProcess) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """Clients of a server of its own and of the proxy."""
    async with (
        server(folder, name) as (_, url),
        httpx.AsyncClient(base_url=url, trust_env=False) as direct,
        proxy.client() as proxied,
    ):
        yield {"directly": direct, "through the proxy": proxied}


async def _stream(client: httpx.AsyncClient) -> None:
    body = chat(ENDLESS, stream=True, max_tokens=TOKENS)
    async with client.stream("POST", _PATH, json=body) as response:
        async for _ in response.aiter_raw():
            pass


if __name__ == "__main__":
    trio.run(main)
