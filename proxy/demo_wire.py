"""One client's connection to the demo model: h11 over a Trio stream, and nothing of what is said over it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final

import h11
import trio

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024
_AHEAD_BYTES: Final = 64 * 1024
"""So much of a client's next requests is taken in while one is answered; then it is left to the kernel."""


class Wire:
    """Requests come in, one after the other; each gets one answer."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._conn = h11.Connection(h11.SERVER)
        self._is_head = False
        self.status: HTTPStatus | None = None
        """Of the answer to the current request."""
        self.events_sent = 0

    @property
    def is_answered(self) -> bool:
        """Whether the current request has its whole answer."""
        return self._conn.our_state in {h11.DONE, h11.MUST_CLOSE, h11.CLOSED}

    async def next_request(self) -> h11.Request | None:
        """Wait for the next request; None: there will be none.

        Raises:
            h11.RemoteProtocolError: The client does not speak HTTP.
        """
        if self._conn.our_state is h11.DONE and self._conn.their_state is h11.DONE:
            self._conn.start_next_cycle()
        elif self._conn.our_state is not h11.IDLE:
            return None
        self.status, self.events_sent, self._is_head = None, 0, False
        event = await self._next_event()
        if not isinstance(event, h11.Request):
            return None
        self._is_head = event.method == b"HEAD"
        return event

    async def body(self) -> bytes | None:
        """Read the request's body; None: it is too large, and the connection ends with the answer."""
        if self._conn.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                return None
        return bytes(body)

    async def watch_for_disconnect(self, scope: trio.CancelScope) -> None:
        """Cancel `scope` when the client hangs up. What it sends meanwhile is kept for later, within bounds."""
        ahead = 0
        while ahead < _AHEAD_BYTES:
            try:
                received = await self._stream.receive_some(_READ_BYTES)
            except trio.BrokenResourceError:
                received = b""
            if not received:
                scope.cancel()
                return
            ahead += len(received)
            self._conn.receive_data(bytes(received))

    async def send_json(self, status: HTTPStatus, content: object) -> None:
        """Answer with a whole JSON body."""
        self.status = status
        body = json.dumps(content).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        data = [] if self._is_head else [h11.Data(data=body)]
        await self._send(h11.Response(status_code=status, headers=headers), *data, h11.EndOfMessage())

    async def start_events(self) -> None:
        """Begin an event stream."""
        self.status = HTTPStatus.OK
        headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache")]
        await self._send(h11.Response(status_code=HTTPStatus.OK, headers=headers))

    async def send_event(self, content: object) -> None:
        """Send one event with JSON in it."""
        self.events_sent += 1
        await self._send(h11.Data(data=f"data: {json.dumps(content)}\n\n".encode()))

    async def end_events(self) -> None:
        """Say that the stream is complete."""
        await self._send(h11.Data(data=b"data: [DONE]\n\n"), h11.EndOfMessage())

    async def _next_event(self) -> Any:
        while (event := self._conn.next_event()) is h11.NEED_DATA:
            self._conn.receive_data(bytes(await self._stream.receive_some(_READ_BYTES)))
        return event

    async def _send(self, *events: h11.Event) -> None:
        await self._stream.send_all(b"".join(self._conn.send(event) or b"" for event in events))
