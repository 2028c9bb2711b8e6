"""Bytes in and out of one connection; both HTTP edges stand on this, and tests put memory under them.

Rules: closing is synchronous and wakes whoever waits on the stream; a closed descriptor is never handed to Trio, which
would keep a waiter on whatever gets its number next; sending what fits does not yield: who sends in a loop must.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

import trio

LOST: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What every method of a stream may raise: the other side went away, or this side closed it."""

_SO_NWRITE: Final = 0x1024
"""macOS, sys/socket.h."""
_RESET: Final = struct.pack("ii", 1, 0)
"""Linger for 0 s: TCP tells the other side that something went wrong."""

Address: TypeAlias = tuple[str, int]


class ByteStream(Protocol):
    """A connection, whichever side opened it."""

    async def receive_some(self, max_bytes: int) -> bytes:
        """Return what there is, at least one byte; `b""` when the other side will send no more."""

    def send_now(self, data: bytes | bytearray) -> int:
        """Send what fits without waiting; return how many bytes that was, perhaps 0."""

    async def wait_sendable(self) -> None:
        """Return when something fits again."""

    def has_input(self) -> bool:
        """Whether `receive_some` would return or raise at once."""

    def close(self) -> None:
        """Close in good order, at once; may be called again."""


class ClientStream(ByteStream, Protocol):
    """A connection that a client opened."""

    @property
    def client(self) -> Address | None:
        """Where it comes from; None: from a unix socket."""

    @property
    def server(self) -> Address | None:
        """Where it arrived."""

    def send_eof(self) -> None:
        """Say that no more will be sent; receiving goes on."""

    def untaken(self) -> int:
        """Bytes that were sent and that the client's side has not taken yet."""

    def is_lost(self) -> bool:
        """Whether the client has already answered something that was sent by "there is nobody here"."""

    def reset(self) -> None:
        """Close so that the client cannot take what it has got for everything."""


Connect: TypeAlias = Callable[[str, int], Awaitable[ByteStream]]
"""Host and port to a connection; raises OSError."""


class SocketStream:
    """A connected socket, which it owns."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003
        with suppress(OSError):  # a peer that has gone already: reading will tell
            self._tune(sock)
        self._socket = sock

    @property
    def client(self) -> Address | None:  # noqa: D102  see ClientStream
        return _address(self._socket, self._socket.getpeername)

    @property
    def server(self) -> Address | None:  # noqa: D102
        return _address(self._socket, self._socket.getsockname)

    async def receive_some(self, max_bytes: int) -> bytes:  # noqa: D102
        while True:
            self._check_open()
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    def send_now(self, data: bytes | bytearray) -> int:  # noqa: D102
        self._check_open()
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def wait_sendable(self) -> None:  # noqa: D102
        self._check_open()
        await trio.lowlevel.wait_writable(self._socket)

    def has_input(self) -> bool:  # noqa: D102
        if self._socket.fileno() < 0:
            return True
        poll = select.poll()  # not select(): it fails above 1023 descriptors
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def send_eof(self) -> None:  # noqa: D102
        with suppress(OSError):  # already gone, or closed: there is nobody to tell
            self._socket.shutdown(socket.SHUT_WR)

    def untaken(self) -> int:  # noqa: D102
        self._check_open()
        if sys.platform == "darwin":
            return self._socket.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
        return int.from_bytes(fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def is_lost(self) -> bool:  # noqa: D102
        return self._socket.fileno() < 0 or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def close(self) -> None:  # noqa: D102
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def reset(self) -> None:  # noqa: D102
        if self._socket.fileno() >= 0 and self._socket.family != socket.AF_UNIX:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    @staticmethod
    def _tune(sock: socket.socket) -> None:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A peer whose machine is gone is noticed in the end, also by a side that only waits.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _check_open(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError


class TlsStream:
    """TLS, client side, over another stream, which it owns."""

    def __init__(self, stream: ByteStream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._unsent = bytearray()
        """Ciphertext of what counts as sent."""

    async def handshake(self) -> None:
        """Agree with the server. Raises ssl.SSLError: it is not who it should be."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._fetch()
            else:
                return await self.wait_sendable()

    async def receive_some(self, max_bytes: int) -> bytes:  # noqa: D102  see ByteStream
        while True:
            try:
                return self._tls.read(max_bytes)
            except ssl.SSLWantReadError:
                await self._fetch()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise trio.BrokenResourceError(str(error)) from error

    def send_now(self, data: bytes | bytearray) -> int:  # noqa: D102
        if self._flush_now():
            return 0
        try:
            sent = self._tls.write(data[:16384])  # a TLS record
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(str(error)) from error
        self._flush_now()
        return sent

    async def wait_sendable(self) -> None:  # noqa: D102
        while self._flush_now():
            await self._stream.wait_sendable()

    def has_input(self) -> bool:  # noqa: D102
        return self._tls.pending() > 0 or self._stream.has_input()

    def close(self) -> None:  # noqa: D102
        self._stream.close()

    async def _fetch(self) -> None:
        await self.wait_sendable()
        data = await self._stream.receive_some(65536)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _flush_now(self) -> int:
        """Send what fits; return how many bytes are left."""
        self._unsent += self._out.read()
        if self._unsent:
            del self._unsent[: self._stream.send_now(self._unsent)]
        return len(self._unsent)


async def connect_tcp(host: str, port: int) -> SocketStream:
    """Open a connection. Raises OSError with the reason."""
    try:
        opened = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise _first_reason(error) from error
    return SocketStream(socket.socket(fileno=opened.socket.detach()))


def _first_reason(error: OSError) -> OSError:
    """Look behind Trio's "all attempts to connect failed"."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause if isinstance(cause, OSError) else error


def _address(sock: socket.socket, ask: Callable[[], tuple[str, int]]) -> Address | None:
    if sock.family == socket.AF_UNIX:
        return None
    try:
        return ask()[:2]
    except OSError:
        return None  # it has gone again already: reading will tell
