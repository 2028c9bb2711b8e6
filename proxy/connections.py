"""One client's connection: read and written so that nothing about it can hang or leak.

Rules: one task reads, and it alone closes; the app's task writes. Reading goes on while a request is answered, within
bounds, so that a client's end is noticed behind pipelined requests too. A client that has closed its sending side only
still gets its answer: whether it is there is asked with bytes that mean nothing (`HttpProtocol.question`). A send that
was cancelled halfway is taken up by the next one, so that the app may still say why it stops. Sending to a client that
is gone does nothing, but yields. One that takes nothing of its answer for too long counts as gone: its seat is wanted.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.http_stream import ASGIHTTPState

from .asgi import AbortResponse, ASGIApp, Message, Receive, Scope, Send
from .http_protocol import Exchange, HttpProtocol
from .streams import LOST, ClientStream

_LOG: Final = logging.getLogger("trio_swap.http")

_READ_BYTES: Final = 64 * 1024
_AHEAD_BYTES: Final = 64 * 1024
"""Of requests behind the one being answered. Of a client that sends more and then goes, the next send tells."""
_BODY_QUEUE: Final = 10
"""Pieces of a request's body that wait for the app, `_READ_BYTES` each at most."""
_LINGER_S: Final = 2.0
"""A client that is still sending gets so long to see its answer, which a close with unread bytes would destroy."""
_SENDS_PER_YIELD: Final = 8
_FIRST_DOUBT_S: Final = 0.001
_LAST_DOUBT_S: Final = 5.0
_ASK_AGAIN_S: Final = 1.0
_INTERNAL_ERROR: Final = (
    b'{"error":{"message":"the proxy failed to answer; its log says why",'
    b'"type":"server_error","param":null,"code":"internal_error"}}'
)


class Connection:
    """A client's connection, from its first byte to its last.

    Args:
        keep_alive_timeout_s: between requests, and for a request's head to be complete.
        send_timeout_s: a client that takes nothing of its answer for so long counts as gone.
        is_stopping: the server is: no further request after this one.
    """

    def __init__(
        self,
        app: ASGIApp,
        stream: ClientStream,
        config: Config,
        *,
        keep_alive_timeout_s: float,
        send_timeout_s: float,
        is_stopping: Callable[[], bool],
    ) -> None:
        self.stream = stream
        self._app = app
        self._keep_alive_timeout_s = keep_alive_timeout_s
        self._send_timeout_s = send_timeout_s
        self._stopping = is_stopping
        self._nursery: trio.Nursery
        self._protocol = HttpProtocol(self, config)
        self._pause = trio.CancelScope()
        """What the reader waits in; cancelled to make it look again."""
        self._idle_since = trio.current_time()
        self._body: trio.MemorySendChannel[Message] | None = None
        self._outbox = bytearray()
        """Not sent yet; more than empty between two sends only when the first was cancelled."""
        self._sends = 0
        self._ahead_bytes = 0
        self._has_eof = False
        self._is_over = False
        self._is_gone = False

    @property
    def is_stopping(self) -> bool:
        """Whether this request is the last."""
        return self._stopping()

    async def run(self) -> None:
        """Serve requests until one side has enough; nothing is left of them afterwards. Closes the stream."""
        try:
            async with trio.open_nursery() as self._nursery:
                await self._read()
                if not self._is_gone:
                    await self._part()
                self._lose()
        finally:
            self._close()

    def look_again(self) -> None:
        """Have the reader look at what has changed."""
        self._idle_since = trio.current_time()
        self._pause.cancel()

    def end(self) -> None:
        """No further request: the reader is to close."""
        self._is_over = True
        self._pause.cancel()

    # Reading

    async def _read(self) -> None:
        while True:
            await self._protocol._handle_events()  # noqa: SLF001  Hypercorn's name
            is_in_use = self._protocol.stream is not None
            if self._is_over or (not is_in_use and (self._has_eof or self.is_stopping)):
                return
            give_up_at = inf if is_in_use else self._idle_since + self._keep_alive_timeout_s
            with trio.CancelScope(deadline=give_up_at) as self._pause:
                await self._wait_for_client()
            if not is_in_use and self._pause.cancelled_caught and trio.current_time() >= give_up_at:
                return

    async def _wait_for_client(self) -> None:
        if self._has_eof:
            await self._wait_until_gone()
            self._lose()
        elif self._protocol.is_paused and self._ahead_bytes >= _AHEAD_BYTES:
            await trio.sleep_forever()
        else:
            await self._receive()

    async def _receive(self) -> None:
        try:
            data = await self.stream.receive_some(_READ_BYTES)
        except LOST:
            self._lose()
            return
        self._protocol.connection.receive_data(data)
        self._has_eof = not data
        self._ahead_bytes = self._ahead_bytes + len(data) if self._protocol.is_paused else 0

    async def _wait_until_gone(self) -> None:
        """Return when a client that sent its end is not there any more."""
        doubt_s, ask = _FIRST_DOUBT_S, True
        while not self.stream.is_lost():
            if ask and not self._outbox:  # a send under way asks the same
                question = self._protocol.question()
                if question is None:
                    return
                try:
                    if question:
                        self.stream.send_now(question)
                except LOST:
                    return
            await trio.sleep(doubt_s)
            doubt_s = min(2 * doubt_s, _LAST_DOUBT_S)
            ask = doubt_s > _ASK_AGAIN_S

    # Answering

    async def spawn_app(
        self, _app: object, _config: Config, scope: Scope, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        """Start a request, for Hypercorn; what it hands to the result is the news of the stream's end."""
        body, inbox = trio.open_memory_channel[Message](_BODY_QUEUE)
        self._body = body
        self._nursery.start_soon(self.answer, scope, inbox, send)

        async def put(_message: Message) -> None:
            body.close()

        return put

    async def take_body(self, message: Message) -> None:
        """Hand a piece of a request's body to the app; one that has ended, or will not have it, misses it."""
        if self._body is None:
            return
        with suppress(*LOST):
            try:
                # Without yielding: an app that answers before it has read a small body finds it whole all the same.
                self._body.send_nowait(message)
            except trio.WouldBlock:
                await self._body.send(message)

    async def answer(
        self, scope: Scope, inbox: trio.MemoryReceiveChannel[Message], send: Callable[[Message | None], Awaitable[None]]
    ) -> None:
        """Run the app for one request."""
        exchange = self._protocol.stream
        with inbox:
            was_aborted = await self._run_app(scope, self._receiver(inbox), send)
            if not was_aborted and not self._is_gone and isinstance(exchange, Exchange):
                await _mend(scope, send, exchange)
        await send(None)

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Run the app; return whether it wants the answer cut off."""
        aborted = False
        try:
            await self._app(scope, receive, send)
        except* AbortResponse:
            aborted = True
        except* Exception:  # noqa: BLE001  whatever it was, the next request is served
            _LOG.exception("%s %s failed", scope["method"], scope["path"])
        return aborted

    def _receiver(self, inbox: trio.MemoryReceiveChannel[Message]) -> Receive:
        async def receive() -> Message:
            await self._protocol.invite_body()
            try:
                return await inbox.receive()
            except trio.EndOfChannel:
                return {"type": "http.disconnect"}

        return receive

    async def take(self, event: Event) -> None:
        """Send bytes, for Hypercorn."""
        if isinstance(event, RawData):
            await self._send(event.data)

    async def _send(self, data: bytes) -> None:
        self._sends += 1
        if self._is_gone or not self._sends % _SENDS_PER_YIELD:
            # An app that sends for ever to a client that is gone, or takes everything, must not hold up the others.
            await trio.lowlevel.checkpoint()
        if self._is_gone:
            return
        self._outbox += data
        try:
            while self._outbox:
                if sent := self.stream.send_now(self._outbox):
                    del self._outbox[:sent]
                else:
                    await self._wait_for_room()
        except LOST:
            self._lose()
            await trio.lowlevel.checkpoint()

    async def _wait_for_room(self) -> None:
        """Return when something fits again. Raises what `LOST` names: the client is gone, or might as well be.

        Room shows late, when a good part of what the kernel holds was taken: that any of it was is enough to stay.
        """
        while True:
            untaken_bytes = self.stream.untaken()
            with trio.move_on_after(self._send_timeout_s):
                return await self.stream.wait_sendable()
            if self.stream.untaken() >= untaken_bytes:
                _LOG.warning("a client took nothing of its answer for %g s (server.send_timeout)", self._send_timeout_s)
                self.stream.reset()
                raise trio.BrokenResourceError

    # Ending

    def _lose(self) -> None:
        """The client has gone, or is done with: the app is told, and what it still sends is dropped."""
        self._is_gone = True
        self._outbox.clear()
        self._close()
        if self._body is not None:
            self._body.close()
        self.end()

    async def _part(self) -> None:
        """Close so that the client gets what was sent, and can tell whether that is all."""
        if self._protocol.is_cut_unseen:
            self.stream.reset()
            return
        self.stream.send_eof()
        if self._protocol.is_input_unread and not self._has_eof:
            with trio.move_on_after(_LINGER_S), suppress(*LOST):
                while await self.stream.receive_some(_READ_BYTES):
                    pass

    def _close(self) -> None:
        if self._protocol.is_cut_unseen:
            self.stream.reset()
        else:
            self.stream.close()


async def _mend(scope: Scope, send: Send, exchange: Exchange) -> None:
    """Answer where the app has not; an answer that has begun stays cut off."""
    if exchange.state is ASGIHTTPState.REQUEST:
        _LOG.error("%s %s was not answered", scope["method"], scope["path"])
        await _send_internal_error(send)
    elif exchange.state is ASGIHTTPState.RESPONSE:
        _LOG.error("%s %s was not answered to its end", scope["method"], scope["path"])


async def _send_internal_error(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_INTERNAL_ERROR))]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": _INTERNAL_ERROR, "more_body": False})
