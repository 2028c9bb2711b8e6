"""A model server whose part the test plays itself: it sees every byte of the proxy, and says when what is answered.

The process that the proxy starts for it only sleeps; the connections end here.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

HAPPENS_WITHIN_S = 20.0
SLEEPER = ("sleep", "600")
STUBBORN = ("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
"""Ends only when killed. The loop's sleeps are told as well, and ignore it too."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a whole response."""
    head = [b"HTTP/1.1 " + status, *headers, b"content-length: %d" % len(body)]
    return b"\r\n".join([*head, b"", body])


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Line:
    """A connection that the proxy opened."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._unread = b""
        self.head = b""
        """Of the last request, with the blank line."""
        self.body = b""

    async def request(self) -> Line:
        """Read the next request; it is in `head` and `body` then."""
        with trio.fail_after(HAPPENS_WITHIN_S):
            while b"\r\n\r\n" not in self._unread:
                self._unread += await self._receive()
            head, _, rest = self._unread.partition(b"\r\n\r\n")
            self.head = head + b"\r\n\r\n"
            length = _LENGTH.search(self.head)
            size = int(length[1]) if length else 0
            while len(rest) < size:
                rest += await self._receive()
            self.body, self._unread = rest[:size], rest[size:]
        return self

    async def send(self, data: bytes) -> None:
        """Send bytes of an answer."""
        with trio.fail_after(HAPPENS_WITHIN_S):
            await self._stream.send_all(data)

    async def pour(self, data: bytes, progress: list[int]) -> None:
        """Send the same bytes for ever, and note in `progress` how often; return when the proxy hangs up."""
        try:
            while True:
                await self._stream.send_all(data)
                progress[0] += 1
        except trio.BrokenResourceError:
            return

    async def gone(self) -> None:
        """Wait until the proxy has hung up."""
        with trio.fail_after(HAPPENS_WITHIN_S):
            try:
                while await self._stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                return

    async def hang_up(self) -> None:
        """Close the connection, whether anything is missing or not."""
        await self._stream.aclose()

    async def _receive(self) -> bytes:
        data = await self._stream.receive_some()
        assert data, "the proxy hung up"
        return bytes(data)


class Stage:
    """Where the proxy finds a server that the test plays."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._lines: list[Line] = []
        self.port: int = listener.socket.getsockname()[1]

    def model(self, name: str, *, command: tuple[str, ...] = SLEEPER, **keys: object) -> str:
        """Return its `[models.NAME]` table; it is not checked unless `keys` say so."""
        checked = "" if "check_endpoint" in keys else 'check_endpoint = "none"\n'
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        where = f'proxy = "http://127.0.0.1:{self.port}"\n'
        return f'[models."{name}"]\ncmd = {json.dumps(command)}\n{where}{checked}{lines}\n'

    async def line(self) -> Line:
        """Wait for the next connection."""
        with trio.fail_after(HAPPENS_WITHIN_S):
            line = Line(await self._listener.accept())
        self._lines.append(line)
        return line

    async def asked(self) -> Line:
        """Wait for the next connection and read its first request."""
        return await (await self.line()).request()

    async def leave(self) -> None:
        """Listen no more."""
        await self._listener.aclose()

    async def clear(self) -> None:
        """Hang up on everybody."""
        for line in self._lines:
            await line.hang_up()


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """A stage for one server as long as the block lasts."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        stage = Stage(listener)
        try:
            yield stage
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await stage.clear()
