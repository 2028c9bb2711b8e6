"""One request's way to a server, and the answer's way back, byte for byte.

What has been received leaves at once when the server pauses, and joined when it has piled up; the server is read no
faster than the client takes it. Headers that concern one connection only stay on it (RFC 9110, 7.6.1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
import trio

from .asgi import AbortResponse, Scope, Send
from .replies import Problem
from .upstream import Answer, AnswerTimedOut, BrokenOff, ConnectFailed, Headers, Upstream, UpstreamError

__all__ = ["BrokenOff", "ConnectFailed", "Relay", "Relayed", "UpstreamError"]

LAST_WORD_S: Final = 1.0
"""A client that does not read gets no longer to learn that its answer was cut off."""

_PER_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_NOT_SENT_ON: Final = _PER_CONNECTION | {b"host", b"content-length", b"expect", b"proxy-authorization"}
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """An answer that was passed on to its end."""

    status: int
    body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A client's request, as it is to be sent on."""

    scope: Scope
    body: bytes
    send: Send
    withheld: frozenset[bytes]
    """Headers, in lower case, that are none of a server's business."""


class Relay:
    """One request on its way.

    Args:
        scope: ASGI's, of the request.
        body: the request's, whole.
        send: ASGI's.
        on_head: told the status when the answer's head has come.
        drop_headers: request headers, in lower case, that are not the server's business.
        add_headers: what the server is told besides.
    """

    def __init__(
        self,
        upstream: Upstream,
        scope: Scope,
        body: bytes,
        send: Send,
        *,
        on_head: Callable[[int], None] | None = None,
        drop_headers: Collection[bytes] = (),
        add_headers: Headers = (),
    ) -> None:
        self.path: Final[str] = scope["path"]
        self.started = False
        """Whether anything was sent to the client: from then on there is no other answer."""
        self.is_event_stream = False
        """Whether the answer is one that an error event can be written into."""
        self._upstream = upstream
        self._scope = scope
        self._body = body
        self._send = send
        self._on_head = on_head
        self._not_sent_on = _NOT_SENT_ON.union(drop_headers)
        self._added = add_headers
        self._pieces: list[bytes] = []
        self._passed_bytes = 0

    async def run(self) -> Relayed:
        """Ask the server and pass its answer on. Cancelled: the connection to the server is closed at once.

        Raises:
            UpstreamError: by the server's fault the answer will not come, or (`started`) is not whole: `cut_short` is
                next, then `AbortResponse`.
        """
        scope = self._scope
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        method = scope["method"].encode()
        async with self._upstream.exchange(method, target, self._request_headers(), self._body) as answer:
            if self._on_head is not None:
                self._on_head(answer.status)
            await self._pass_on(answer)
        return Relayed(status=answer.status, body_bytes=self._passed_bytes)

    async def give_up(self, problem: Problem) -> Problem | AbortResponse:
        """Return what is to be raised for an answer that will not be whole, or not be at all."""
        if not self.started:
            return problem
        await self.cut_short(problem.body(self.path))
        return AbortResponse(problem.message)

    async def cut_short(self, error: Mapping[str, object]) -> None:
        """Tell the client of an answer that will not be whole, where there is a place for it; takes a second at most.

        The caller raises `AbortResponse` next: the transfer must not look finished.
        """
        if not (self.started and self.is_event_stream):
            return
        # The blank line ends a half-written record, which would swallow ours.
        record = b"\n\nevent: error\ndata: " + msgspec.json.encode(error) + b"\n\n"
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WORD_S):
            await self._send({"type": "http.response.body", "body": record, "more_body": True})

    async def _pass_on(self, answer: Answer) -> None:
        headers = _response_headers(answer.headers)
        self.is_event_stream = self._scope["method"] != "HEAD" and _takes_events(headers)
        if _is_event_stream(headers) and not _has(headers, b"x-accel-buffering"):
            headers.append((b"X-Accel-Buffering", b"no"))  # nginx passes each event on instead of collecting them
        head = {"type": "http.response.start", "status": answer.status, "headers": headers}

        async def flush() -> None:
            if not self.started:
                self.started = True
                await self._send(head)
            elif not self._pieces:
                return
            await self._send_pieces(more_body=True)

        answer.before_waiting(flush)
        async for piece in answer:
            self._pieces.append(piece)
        if not self.started:
            self.started = True
            await self._send(head)
        await self._send_pieces(more_body=False)

    async def _send_pieces(self, *, more_body: bool) -> None:
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._passed_bytes += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": more_body})

    def _request_headers(self) -> Headers:
        given: Headers = self._scope["headers"]
        dropped = self._not_sent_on.union(_named_in_connection(given))
        headers = [(b"host", self._upstream.authority)]
        headers += [(name, value) for name, value in given if name not in dropped]
        headers += self._added
        if self._body or self._scope["method"] in _WITH_BODY:
            headers.append((b"content-length", b"%d" % len(self._body)))
        return headers


def problem_of_exchange(server: str, error: UpstreamError) -> Problem:
    """What a client hears whose answer is not whole because `server` did not do its part."""
    match error:
        case ConnectFailed():
            return Problem(
                status=HTTPStatus.BAD_GATEWAY, code="bad_gateway", message=f"{server} cannot be reached: {error}"
            )
        case AnswerTimedOut():
            return Problem(
                status=HTTPStatus.GATEWAY_TIMEOUT,
                code="response_timeout",
                message=f"{server} {error} (timeouts.response_header)",
            )
        case _:
            return Problem(status=HTTPStatus.BAD_GATEWAY, code="bad_gateway", message=f"{server} {error}")


def _response_headers(given: Headers) -> list[tuple[bytes, bytes]]:
    dropped = _PER_CONNECTION.union(_named_in_connection(given))
    if _has(given, b"transfer-encoding"):
        dropped |= {b"content-length"}  # RFC 9112, 6.3: it does not count, and is not passed on
    return [(name, value) for name, value in given if name.lower() not in dropped]


def _takes_events(headers: Headers) -> bool:
    """Whether an event may be added: an event stream in plain text whose length was not announced."""
    plain = not any(name.lower() == b"content-encoding" and value.lower() != b"identity" for name, value in headers)
    return plain and not _has(headers, b"content-length") and _is_event_stream(headers)


def _is_event_stream(headers: Headers) -> bool:
    kinds = (value.strip().lower() for name, value in headers if name.lower() == b"content-type")
    return any(kind.startswith(b"text/event-stream") for kind in kinds)


def _named_in_connection(headers: Headers) -> set[bytes]:
    named = (value for name, value in headers if name.lower() == b"connection")
    return {token.strip().lower() for value in named for token in value.split(b",")}


def _has(headers: Headers, wanted: bytes) -> bool:
    return any(name.lower() == wanted for name, _ in headers)
