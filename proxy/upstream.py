"""The upstream edge: all connections to one inference server, as a stack of httpcore connections.

Rules: no pool bound and no timeout between two bytes (an answer may be silent for minutes); nothing is added to a
request; a connection is used again only when request and response were certainly read to their end; a request is sent a
second time only when it was the first on a connection that had gone stale and nothing came back; `close` is
synchronous, so that the server's end can be asked for right after it. Errors of httpcore and of sockets become
`UpstreamError` here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpcore
import trio

from . import protocol_errors
from .streams import LOST, ByteStream, Connect, TlsStream, connect_tcp
from .upstream_line import Line, reason_of

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


class AnswerTimedOut(UpstreamError):  # noqa: N818
    """The request was sent whole, and the answer's head has not come in time. The message is a clause as well."""


class Upstream:
    """All connections to one server.

    Args:
        url: http or https, host, port, perhaps a path that goes before every request's.
        connect: opens connections; tests put memory here.
        connect_timeout_s: for a connection, with its TLS handshake.
        answer_timeout_s: from the request sent to the head of the answer.
        idle_timeout_s: a connection that was unused for longer is not used again.
    """

    def __init__(
        self,
        url: str,
        *,
        connect: Connect = connect_tcp,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        answer_timeout_s: float = inf,
        idle_timeout_s: float = inf,
    ) -> None:
        parts = urlsplit(url)
        # The system's certificates, and those that certifi brings: a container may have none.
        self._tls = httpcore.default_ssl_context() if parts.scheme == "https" else None
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (80 if self._tls is None else 443)
        self._connect = connect
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._url = httpcore.URL(scheme=parts.scheme, host=self._host, port=self._port, target="/")
        self._lines: set[Line] = set()
        self._idle: list[Line] = []
        self._connecting: set[trio.CancelScope] = set()
        self._is_closed = False
        self._is_retired = False
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

    def retire(self) -> None:
        """Close every connection as soon as no answer comes over it any more. For good."""
        self._is_retired = True
        for line in self._idle:
            self._drop(line)
        self._idle.clear()

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
            AnswerTimedOut: no head of an answer within the answer timeout.
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

    async def _send(self, request: httpcore.Request) -> tuple[Line, httpcore.Response]:
        while self._idle:
            line = self._idle.pop()
            has_aged = trio.current_time() - line.idle_since > self._idle_timeout_s
            if has_aged or line.has_input():  # its end: nothing was asked for
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

    async def _ask(self, line: Line, request: httpcore.Request) -> httpcore.Response:
        line.received_bytes = 0
        try:
            with line.patience(self._answer_timeout_s):
                return await line.http.handle_async_request(request)
        except _BROKEN as error:
            self._drop(line)
            raise BrokenOff(_complaint(error), after_head=False) from error
        except BaseException:
            self._drop(line)
            raise
        self._drop(line)
        raise AnswerTimedOut(f"did not begin to answer within {self._answer_timeout_s:g} s")

    async def _open(self) -> Line:
        if self._is_closed:
            raise ConnectFailed(f"{self._host}:{self._port} is being stopped")
        with trio.move_on_after(self._connect_timeout_s) as scope:
            self._connecting.add(scope)
            try:
                line = Line(await self._open_stream(), self._url.origin)
            except (OSError, *LOST) as error:
                raise ConnectFailed(f"no connection to {self._host}:{self._port}: {reason_of(error)}") from error
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

    async def _put_back(self, line: Line, answer: Answer) -> None:
        try:
            if await answer.finish() and not self._is_closed and not self._is_retired:
                line.idle_since = trio.current_time()
                self._idle.append(line)
        finally:
            if line not in self._idle:
                self._drop(line)
                await answer.abandon()

    def _drop(self, line: Line) -> None:
        self._lines.discard(line)
        line.close()


class Answer:
    """A server's answer: status and headers as they came, the body piece by piece when iterated."""

    def __init__(self, line: Line, response: httpcore.Response, *, may_be_unread: bool) -> None:
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


def _complaint(error: BaseException) -> str:
    if isinstance(error, httpcore.RemoteProtocolError):
        return protocol_errors.of_answer(error, httpcore.AsyncHTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE)
    return f"broke off: {reason_of(error)}"
