"""Asks a proxy for its queue and its health; every way in which that can fail is one sentence, with what to do.

Rules: an answer has a bounded time and a bounded size; nothing is asked twice at once; the same connection is used as
long as it lasts, and a proxy that comes back is found again.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
import trio

from proxy.answers import QueueAnswer
from proxy.streams import Connect, SocketStream, connect_tcp
from proxy.upstream import ConnectFailed, Upstream, UpstreamError

from .target import Target

TIMEOUT_S: Final = 5.0
"""For connecting, and for a whole answer: a proxy answers within milliseconds, a slow line within a second or two."""
_LARGEST_BYTES: Final = 16 * 2**20
"""About 50,000 waiting requests."""
_QUEUE: Final = b"/api/queue"
_HEALTH: Final = b"/health"


class NoAnswer(Exception):  # noqa: N818 - it is told, not mended
    """The proxy did not say what was asked."""

    def __init__(self, what: str, advice: str) -> None:
        """Say what happened, as a clause, and what to do about it, as another."""
        super().__init__(what)
        self.advice = advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a proxy said of itself."""

    queue: QueueAnswer
    ailment: str
    """What its health check complains of; empty: nothing."""


class _Error(msgspec.Struct):
    message: str


class _ErrorBody(msgspec.Struct):
    error: _Error


class Source:
    """A proxy that is asked again and again."""

    def __init__(self, target: Target, key: str | None, *, connect: Connect | None = None) -> None:
        """Nothing is asked yet.

        Args:
            target: where it is.
            key: its API key, if it wants one; printable ASCII.
            connect: opens connections; tests put memory here.
        """
        self.target: Final = target
        self._key = key
        self._upstream = Upstream(target.url, connect=connect or _connector(target), connect_timeout_s=TIMEOUT_S)
        self._headers = [(b"host", self._upstream.authority), (b"accept", b"application/json")]
        if key is not None:
            self._headers.append((b"authorization", b"Bearer " + key.encode()))

    async def look(self) -> Look:
        """Ask. Raises NoAnswer."""
        status, headers, body = await self._get(_QUEUE)
        if status == HTTPStatus.UNAUTHORIZED:
            raise self._unauthorized()
        if status != HTTPStatus.OK:
            raise _stranger(f"/api/queue is answered with {_status(status, headers)}")
        try:
            queue = msgspec.json.decode(body, type=QueueAnswer)
        except msgspec.ValidationError as error:
            raise _stranger(f"/api/queue is answered with other fields: {error}") from error
        except msgspec.DecodeError as error:
            raise _stranger("/api/queue is answered with something else than JSON") from error
        return Look(queue=queue, ailment=await self._ailment())

    def close(self) -> None:
        """Ask no more."""
        self._upstream.close()

    async def _ailment(self) -> str:
        status, headers, body = await self._get(_HEALTH)
        if status == HTTPStatus.OK:
            return ""
        try:
            return msgspec.json.decode(body, type=_ErrorBody).error.message
        except msgspec.DecodeError:
            return f"/health is answered with {_status(status, headers)}"

    async def _get(self, path: bytes) -> tuple[int, Sequence[tuple[bytes, bytes]], bytes]:
        try:
            with trio.fail_after(TIMEOUT_S):
                async with self._upstream.exchange(b"GET", path, self._headers) as answer:
                    body = bytearray()
                    async for piece in answer:
                        body += piece
                        if len(body) > _LARGEST_BYTES:
                            raise _stranger(f"{path.decode()} is answered with more than {_LARGEST_BYTES >> 20} MiB")
                    return answer.status, answer.headers, bytes(body)
        except trio.TooSlowError:
            raise _absent(f"nothing within {TIMEOUT_S:g} s") from None
        except UpstreamError as error:
            raise _absent(_reason(error)) from error

    def _unauthorized(self) -> NoAnswer:
        if self._key is None:
            return NoAnswer("it wants an API key", "pass it with --key KEY, or in the environment as TRIO_SWAP_KEY")
        return NoAnswer("it does not know this API key", "see server.api_keys in its configuration")


def _connector(target: Target) -> Connect:
    if target.socket is None:
        return connect_tcp
    path = target.socket

    async def connect_unix(_host: str, _port: int) -> SocketStream:
        stream = await trio.open_unix_socket(path)
        return SocketStream(socket.socket(fileno=stream.socket.detach()))

    return connect_unix


def _reason(error: UpstreamError) -> str:
    """In the system's own words where it has some: what was to be connected to is known."""
    cause = error.__cause__
    words = str(error)
    if isinstance(cause, socket.gaierror | ssl.SSLError):  # their numbers are their own
        words = cause.strerror or words
    elif isinstance(cause, OSError):
        words = os.strerror(cause.errno) if cause.errno else str(cause)
    if not isinstance(error, ConnectFailed):
        words = f"the answer broke off: {words}"
    return (words[:1].lower() + words[1:]).removesuffix(".")


def _absent(what: str) -> NoAnswer:
    return NoAnswer(what, "start a proxy there with `trio-swap serve CONFIG`, or say where one is: `trio-swap top URL`")


def _stranger(what: str) -> NoAnswer:
    return NoAnswer(f"no trio-swap of this version is there ({what})", "check the URL")


def _status(status: int, headers: Sequence[tuple[bytes, bytes]]) -> str:
    where = next((value.decode(errors="replace") for name, value in headers if name.lower() == b"location"), "")
    return f"{status}, to {where}" if where else str(status)
