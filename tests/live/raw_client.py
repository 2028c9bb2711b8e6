"""A client that does with its connection whatever a test wants: writes any bytes, stops reading, hangs up anyhow."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from .proxy_process import ANSWERED_WITHIN_S, ProxyProcess, chat

_RESET = struct.pack("ii", 1, 0)


def post(model: str, path: str = "/v1/chat/completions", **more: object) -> bytes:
    """Return a chat request, head and body."""
    return post_bytes(json.dumps(chat(model, **more)).encode(), path)


def post_bytes(body: bytes, path: str = "/v1/chat/completions", *headers: bytes) -> bytes:
    """Return a request with this body."""
    line = b"POST %s HTTP/1.1" % path.encode()
    head = [line, b"Host: test", *headers, b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*head, b"", body])


class Caller:
    """One connection to the proxy."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._unread = b""

    async def head(self) -> bytes:
        """Read an answer's head."""
        return await self.until(b"\r\n\r\n")

    async def until(self, mark: bytes) -> bytes:
        """Read up to and with `mark`."""
        with trio.fail_after(ANSWERED_WITHIN_S):
            while mark not in self._unread:
                data = await self.stream.receive_some()
                assert data, f"it ended without {mark!r}: {self._unread!r}"
                self._unread += bytes(data)
        found, _, self._unread = self._unread.partition(mark)
        return found + mark

    async def rest(self) -> bytes:
        """Read until the proxy ends the connection in good order. Raises trio.BrokenResourceError: it did not."""
        with trio.fail_after(ANSWERED_WITHIN_S):
            while data := await self.stream.receive_some():
                self._unread += bytes(data)
        rest, self._unread = self._unread, b""
        return rest

    async def hang_up(self) -> None:
        """Close in good order."""
        await self.stream.aclose()

    async def reset(self) -> None:
        """Close so that the proxy gets an error."""
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        await self.stream.aclose()


@asynccontextmanager
async def calling(
    proxy: ProxyProcess, request: bytes = b"", *, receive_buffer: int | None = None
) -> AsyncIterator[Caller]:
    """A connection on which `request` was sent, until the block ends."""
    sock = trio.socket.socket()
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect(proxy.address)
    except BaseException:
        sock.close()
        raise
    stream = trio.SocketStream(sock)
    async with stream:
        await stream.send_all(request)
        yield Caller(stream)
