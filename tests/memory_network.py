"""A network in memory, for virtual time: bounded pipes, ports, servers and clients; the same edges as on sockets.

client -> HttpServer(our app) -> Upstream(connect=network.connect) -> HttpServer(fake app), or a handler of raw streams
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from proxy.asgi import ASGIApp, Receive, Scope, Send
from proxy.server import HttpServer
from proxy.streams import LOST, Address
from proxy.transport import plain_client
from proxy.upstream import Upstream

PIPE_BYTES = 64 * 1024
"""What fits between two sides, as in a socket's buffers."""


def _run_in_virtual_time(main: Callable[[], Awaitable[object]], *, clock: None, instruments: Sequence[Any]) -> object:
    assert clock is None
    return trio.run(main, clock=MockClock(autojump_threshold=0), instruments=instruments)


in_virtual_time = pytest.mark.trio(run=_run_in_virtual_time)
"""Decorates a test (a module's mark would lose against pytest-trio's own): time passes when every task waits."""


class _Pipe:
    """One direction. Every change wakes everybody, who then looks again."""

    def __init__(self, capacity_bytes: int, room_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.room_bytes = room_bytes
        self.content = bytearray()
        self.has_ended = False
        """The writer will send no more."""
        self.is_broken = False
        """The reader has gone, or the writer went without a good-bye."""
        self.changed = trio.Event()

    def tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class MemoryStream:
    """One side of a connection; does what `proxy.streams.ClientStream` asks for."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self.is_closed = False

    @property
    def client(self) -> Address | None:
        return ("127.0.0.1", 1)

    @property
    def server(self) -> Address | None:
        return ("127.0.0.1", 2)

    async def receive_some(self, max_bytes: int = PIPE_BYTES) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            self._check_open()
            if self._incoming.is_broken:
                raise trio.BrokenResourceError("reset")
            if self._incoming.content or self._incoming.has_ended:
                data = bytes(self._incoming.content[:max_bytes])
                del self._incoming.content[:max_bytes]
                self._incoming.tell()
                return data
            await self._incoming.changed.wait()

    def send_now(self, data: bytes | bytearray) -> int:
        self._check_open()
        if self._outgoing.is_broken:
            raise trio.BrokenResourceError("nobody is there")
        room = max(self._outgoing.capacity_bytes - len(self._outgoing.content), 0)
        self._outgoing.content += data[:room]
        self._outgoing.tell()
        return min(room, len(data))

    async def wait_sendable(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self.is_closed and not self._outgoing.is_broken:
            if self._outgoing.capacity_bytes - len(self._outgoing.content) >= self._outgoing.room_bytes:
                return
            await self._outgoing.changed.wait()
        self._check_open()

    async def send_all(self, data: bytes) -> None:
        """Send everything, for tests that play one side by hand."""
        while data:
            await self.wait_sendable()
            data = data[self.send_now(data) :]

    async def receive_until(self, end: bytes) -> bytes:
        """Receive up to something, for the same."""
        got = b""
        while end not in got:
            if not (piece := await self.receive_some()):
                raise AssertionError(f"it ended with {got!r}, before {end!r}")
            got += piece
        return got

    async def receive_all(self) -> bytes:
        """Receive up to the end."""
        got = b""
        while piece := await self.receive_some():
            got += piece
        return got

    def has_input(self) -> bool:
        incoming = self._incoming
        return self.is_closed or bool(incoming.content) or incoming.has_ended or incoming.is_broken

    def untaken(self) -> int:
        self._check_open()
        return len(self._outgoing.content)

    def is_lost(self) -> bool:
        return self.is_closed or self._outgoing.is_broken

    def send_eof(self) -> None:
        self._outgoing.has_ended = True
        self._outgoing.tell()

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.send_eof()
            self._incoming.is_broken = True
            self._incoming.tell()

    def reset(self) -> None:
        self._outgoing.is_broken = True
        self.close()

    def _check_open(self) -> None:
        if self.is_closed:
            raise trio.ClosedResourceError


def stream_pair(capacity_bytes: int = PIPE_BYTES, room_bytes: int = 1) -> tuple[MemoryStream, MemoryStream]:
    """Return both sides of a connection."""
    there, back = _Pipe(capacity_bytes, room_bytes), _Pipe(capacity_bytes, room_bytes)
    return MemoryStream(back, there), MemoryStream(there, back)


class MemoryNetwork:
    """Ports, and who listens on them."""

    def __init__(self, nursery: trio.Nursery, *, capacity_bytes: int = PIPE_BYTES, room_bytes: int = 1) -> None:
        """Run servers in `nursery`.

        Args:
            nursery: where.
            capacity_bytes: what fits between two sides.
            room_bytes: so much must be free again before a sender who waits hears of it: sockets want a good part.
        """
        self.accepted: list[MemoryStream] = []
        """Every connection's server side, in order."""
        self._nursery = nursery
        self._capacity_bytes = capacity_bytes
        self._room_bytes = room_bytes
        self._ports: dict[int, Callable[[MemoryStream], None]] = {}

    async def serve(self, port: int, app: ASGIApp) -> HttpServer:
        """Have our own HTTP edge serve an app on a port; it runs when this returns."""
        server = HttpServer(app)
        await self._nursery.start(server.run)
        self._ports[port] = server.attach
        return server

    def handle(self, port: int, handler: Callable[[MemoryStream], Awaitable[None]]) -> None:
        """Have each connection to a port handled by hand, in a task; it may end by losing the connection."""

        async def run(stream: MemoryStream) -> None:
            with suppress(*LOST):
                await handler(stream)

        self._ports[port] = lambda stream: self._nursery.start_soon(run, stream)

    def unplug(self, port: int) -> None:
        """Refuse connections to a port from now on."""
        self._ports.pop(port, None)

    def open(self, port: int) -> MemoryStream:
        """Connect, and play the client by hand."""
        if port not in self._ports:
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        ours, theirs = stream_pair(self._capacity_bytes, self._room_bytes)
        self.accepted.append(theirs)
        self._ports[port](theirs)
        return ours

    async def connect(self, _host: str, port: int) -> MemoryStream:
        """Connect, for `Upstream(connect=...)`."""
        await trio.lowlevel.checkpoint()
        return self.open(port)

    def upstream(self, port: int, path: str = "") -> Upstream:
        """Return the connections to what listens on a port."""
        return Upstream(f"http://127.0.0.1:{port}{path}", connect=self.connect)

    def client(self, port: int) -> httpx.AsyncClient:
        """Return an httpx client of what listens on a port; URLs are paths."""
        client = plain_client(self.upstream(port))
        client.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        return client


async def read_body(receive: Receive) -> bytes:
    """Read a request's body, for fake apps."""
    body = bytearray()
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    return bytes(body)


async def answer(send: Send, body: bytes = b"ok", *, status: int = 200, **headers: str) -> None:
    """Answer at once, for fake apps; `content_type="text/plain"` is a header."""
    head = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    head.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    """The simplest fake app: answers with the request's body."""
    await answer(send, await read_body(receive))
