"""The downstream edge: accepts clients and serves the app to them, a task each, until it is told to stop."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Sequence
from math import inf
from typing import Final

import trio

from .asgi import AbortResponse, ASGIApp
from .connections import Connection
from .http_protocol import hypercorn_config
from .listeners import ListenError, address_of, close_listener, open_listeners
from .streams import ClientStream, SocketStream

__all__ = ["AbortResponse", "HttpServer", "ListenError", "address_of", "close_listener", "open_listeners"]

_LOG: Final = logging.getLogger("trio_swap.http")

KEEP_ALIVE_S: Final = 60.0
SEND_TIMEOUT_S: Final = 300.0
_ACCEPTS_PER_TURN: Final = 16
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_ROOM_PAUSE_S: Final = 0.1
"""As in `trio.serve_listeners`."""


class HttpServer:
    """Serves an ASGI app over HTTP/1.1; `run` once, `stop` as often as it gets more urgent.

    Args:
        app: run for each request; may raise `AbortResponse`.
        listeners: from `open_listeners`, owned from now on; may be none, when connections are handed to `attach`.
        keep_alive_timeout_s: how long a client may stay silent between two requests, or take for a request's head.
        send_timeout_s: how long a client may take nothing of an answer; inf: for ever.
    """

    def __init__(
        self,
        app: ASGIApp,
        listeners: Sequence[socket.socket] = (),
        *,
        keep_alive_timeout_s: float = KEEP_ALIVE_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        self.ended: Final = trio.Event()
        """Set when `run` has nothing left."""
        self._app = app
        self._listeners = tuple(listeners)
        self._keep_alive_timeout_s = keep_alive_timeout_s
        self._send_timeout_s = send_timeout_s
        self._config = hypercorn_config()
        self._stopping = trio.Event()
        self._deadline = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._open: set[Connection] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop` and until every connection has ended, by itself or at the deadline."""
        try:
            with self._deadline:
                async with trio.open_nursery() as self._nursery:
                    for listener in self._listeners:
                        self._nursery.start_soon(self._accept, listener, name=f"accept {listener.fileno()}")
                    task_status.started()
                    await self._stopping.wait()
        finally:
            self._stop_accepting()
            self._nursery = None
            self.ended.set()

    def stop(self, deadline: float = -inf) -> None:
        """Accept no more, end idle connections now, others at `deadline` (Trio's time); an earlier one stands."""
        self._stop_accepting()
        self._deadline.deadline = min(self._deadline.deadline, deadline)
        for connection in self._open:
            connection.look_again()

    def attach(self, stream: ClientStream) -> None:
        """Serve a connection, wherever it comes from. The server runs; one that is stopping closes it."""
        if self._nursery is None or self._stopping.is_set():
            stream.close()
            return
        self._nursery.start_soon(self._serve, stream)

    async def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                await trio.lowlevel.wait_readable(listener)
                for _ in range(_ACCEPTS_PER_TURN):
                    self.attach(SocketStream(listener.accept()[0]))
            except BlockingIOError:
                continue
            except trio.ClosedResourceError:
                return
            except OSError as error:
                # Anything else is the end of a connection before it began.
                if error.errno in _NO_ROOM:
                    _LOG.error("cannot accept a connection (%s): too many are open", error.strerror)
                    await trio.sleep(_NO_ROOM_PAUSE_S)

    async def _serve(self, stream: ClientStream) -> None:
        connection = Connection(
            self._app,
            stream,
            self._config,
            keep_alive_timeout_s=self._keep_alive_timeout_s,
            send_timeout_s=self._send_timeout_s,
            is_stopping=self._stopping.is_set,
        )
        self._open.add(connection)
        try:
            await connection.run()
        except* Exception:  # noqa: BLE001  a connection must not end the others
            _LOG.exception("a connection failed: this is a bug, the others go on")
        finally:
            self._open.discard(connection)

    def _stop_accepting(self) -> None:
        self._stopping.set()
        for listener in self._listeners:
            if listener.fileno() >= 0:
                trio.lowlevel.notify_closing(listener)
                close_listener(listener)
