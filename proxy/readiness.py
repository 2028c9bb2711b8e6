"""Whether a server is ready: asked from the first milliseconds, often in the first seconds, and cheaply.

Ready is status 200 and nothing else: no redirect, no 401, no 404. A probe connects first and sends its request only
then; refused connections cost 40 us. Each probe has a timeout of its own, so that a server that accepts and never
answers is asked again. The caller bounds the whole (`load_timeout`).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import trio

NO_CHECK: Final = "none"
"""The endpoint of a server that is ready when it is started."""
PROBE_TIMEOUT_S: Final = 1.0
EAGER_S: Final = 10.0
"""So long probes are never further apart than `EAGER_PAUSE_S`."""
FIRST_PAUSE_S: Final = 0.001
EAGER_PAUSE_S: Final = 0.02
PATIENT_PAUSE_S: Final = 0.25
_SHARE: Final = 0.02
"""Of the time that a server has taken so far: it is seen ready at most so much later than it is."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_ANSWER_BYTES: Final = 8 * 1024
"""Enough for the head; what comes after it is of no interest, however much it is."""
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class EndedWhileLoading(Exception):  # noqa: N818 (a fact about the server)
    """The server's leader ended before it was ready."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server ended before it was ready (status {status})")
        self.status = status
        """As in `ServerProcess.status`."""


class Readiness:
    """Asks one server until it is ready.

    Args:
        base_url: Where the server answers, http or https, with or without a path.
        endpoint: Path below it that answers 200 when the server is ready, or `NO_CHECK`.
    """

    def __init__(self, base_url: str, endpoint: str) -> None:
        parts = urlsplit(base_url)
        self._check = endpoint != NO_CHECK
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (80 if self._tls is None else 443)
        self.where: Final = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        """Host and port."""
        self._path = f"{parts.path.rstrip('/')}/{endpoint.removeprefix('/')}"
        self.last = f"GET {self._path} has not been answered yet"
        """What the last probe brought, for messages: `GET /health answered 503`."""
        authority = parts.netloc.rpartition("@")[2]
        self._request = f"GET {self._path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: trio-swap\r\n\r\n".encode()

    async def until_ready(self) -> None:
        """Ask until the answer is 200."""
        if not self._check:
            self.last = "it is not checked"
            return
        started_at = trio.current_time()
        while True:
            waited_s = trio.current_time() - started_at
            longest_s = EAGER_PAUSE_S if waited_s < EAGER_S else PATIENT_PAUSE_S
            next_at = trio.current_time() + min(max(FIRST_PAUSE_S, waited_s * _SHARE), longest_s)
            if await self._probe():
                return
            await trio.sleep_until(next_at)

    async def until_ready_or(self, exited: Callable[[], Awaitable[int]]) -> None:
        """Like `until_ready`, given up at once when the server ends.

        Args:
            exited: Waits for the server's end and returns its status.

        Raises:
            EndedWhileLoading: It ended first, or at the same time.
        """
        statuses: list[int] = []

        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                statuses.append(await exited())
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await self.until_ready()
            nursery.cancel_scope.cancel()
        if statuses:
            raise EndedWhileLoading(statuses[0])

    async def is_taken(self) -> bool:
        """Whether somebody takes connections where the server is to answer, whoever that is."""
        with trio.move_on_after(PROBE_TIMEOUT_S):
            try:
                stream = await _open(self._host, self._port)
            except OSError:
                return False
            await trio.aclose_forcefully(stream)
            return True
        return False

    async def _probe(self) -> bool:
        """Ask once; remember the answer in `last`."""
        with trio.move_on_after(PROBE_TIMEOUT_S):
            try:
                status = await self._ask()
            except (OSError, trio.BrokenResourceError) as error:
                self.last = self._describe(error.__cause__ or error)
                return False
            self.last = f"GET {self._path} answered {status or 'something that is not HTTP'}"
            if status is not None and HTTPStatus.OK < status < HTTPStatus.INTERNAL_SERVER_ERROR:
                self.last += " (check_endpoint has to name a path that answers 200)"
            return status == HTTPStatus.OK
        self.last = f"GET {self._path} was not answered within {PROBE_TIMEOUT_S:g} s"
        return False

    async def _ask(self) -> int | None:
        async with await self._connect() as stream:
            await stream.send_all(self._request)
            answer = b""
            while b"\r\n\r\n" not in answer and len(answer) < _ANSWER_BYTES:
                chunk = await stream.receive_some(_ANSWER_BYTES)
                if not chunk:
                    break
                answer += chunk
        return int(match[1]) if (match := _STATUS_LINE.match(answer)) else None

    def _describe(self, error: BaseException) -> str:
        while isinstance(error, BaseExceptionGroup):  # of the addresses of a name
            error = error.exceptions[0]
        if isinstance(error, ConnectionRefusedError):
            return f"nothing listens on {self.where}"
        return str(error) or type(error).__name__

    async def _connect(self) -> trio.abc.Stream:
        if self._tls is not None:
            return await trio.open_ssl_over_tcp_stream(
                self._host, self._port, https_compatible=True, ssl_context=self._tls
            )
        return await _open(self._host, self._port)


async def _open(host: str, port: int) -> trio.SocketStream:
    if (family := _family(host)) is None:
        return await trio.open_tcp_stream(host, port)
    return await _connect(family, host, port)


def _family(host: str) -> socket.AddressFamily | None:
    """The family of a literal address; None: a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return socket.AF_INET6 if isinstance(address, ipaddress.IPv6Address) else socket.AF_INET


async def _connect(family: socket.AddressFamily, host: str, port: int) -> trio.SocketStream:
    """`trio.open_tcp_stream` without the look-up of names and the race between addresses: a third of its time."""
    sock = trio.socket.socket(family)
    try:
        await sock.connect((host, port))
    except BaseException:
        sock.close()
        raise
    if sock.getsockname() == sock.getpeername():
        # Whoever asks for a port that nobody listens on may be given that very port as its own and meet itself there.
        # Hung up hard, or the port lingers in TIME_WAIT where the server wants to bind.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        sock.close()
        raise ConnectionRefusedError
    return trio.SocketStream(sock)
