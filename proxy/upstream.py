"""The upstream edge: all connections to one inference server, as a stack of httpcore connections.

Rules: no pool bound and no read timeout (an answer may be silent for minutes); nothing is added to a request; a
connection is used again only when request and response were certainly read to their end; a request is sent a second
time only when it was the first on a connection that had gone stale and nothing came back; `close` is synchronous, so
that the server's end can be asked for right after it. Errors of httpcore and of sockets become `UpstreamError` here.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpcore
import trio

from . import protocol_errors
from .streams import LOST, ByteStream, Connect, TlsStream, connect_tcp

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

CONNECT_TIMEOUT_S: Final = 5.0
_FIRST_ERROR_STATUS: Final = 400
_BROKEN: Final = (httpcore.NetworkError, httpcore.RemoteProtocolError)


class UpstreamError(Exception):
    """The server did not do its part."""


class ConnectFailed(UpstreamError):  # noqa: N818  past-tense facts
    """No connection to the server; the request was not sent."""


class BrokenOff(UpstreamError):  # noqa: N818
    """The server ended the connection, or sent what is not HTTP, before its answer was whole.

    The message is a clause that can follow the server's name.
    """

    def __init__(self, message: str, *, after_head: bool) -> None:
        super().__init__(message)
        self.after_head = after_head
        """Whether status and headers had come."""


class Upstream:
    """All connections to one server.

    Args:
        url: http or https, host, port, perhaps a path that goes before every request's.
        connect: opens connections; tests put memory here.
    """

    def __init__(
        self, url: str, *, connect: Connect = connect_tcp, connect_timeout_s: float = CONNECT_TIMEOUT_S
    ) -> None:
        parts = urlsplit(url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (80 if self._tls is None else 443)
        self._connect = connect
        self._connect_timeout_s = connect_timeout_s
        self._url = httpcore.URL(scheme=parts.scheme, host=self._host, port=self._port, target="/")
        self._lines: set[_Line] = set()
        self._idle: list[_Line] = []
        self._connecting: set[trio.CancelScope] = set()
        self._is_closed = False
        self.authority: Final = parts.netloc.rpartition("@")[2].encode()
        """What the Host header says."""
        self.base_path: Final = parts.path.rstrip("/").encode()

    def __repr__(self) -> str:
        """Say where to and how many, for assertions and logs."""
        return f"<Upstream {self._host}:{self._port}, {len(self._lines)} connections, {len(self._idle)} idle>"

    @property
    def connections(self) -> int:
        """How many are open, idle or in use."""
        return len(self._lines)

    def close(self) -> None:
        """Close every connection at once; who waits on one is woken by a `BrokenOff`. For good; may be called again."""
        self._is_closed = True
        self._idle.clear()
        for scope in self._connecting:
            scope.cancel()
        for line in tuple(self._lines):
            self._drop(line)

    @asynccontextmanager
    async def exchange(
        self, method: bytes, target: bytes, headers: Headers, body: bytes = b""
    ) -> AsyncIterator[Answer]:
        """Send a request and give the answer's head; the block reads as much of the body as it likes.

        Args:
            method: as sent.
            target: path and query; the base path is put before it.
            headers: sent as they are; `content-length` is the caller's to set, `host` too.
            body: whole.

        Raises:
            ConnectFailed: no connection within the connect timeout, or closed.
            BrokenOff: no answer; from the answer's iterator: the answer is not whole.
        """
        url = httpcore.URL(
            scheme=self._url.scheme, host=self._url.host, port=self._url.port, target=self.base_path + target
        )
        request = httpcore.Request(method, url, headers=headers, content=body)
        line, response = await self._send(request)
        answer = Answer(line, response, may_be_unread=bool(body) and response.status >= _FIRST_ERROR_STATUS)
        try:
            yield answer
        finally:
            await self._put_back(line, answer)

    async def _send(self, request: httpcore.Request) -> tuple[_Line, httpcore.Response]:
        while self._idle:
            line = self._idle.pop()
            if line.has_input():  # its end: nothing was asked for
                self._drop(line)
                continue
            try:
                return line, await self._ask(line, request)
            except BrokenOff:
                if line.received_bytes or self._is_closed:
                    raise
                break  # it had gone stale, and those below it are older
        line = await self._open()
        return line, await self._ask(line, request)

    async def _ask(self, line: _Line, request: httpcore.Request) -> httpcore.Response:
        line.received_bytes = 0
        try:
            return await line.http.handle_async_request(request)
        except _BROKEN as error:
            self._drop(line)
            raise BrokenOff(_complaint(error), after_head=False) from error
        except BaseException:
            self._drop(line)
            raise

    async def _open(self) -> _Line:
        if self._is_closed:
            raise ConnectFailed(f"{self._host}:{self._port} is being stopped")
        with trio.move_on_after(self._connect_timeout_s) as scope:
            self._connecting.add(scope)
            try:
                line = _Line(await self._open_stream(), self._url.origin)
            except (OSError, *LOST) as error:
                raise ConnectFailed(f"no connection to {self._host}:{self._port}: {_say(error)}") from error
            finally:
                self._connecting.discard(scope)
            if self._is_closed:
                line.close()
                raise ConnectFailed(f"{self._host}:{self._port} is being stopped")
            self._lines.add(line)
            return line
        raise ConnectFailed(f"{self._host}:{self._port} did not take a connection within {self._connect_timeout_s:g} s")

    async def _open_stream(self) -> ByteStream:
        stream = await self._connect(self._host, self._port)
        if self._tls is None:
            return stream
        tls = TlsStream(stream, self._tls, self._host)
        try:
            await tls.handshake()
        except BaseException:
            tls.close()
            raise
        return tls

    async def _put_back(self, line: _Line, answer: Answer) -> None:
        try:
            if await answer.finish() and not self._is_closed:
                self._idle.append(line)
        finally:
            if line not in self._idle:
                self._drop(line)
                await answer.abandon()

    def _drop(self, line: _Line) -> None:
        self._lines.discard(line)
        line.close()


class Answer:
    """A server's answer: status and headers as they came, the body piece by piece when iterated."""

    def __init__(self, line: _Line, response: httpcore.Response, *, may_be_unread: bool) -> None:
        self.status: Final = response.status
        self.headers: Final = response.headers
        self._line = line
        self._response = response
        self._pieces = aiter(response.stream)  # type: ignore[arg-type]  # what httpcore returns is asynchronous
        self._may_be_unread = may_be_unread
        self._is_whole = False

    def __aiter__(self) -> Answer:
        """Iterate over the body's pieces, chunked coding undone, any other kept."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. Raises BrokenOff: there should be one, and will not."""
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._is_whole = True
            raise
        except _BROKEN as error:
            raise BrokenOff(_complaint(error), after_head=True) from error

    def before_waiting(self, hook: Callable[[], Awaitable[None]] | None) -> None:
        """Have `hook` awaited whenever everything received was handed out: the moment to pass it on."""
        self._line.before_read = hook

    async def finish(self) -> bool:
        """End a whole answer; return whether its connection can take another request."""
        self.before_waiting(None)
        # An error may have been answered without reading the request's body, whose rest would be the next request.
        if not self._is_whole or self._may_be_unread or self._line.unsent:
            return False
        await self._response.aclose()
        return self._line.http.is_idle() and not self._line.has_unread()

    async def abandon(self) -> None:
        """End httpcore's generators; the connection is closed, so that this does not wait."""
        with suppress(*_BROKEN):
            async for _ in self._pieces:
                pass


class _Line(httpcore.AsyncNetworkStream):
    """One connection, as httpcore wants it. A request's head and body leave in one send."""

    def __init__(self, stream: ByteStream, origin: httpcore.Origin) -> None:
        self._stream = stream
        self.http: Final = httpcore.AsyncHTTP11Connection(origin, self)
        self.before_read: Callable[[], Awaitable[None]] | None = None
        self.unsent = bytearray()
        self.received_bytes = 0
        """Since the last request."""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  httpcore's
        self.unsent += buffer  # HTTP/1.1 reads only when its request is complete: that is when it is sent

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109  httpcore's
        if self.before_read is not None:
            await self.before_read()
        try:
            if self.unsent:
                with suppress(*LOST):  # a server may answer and close before it has read everything
                    del self.unsent[: self._stream.send_now(self.unsent)]
            if self.unsent:
                data = await self._receive_while_sending(max_bytes)
            else:
                data = await self._stream.receive_some(max_bytes)
        except LOST as error:
            raise httpcore.ReadError(_say(error)) from error
        self.received_bytes += len(data)
        return data

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()

    def has_input(self) -> bool:
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


def _complaint(error: BaseException) -> str:
    if isinstance(error, httpcore.RemoteProtocolError):
        return protocol_errors.of_answer(error, httpcore.AsyncHTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE)
    return f"broke off: {_say(error)}"


def _say(error: BaseException) -> str:
    words = str(error)
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        words = os.strerror(error.errno)  # Trio's errors of connecting say the address again
    return words[:1].lower() + words[1:] if words else "the connection was closed"
