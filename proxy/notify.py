"""Tells a service manager how the proxy is: systemd's notification protocol, a datagram for each piece of news.

Nothing is said when nobody asked (`NOTIFY_SOCKET` is not set), and nothing that goes wrong here stops the proxy. The
variables that ask are taken out of the environment: a model server that found them would speak in the proxy's name.
The protocol: sd_notify(3) and sd_watchdog_enabled(3).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Final

import trio

from states.errors import CoreError

_LOG: Final = logging.getLogger("trio_swap.notify")
_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"
_WATCHDOG_PID: Final = "WATCHDOG_PID"
_PATIENCE_S: Final = 1.0
"""A manager whose queue is full gets so long to read; then the news is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceManager:
    """Whom to tell, or nobody."""

    address: str | None = None
    """Of a unix datagram socket, as `connect` takes it; None: nobody is to be told."""
    watchdog_s: float | None = None
    """The proxy is taken for dead when it has been silent for so long; None: it may be silent."""

    async def ready(self, status: str) -> None:
        """Say that requests are accepted."""
        await self._tell("READY=1", f"STATUS={status}")

    async def stopping(self, status: str, within_s: float) -> None:
        """Say that the end has begun, and how many seconds it may take."""
        # Whatever the unit's TimeoutStopSec, the manager then waits as long as this configuration needs.
        await self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(within_s * 1e6)}", f"STATUS={status}")

    async def feed_watchdog(self, check: Callable[[], None]) -> None:
        """Say twice in every `watchdog_s` that the proxy lives, for ever; be silent while `check` raises CoreError."""
        if self.address is None or self.watchdog_s is None:
            return
        while True:
            try:
                check()
            except CoreError as error:
                reason = str(error).splitlines()[0]
                _LOG.critical("unhealthy, so the service manager's watchdog is not fed: %s", reason)
                await self._tell(f"STATUS=unhealthy: {reason}")
            else:
                await self._tell("WATCHDOG=1")
            await trio.sleep(self.watchdog_s / 2)

    async def _tell(self, *news: str) -> None:
        if self.address is None:
            return
        with trio.move_on_after(_PATIENCE_S) as patience:
            try:
                with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                    await sock.connect(self.address)
                    await sock.send("\n".join(news).encode())
            except OSError as error:
                _LOG.warning("the service manager was not told %s: %s", news[0], error)
        if patience.cancelled_caught:
            _LOG.warning("the service manager was not told %s: it does not read", news[0])


def take_service_manager(environment: MutableMapping[str, str]) -> ServiceManager:
    """Return who started this process and wants to be told, and take what says so out of the environment."""
    told = {name: environment.pop(name, "") for name in (_SOCKET, _WATCHDOG, _WATCHDOG_PID)}
    address = told[_SOCKET]
    if not address:
        return ServiceManager()
    if address[0] not in "/@":
        _LOG.warning("%s is %r: only a path, or a name after @, can be told anything", _SOCKET, address)
        return ServiceManager()
    # Linux's abstract sockets: a name that begins with a zero byte.
    address = "\0" + address[1:] if address[0] == "@" else address
    return ServiceManager(address=address, watchdog_s=_watchdog_s(told[_WATCHDOG], told[_WATCHDOG_PID]))


def _watchdog_s(microseconds: str, pid: str) -> float | None:
    if not microseconds or pid not in {"", str(os.getpid())}:
        return None
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        _LOG.warning("%s is %r, which is no number of microseconds: no watchdog is fed", _WATCHDOG, microseconds)
        return None
    return int(microseconds) / 1e6
