"""Hypercorn's HTTP/1.1 protocol, without its upgrades, and with a reader that is never parked.

`Peer` is the connection underneath (`connections.Connection`). Hypercorn's classes are importable but not documented:
tests hold what is relied on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import h11
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.events import Request, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import UnexpectedMessageError, suppress_body

from . import protocol_errors
from .asgi import Message, Scope
from .streams import ClientStream

HEAD_LIMIT_BYTES: Final = 64 * 1024
"""Of a request's line and headers: 431 above it."""
_MOST_ZEROS: Final = 8
"""Before one chunk's size: parsers that count digits allow 16 (Go) or 20 (h11)."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Peer(Protocol):
    """What the protocol wants of the connection it is spoken on."""

    stream: ClientStream

    @property
    def is_stopping(self) -> bool:
        """Whether this request is the last."""

    async def take(self, event: Event) -> None:
        """Send bytes."""

    async def take_body(self, message: Message) -> None:
        """Hand a piece of a request's body to the app."""

    async def spawn_app(
        self, app: object, config: Config, scope: Scope, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        """Start a request; the result is called when its stream has ended."""

    def look_again(self) -> None:
        """A request has been answered, another may come."""

    def end(self) -> None:
        """No further request: close."""


def hypercorn_config() -> Config:
    """Return the settings of Hypercorn's protocol classes: silent, and adding nothing to answers."""
    config = Config()
    config.errorlog = None
    config.accesslog = None
    config.include_date_header = False
    config.include_server_header = False
    config.h11_max_incomplete_size = HEAD_LIMIT_BYTES
    return config


class Exchange(HTTPStream):
    """Hypercorn's side of one request, with head, body and end in as few sends as they come in."""

    protocol: HttpProtocol

    async def app_send(self, message: Message | None) -> None:  # type: ignore[override]  # ours is a mapping, theirs a TypedDict
        """Take one ASGI message; None: the app has ended."""
        if message is None:
            if not self.closed:
                await self.send(StreamClosed(stream_id=self.stream_id))
        elif message["type"] == "http.response.start" and self.state is ASGIHTTPState.REQUEST:
            self.response = message  # type: ignore[assignment]  # as above
            self.protocol.begin_response(int(message["status"]), list(message.get("headers", ())))
            self.state = ASGIHTTPState.RESPONSE
        elif message["type"] == "http.response.body" and self.state is ASGIHTTPState.RESPONSE:
            await self._send_body(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            raise UnexpectedMessageError(self.state, message["type"])

    async def _send_body(self, body: bytes, *, is_last: bool) -> None:
        events: list[h11.Event] = []
        if body and not suppress_body(self.scope["method"], self.response["status"]):
            events.append(h11.Data(data=body))
        if is_last:
            events.append(h11.EndOfMessage())
        await self.protocol.write(*events)
        if is_last:
            self.state = ASGIHTTPState.CLOSED
            await self.send(StreamClosed(stream_id=self.stream_id))


class HttpProtocol(H11Protocol):
    """Hypercorn's HTTP/1.1 with h11, without its upgrades, and with a reader that is never parked."""

    def __init__(self, peer: Peer, config: Config) -> None:
        """Speak for `peer`, which also is the task group that requests run in."""
        stream = peer.stream
        super().__init__(
            peer,  # type: ignore[arg-type]  # the app: only ever handed back to `spawn_app`
            config,
            WorkerContext(None),
            peer,  # type: ignore[arg-type]  # of Hypercorn's task group, `spawn_app` is all that is used
            ConnectionState({}),
            False,  # noqa: FBT003  Hypercorn's signature; no TLS
            stream.client,
            stream.server,
            peer.take,
        )
        self._peer = peer
        self.is_paused = False
        """There are bytes behind the request that is being answered."""
        self._head = b""
        self._is_chunked = False
        self._is_close_delimited = False
        self._zeros = 0

    @property
    def is_cut_unseen(self) -> bool:
        """Whether closing now, in good order, would make half an answer look whole."""
        return self._is_close_delimited and self.connection.our_state is h11.SEND_BODY

    @property
    def is_input_unread(self) -> bool:
        """Whether the client has sent, or may be sending, what nobody will read."""
        return self.is_paused or self.connection.their_state in {h11.SEND_BODY, h11.ERROR}

    def begin_response(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Make the head; it leaves with what follows it.

        Raises:
            h11.LocalProtocolError: status or headers are not HTTP; another head may be tried.
        """
        if self._peer.is_stopping or self.connection.they_are_waiting_for_100_continue:
            headers = [*headers, (b"connection", b"close")]
        response = h11.Response(status_code=status, headers=headers)
        self._head = self._encode(response)
        has_length = any(name == b"content-length" for name, _ in response.headers)
        is_old = self._is_http_1_0()
        self._is_chunked = not has_length and not is_old
        self._is_close_delimited = not has_length and is_old

    async def write(self, *events: h11.Event) -> None:
        """Send the head if it is still here, and what follows it; nothing follows: the head alone."""
        data, self._head = self._head, b""
        for event in events:
            data += self._encode(event)
        if data:
            self._zeros = 0
            await self.send(RawData(data=data))

    async def invite_body(self) -> None:
        """Say that the body is wanted, to a client that waits for that."""
        if self.connection.they_are_waiting_for_100_continue:
            self._encode(h11.InformationalResponse(status_code=100, headers=[]))
            await self.send(RawData(data=_CONTINUE))

    def question(self) -> bytes | None:
        """Return bytes that a client overlooks if it is there, perhaps none; None: one that sent its end has gone.

        An interim response (RFC 9110, 15.2: any number of them may come), or a leading zero of the next chunk's size
        (RFC 9112, 7.1). HTTP/1.0 has neither: mostly reverse proxies speak it, which never close one side only.
        """
        if self._is_http_1_0():
            return None
        if self._head:
            return b""
        if self.connection.our_state is h11.SEND_RESPONSE:
            return _CONTINUE
        if self.connection.our_state is h11.SEND_BODY and self._is_chunked and self._zeros < _MOST_ZEROS:
            self._zeros += 1
            return b"0"
        return b""

    def _encode(self, event: h11.Event) -> bytes:
        try:
            return self.connection.send(event) or b""  # type: ignore[arg-type]  # Hypercorn lists the events it sends itself
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return b""  # answered already, with an error

    def _is_http_1_0(self) -> bool:
        return (getattr(self.connection, "their_http_version", None) or b"1.1") < b"1.1"

    # What Hypercorn calls, or what stands in for its own.

    async def _handle_events(self) -> None:
        self.is_paused = False
        while True:
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                if self.connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                    await self._refuse(*protocol_errors.of_request(error, HEAD_LIMIT_BYTES))
                self._peer.end()
                return
            if isinstance(event, h11.Request):
                await self._begin_request(event)
            elif event is h11.PAUSED:
                self.is_paused = True
                return
            elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed) or self.stream is None:
                return
            elif isinstance(event, h11.Data):
                await self._peer.take_body({"type": "http.request", "body": bytes(event.data), "more_body": True})
            elif isinstance(event, h11.EndOfMessage):
                await self._peer.take_body({"type": "http.request", "body": b"", "more_body": False})

    async def _refuse(self, status: int, message: str, *, is_head: bool = False) -> None:
        body = protocol_errors.as_json(status, message)
        kind, length = (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))
        head = h11.Response(status_code=status, headers=[kind, length, (b"connection", b"close")])
        events = (head, *([] if is_head else [h11.Data(data=body)]), h11.EndOfMessage())
        data = b"".join(self._encode(event) for event in events)
        await self.send(RawData(data=data))

    async def _begin_request(self, request: h11.Request) -> None:
        if (objection := protocol_errors.objection(request)) is not None:
            await self._refuse(*objection, is_head=request.method == b"HEAD")
            self._peer.end()
            return
        self.stream = exchange = Exchange(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        exchange.protocol = self
        await exchange.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii"),
                raw_path=_origin_form(request.target),
                state=self.connection_state,
            )
        )

    async def _maybe_recycle(self) -> None:
        await self._close_stream()
        both_done = self.connection.our_state is h11.DONE and self.connection.their_state is h11.DONE
        if both_done and not self._peer.is_stopping:
            self.connection.start_next_cycle()
            self._peer.look_again()
        else:
            self._peer.end()


def _origin_form(target: bytes) -> bytes:
    """Return path and query of a target that is a whole URL, as proxies are sent (RFC 9112, 3.2.2); else the target."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or target.startswith(b"/") or b"?" in scheme:
        return target
    return b"/" + rest.partition(b"/")[2]
