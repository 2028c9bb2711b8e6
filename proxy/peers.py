"""All peers: which there are, who is with them, and whether a request has been here before.

Requests carry the name of this proxy in `Via`: one that bears it already is going round in circles.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import trio

from states.effects import RefusalCode

from .asgi import AbortResponse
from .config.routing import PeerConfig
from .naming import Route
from .peer import Peer
from .relay import Request
from .replies import Problem
from .streams import Connect, connect_tcp
from .upstream import Headers


class Peers:
    """All peers, by id."""

    def __init__(self, configs: Mapping[str, PeerConfig], connect: Connect = connect_tcp) -> None:
        self.ended: Final = trio.Event()
        """Nobody is served any more, nor will be."""
        self._name: Final = b"trio-swap-" + secrets.token_hex(8).encode()
        """Of this proxy on the way of a request."""
        self._connect = connect
        self._peers: dict[str, Peer] = {}
        self._gone: list[Peer] = []
        """No longer configured, and still serving."""
        self._calls = 0
        self._closing: Problem | None = None
        self.reconfigure(configs)

    def reconfigure(self, configs: Mapping[str, PeerConfig]) -> None:
        """Go by another configuration: who waits for a peer that is gone is told so, who is served may finish."""
        for name in self._peers.keys() - configs.keys():
            gone = self._peers.pop(name)
            gone.close(
                Problem(
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    code=RefusalCode.UNLOADED.value,
                    message=f"peer {name} is not configured any more",
                )
            )
            self._gone.append(gone)
        self._gone = [peer for peer in self._gone if not peer.is_idle]
        for name, config in configs.items():
            if name in self._peers:
                self._peers[name].reconfigure(config)
            else:
                self._peers[name] = Peer(config, self._connect)
                if self._closing is not None:
                    self._peers[name].close(self._closing)

    def is_down(self, name: str) -> bool:
        """Whether a peer takes no requests for now."""
        return self._peers[name].is_down

    async def relay(self, name: str, route: Route, request: Request) -> Problem | AbortResponse | None:
        """Ask a peer once it is this request's turn.

        Returns:
            What is to be raised; None: the answer was passed on whole.
        """
        try:
            via = self._way_of(request.scope["headers"])
        except Problem as problem:
            return problem
        peer = self._peers[name]
        self._calls += 1
        try:
            with peer.place() as call:
                return await peer.serve(call, route, request, [(b"via", via)])
        finally:
            self._calls -= 1
            self._look()

    def shut_down(self, deadline: float) -> None:
        """Refuse who waits and who comes; who is served may finish until `deadline`, on Trio's clock."""
        self._closing = Problem(
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            code=RefusalCode.SHUTTING_DOWN.value,
            message="the proxy is shutting down",
        )
        for peer in [*self._peers.values(), *self._gone]:
            peer.close(self._closing, deadline)
        self._look()

    def _look(self) -> None:
        if self._closing is not None and not self._calls:
            self.ended.set()

    def _way_of(self, headers: Headers) -> bytes:
        """Return what `Via` is to say (RFC 9110, 7.6.3). Raises Problem: the request has been here before."""
        hops = [value for name, value in headers if name == b"via"]
        if any(self._name in hop for hop in hops):
            raise Problem(
                status=HTTPStatus.LOOP_DETECTED,
                code="loop_detected",
                message="this request came back to the proxy that sent it to a peer: peers send this name round in a"
                " circle; correct the `peers` or `models` of one of them",
            )
        return b", ".join([*hops, b"1.1 " + self._name])
