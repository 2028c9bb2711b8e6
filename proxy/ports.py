"""Which local port a model's server is told to use: taken by nobody here and by nobody else.

Between the look whether a port is free and the moment when the server listens there, another proxy could look as well
and find it free. So proxies claim their ports among each other, by a name that the kernel forgets with them (Linux).
"""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from itertools import chain
from typing import Final

LAST_PORT: Final = 65535
_REMEMBERED: Final = 64


class PortsExhausted(Exception):  # noqa: N818 (a condition of the machine, not a mistake)
    """No port is free from the configured start on."""

    def __init__(self, start: int) -> None:
        super().__init__(f"every port from {start} to {LAST_PORT} is in use; set `server.start_port` to a lower number")


class PortPool:
    """Hands out ports, from `start` on.

    A model should offer the port it had before as `preferred`, so that it stays there. Whoever has none gets a port
    that was not given back lately: connections kept to a server must not meet another one at its place.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self._taken: dict[int, socket.socket | None] = {}
        """With the claim of each; None where there are no claims."""
        self._returned: deque[int] = deque(maxlen=_REMEMBERED)

    def take(self, preferred: int | None = None) -> int:
        """A port that can be bound now, given back with `give_back`.

        Raises:
            PortsExhausted: Every port from the start on is in use.
        """
        wanted = () if preferred is None else (preferred,)
        fresh = (port for port in range(self._start, LAST_PORT + 1) if port not in self._returned)
        for port in chain(wanted, fresh, tuple(self._returned)):
            if port not in self._taken and self._acquire(port):
                return port
        raise PortsExhausted(self._start)

    def give_back(self, port: int) -> None:
        """The server that was told to use this port has ended. Nothing happens to a port that was not taken here."""
        if port in self._taken:
            if (claim := self._taken.pop(port)) is not None:
                claim.close()
            if port in self._returned:
                self._returned.remove(port)
            self._returned.append(port)

    def _acquire(self, port: int) -> bool:
        try:
            claim = _claim(port)
        except OSError:
            return False
        if not is_free(port):
            if claim is not None:
                claim.close()
            return False
        self._taken[port] = claim
        return True


def _claim(port: int) -> socket.socket | None:
    """Claim a port among the proxies of this machine, until it is closed; None: there is no way to.

    Raises:
        OSError: another proxy has it.
    """
    if sys.platform != "linux":
        return None
    try:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except OSError:  # a sandbox
        return None
    try:
        claim.bind(f"\0trio-swap-port-{port}")  # in no file system: unix(7), abstract
    except OSError as error:
        claim.close()
        if error.errno == errno.EADDRINUSE:
            raise
        return None
    return claim


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface, and of every other."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform == "linux":
            # Here it only forgives connections that linger in TIME_WAIT. Elsewhere it allows binding beside a listener.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except (OSError, OverflowError):
            return False
        return True
