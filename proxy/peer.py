"""Another proxy or provider: who may ask it now, what it is told of a request, and what its silence means.

A peer serves as many requests at once as its `concurrency` says; more wait in order of arrival. One that cannot be
connected to is down: for a pause that grows with each failed try nobody waits for it, then one request tries again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from math import inf
from typing import Final, cast

import trio

from states.effects import RefusalCode

from .asgi import AbortResponse
from .config.routing import PeerConfig
from .naming import Route
from .relay import Relay, Request, problem_of_exchange
from .replies import Problem
from .streams import ByteStream, Connect
from .upstream import ConnectFailed, Headers, Upstream, UpstreamError

_LOG: Final = logging.getLogger("trio_swap.peers")

LONGEST_LINE: Final = 1000
"""Requests that may wait for a peer, as for a model that does not say otherwise."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
_DOUBLINGS: Final = 10
"""More than enough for the longest pause; a number that doubled for hours would not be one any more."""
_KEYS: Final = frozenset({b"authorization", b"x-api-key", b"api-key"})
_NOT_FOR_PEERS: Final = frozenset({b"via", b"cookie", b"forwarded", b"x-real-ip"})
"""What says more of a client than its request does, and what is written anew."""
_NOT_FOR_PEERS_EITHER: Final = b"x-forwarded-"
"""And whatever begins so: of a proxy before this one, which may have put a token of its user there."""


class Call:
    """One request's place at a peer: in line first, then on a seat."""

    def __init__(self) -> None:
        self.scope: Final = trio.CancelScope()
        """The seat; its deadline is that of the proxy's own end."""
        self.refusal: Problem | None = None
        self.settled: Final = trio.Event()
        """There is a seat, or there will be none."""

    def refuse(self, problem: Problem) -> None:
        """Have the request answered with an error."""
        self.refusal = problem
        self.settled.set()


class Peer:
    """One peer: its connections, its seats, its line, and whether it is there at all."""

    def __init__(self, config: PeerConfig, connect: Connect) -> None:
        self.config = config
        self._connect = connect
        self._upstream = self._connections()
        self._seated: set[Call] = set()
        self._line: deque[Call] = deque()
        self._closed: Problem | None = None
        """What everybody is told from now on; None: it is open."""
        self._failures = 0
        """To connect, in a row."""
        self._down_until = -inf
        self._trying: Call | None = None
        """Whose request finds out whether a peer that was down is there again."""

    @property
    def is_down(self) -> bool:
        """Whether requests are refused because it could not be connected to."""
        return self._failures > 0 and (self._trying is not None or trio.current_time() < self._down_until)

    @property
    def is_idle(self) -> bool:
        """Whether nobody is served and nobody waits."""
        return not self._seated and not self._line

    def reconfigure(self, config: PeerConfig) -> None:
        """Go by another configuration; what is being served goes on as it began."""
        old, self.config = self.config, config
        if (old.url, old.timeouts) != (config.url, config.timeouts):
            self._upstream.retire()
            self._upstream = self._connections()
            self._failures = 0
        self._admit()

    def close(self, problem: Problem, deadline: float = inf) -> None:
        """Take no requests any more: who waits is told why, who is served only if that takes longer than `deadline`."""
        self._closed = problem
        self._upstream.retire()
        while self._line:
            self._line.popleft().refuse(problem)
        for call in self._seated:
            call.scope.deadline = min(call.scope.deadline, deadline)

    @contextmanager
    def place(self) -> Iterator[Call]:
        """Stand in line; leaving the block leaves the line or the seat, however that happens."""
        call = Call()
        try:
            self._arrive(call)
            yield call
        finally:
            self._leave(call)

    async def serve(
        self, call: Call, route: Route, request: Request, headers: Headers
    ) -> Problem | AbortResponse | None:
        """Wait for a seat and relay; what is returned is for the client to be told, once its place is given back."""
        await call.settled.wait()
        if call.refusal is not None:
            return call.refusal
        told = {name for name, _ in request.scope["headers"] if name.startswith(_NOT_FOR_PEERS_EITHER)}
        dropped, added = _NOT_FOR_PEERS | request.withheld | told, list(headers)
        if self.config.api_key is not None:
            key = self.config.api_key.encode()
            dropped |= _KEYS
            added += [(b"authorization", b"Bearer " + key), (b"x-api-key", key)]
        upstream = self._upstream
        relay = Relay(upstream, request.scope, request.body, request.send, drop_headers=dropped, add_headers=added)
        problem: Problem | None = None
        with call.scope:
            try:
                await relay.run()
            except UpstreamError as error:
                problem = self._failed(call, route, error, is_old=upstream is not self._upstream)
            else:
                return None
        problem = problem or cast(Problem, self._closed)  # nothing else ends the scope
        _LOG.warning("%s at peer %s: %s", route.model, self.config.id, problem.message)
        return await relay.give_up(problem)

    def _arrive(self, call: Call) -> None:
        if self._closed is not None:
            call.refuse(self._closed)
        elif self.is_down:
            call.refuse(self._away())
        elif self._has_room():
            self._seat(call)
        elif len(self._line) >= LONGEST_LINE:
            call.refuse(self._overrun())
        else:
            self._line.append(call)

    def _has_room(self) -> bool:
        return not self.config.concurrency or len(self._seated) < self.config.concurrency

    def _seat(self, call: Call) -> None:
        self._seated.add(call)
        if self._failures:
            self._trying = call
        call.settled.set()

    def _leave(self, call: Call) -> None:
        if call in self._line:
            self._line.remove(call)
        self._seated.discard(call)
        if self._trying is call:
            self._trying = None
        self._admit()

    def _admit(self) -> None:
        while self._line and self._has_room():
            self._seat(self._line.popleft())

    # Whether it is there

    def _connections(self) -> Upstream:
        timeouts = self.config.timeouts
        return Upstream(
            self.config.url,
            connect=self._open,
            connect_timeout_s=timeouts.connect_s,
            answer_timeout_s=timeouts.response_header_s,
            idle_timeout_s=timeouts.idle_s,
        )

    async def _open(self, host: str, port: int) -> ByteStream:
        stream = await self._connect(host, port)
        if self._failures:
            _LOG.info("peer %s takes connections again", self.config.id)
        self._failures, self._trying = 0, None
        return stream

    def _failed(self, call: Call, route: Route, error: UpstreamError, *, is_old: bool = False) -> Problem:
        if not isinstance(error, ConnectFailed):
            return problem_of_exchange(f"peer {self.config.id}, asked for {route.model},", error)
        # Where it was before a reload says nothing of where it is now; and many that fail at once are one failure.
        if not is_old and (self._trying is call or not self.is_down):
            pause_s = min(FIRST_PAUSE_S * 2 ** min(self._failures, _DOUBLINGS), LONGEST_PAUSE_S)
            self._failures += 1
            self._down_until = trio.current_time() + pause_s
            self._trying = None
            while self._line:
                self._line.popleft().refuse(self._away(str(error)))
        return self._away(str(error))

    def _away(self, why: str = "it could not be connected to a moment ago") -> Problem:
        return Problem(
            status=HTTPStatus.BAD_GATEWAY,
            code="peer_down",
            message=f"peer {self.config.id} cannot be reached: {why}",
            retry_after_s=max(self._down_until - trio.current_time(), FIRST_PAUSE_S),
        )

    def _overrun(self) -> Problem:
        return Problem(
            status=HTTPStatus.TOO_MANY_REQUESTS,
            code=RefusalCode.QUEUE_FULL.value,
            message=f"{LONGEST_LINE} requests wait for peer {self.config.id} already",
            retry_after_s=FIRST_PAUSE_S,
        )
