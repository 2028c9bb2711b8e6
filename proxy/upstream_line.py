"""One connection to a server, as httpcore wants it: a request's head and body leave in one send.

A server that answers before it has read the whole request is heard; the patience for its answer's head begins only when
the request was sent.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Final

import httpcore
import trio

from .streams import LOST, ByteStream


class Line(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, stream: ByteStream, origin: httpcore.Origin) -> None:
        self._stream = stream
        self.http: Final = httpcore.AsyncHTTP11Connection(origin, self)
        self.before_read: Callable[[], Awaitable[None]] | None = None
        self.unsent = bytearray()
        self.received_bytes = 0
        """Since the last request."""
        self.idle_since = inf
        self._patience_s = inf
        self._waiting = trio.CancelScope()
        """For the head of an answer; its deadline is set once the request was sent."""

    def patience(self, seconds: float) -> trio.CancelScope:
        """Return what the head of an answer is to be waited for in; it ends so long after the request was sent."""
        self._patience_s = seconds
        self._waiting = trio.CancelScope()
        return self._waiting

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  httpcore's
        """Keep bytes until an answer is read."""
        self.unsent += buffer  # HTTP/1.1 reads only when its request is complete: that is when it is sent

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109  httpcore's
        """Send what is kept, then return what comes. Raises httpcore.ReadError."""
        if self.before_read is not None:
            await self.before_read()
        try:
            if self.unsent:
                with suppress(*LOST):  # a server may answer and close before it has read everything
                    del self.unsent[: self._stream.send_now(self.unsent)]
            if self.unsent:
                data = await self._receive_while_sending(max_bytes)
            else:
                self._begin_to_wait()
                data = await self._stream.receive_some(max_bytes)
        except LOST as error:
            raise httpcore.ReadError(reason_of(error)) from error
        self.received_bytes += len(data)
        return data

    async def aclose(self) -> None:  # noqa: D102  httpcore's
        self.close()

    def close(self) -> None:
        """Close in good order, at once; may be called again."""
        self._stream.close()

    def has_input(self) -> bool:
        """Whether something has come, or the end."""
        return self._stream.has_input()

    def has_unread(self) -> bool:
        """Whether more has come than was asked for: it would pass for the answer to the next request."""
        return bool(self.http._h11_state.trailing_data[0])  # noqa: SLF001  nothing public tells, a test holds it

    async def _receive_while_sending(self, max_bytes: int) -> bytes:
        """A server that answers before it has read the whole request must not be waited for until it has."""
        data, lost = b"", None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_rest)
            try:
                data = await self._stream.receive_some(max_bytes)
            except LOST as error:
                lost = error
            nursery.cancel_scope.cancel()
        if lost is not None:
            raise lost
        return data

    async def _send_rest(self) -> None:
        with suppress(*LOST):  # receiving tells
            while self.unsent:
                await self._stream.wait_sendable()
                del self.unsent[: self._stream.send_now(self.unsent)]
            self._begin_to_wait()

    def _begin_to_wait(self) -> None:
        if self._patience_s < inf:
            self._waiting.deadline = trio.current_time() + self._patience_s
            self._patience_s = inf


def reason_of(error: BaseException) -> str:
    """Return what went wrong with a connection, as a clause."""
    words = str(error)
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        words = os.strerror(error.errno)  # Trio's errors of connecting say the address again
    return words[:1].lower() + words[1:] if words else "the connection was closed"
