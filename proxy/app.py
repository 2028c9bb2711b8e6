"""The composition root: every task of the proxy is started here or below, and ends before this does.

    servers' watchman, orphans
      one task per group       a server at a time, each in a nursery of its own
      the core's clock
      HTTP                     a task per connection
      watchdog                 the service manager's, if there is one
      signals

Shutdown goes the other way: HTTP stops accepting, the core refuses who waits and lets who is served finish, the servers
stop, connections end; then the rest is cancelled. Every step has a deadline, and a second signal moves them to now.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

import trio

from states.core import Core
from states.settings import GroupId, ModelId

from . import logs
from .config import Config
from .driver import Driver
from .groups import GroupShell, Launcher
from .launcher import ProcessLauncher
from .listeners import ListenError, address_of, close_listener, open_listeners
from .notify import ServiceManager, take_service_manager
from .processes import KILL_S, adopt_orphans
from .routes import Routes
from .server import HttpServer

_LOG: Final = logging.getLogger("trio_swap.app")
_LAST_WORDS_S: Final = 2.0
"""After the last seat was cut off, connections get this long to take what was sent to them."""


class Proxy:
    """The core, its driver, the groups and the routes: everything but sockets and signals."""

    def __init__(self, config: Config, launch: Launcher) -> None:
        """Put the parts together; nothing runs yet."""
        core = Core(config.settings)
        self.driver: Final = Driver(core)
        self.routes: Final = Routes(config, self.driver)
        self.groups: Final = _shells(core, config, launch, self.driver)
        self.driver.attach(self.groups)

    def start(self, nursery: trio.Nursery) -> None:
        """Start what runs as long as the proxy does."""
        nursery.start_soon(self.driver.keep_time, name="clock")
        for group, shell in self.groups.items():
            nursery.start_soon(shell.live, name=f"group {group}")


def serve(config: Config) -> int:
    """Serve until told to end, and return the exit code: 0, or 1 if it went wrong."""
    logs.configure(config.log_level, config.log_format)
    faulthandler.enable()  # a watchdog ends what is stuck by SIGABRT: then it says where
    manager = take_service_manager(os.environ)
    listeners: list[socket.socket] = []
    try:
        for address in config.listen:
            listeners += open_listeners(address)
    except ListenError as error:
        for listener in listeners:
            close_listener(listener)
        print(f"trio-swap: {error}", file=sys.stderr)  # noqa: T201 - for whoever typed the command
        return 1
    return trio.run(_run, config, listeners, manager)


async def _run(config: Config, listeners: list[socket.socket], manager: ServiceManager) -> int:
    async with AsyncExitStack() as stack:
        # Before anything is started: a signal from now on is an orderly shutdown.
        signals = stack.enter_context(trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM))
        await stack.enter_async_context(adopt_orphans())
        nursery = await stack.enter_async_context(trio.open_nursery())
        proxy = Proxy(config, ProcessLauncher(config))
        proxy.start(nursery)
        http = HttpServer(proxy.routes, listeners)
        await nursery.start(http.run)
        _announce(config, listeners)
        nursery.start_soon(manager.feed_watchdog, proxy.driver.check_health, name="watchdog")
        await manager.ready(f"serving {', '.join(config.models)}")
        proxy.driver.preload(config.preload)
        code = await _until_told(proxy, http, signals, config, manager)
        nursery.cancel_scope.cancel()
    return code


async def _until_told(
    proxy: Proxy, http: HttpServer, signals: AsyncIterator[int], config: Config, manager: ServiceManager
) -> int:
    """Wait for a signal, shut down in order, and return the exit code; if the core breaks down meanwhile: at once."""
    drain_s = config.shutdown_timeout_s
    async with trio.open_nursery() as nursery:

        async def collapse() -> None:
            await proxy.driver.collapsed.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(collapse)
        number = await anext(signals)
        _LOG.info("%s: shutting down, requests being served may finish within %g s", _name(number), drain_s)
        nursery.start_soon(_hurry, proxy, http, signals)
        await manager.stopping(f"requests being served may finish within {drain_s:g} s", _longest_end_s(config))
        await shut_down(proxy, http, drain_s)
        nursery.cancel_scope.cancel()
    return 0 if proxy.driver.broken is None else 1


async def shut_down(proxy: Proxy, http: HttpServer, drain_s: float) -> None:
    """Stop accepting, refuse who waits, let who is served finish, stop every server, end every connection."""
    stopped = proxy.driver.shut_down(drain_s)
    http.stop(trio.current_time() + drain_s + _LAST_WORDS_S)
    await stopped.wait()
    http.stop(trio.current_time() + _LAST_WORDS_S)
    await http.ended.wait()


async def _hurry(proxy: Proxy, http: HttpServer, signals: AsyncIterator[int]) -> None:
    async for number in signals:
        _LOG.info("%s again: shutting down at once", _name(number))
        proxy.driver.hurry()
        http.stop(trio.current_time() + _LAST_WORDS_S)


def _longest_end_s(config: Config) -> float:
    """What an orderly end may take: the last seat, the slowest server, last words, and what SIGKILL does not end."""
    grace_s = max(model.unload_timeout_s for model in config.settings.models.values())
    return config.shutdown_timeout_s + grace_s + KILL_S + 2 * _LAST_WORDS_S


def _shells(core: Core, config: Config, launch: Launcher, driver: Driver) -> dict[GroupId, GroupShell]:
    timeouts: dict[GroupId, dict[ModelId, float]] = {}
    for model, group in core.world.policy.group_of.items():
        timeouts.setdefault(group, {})[model] = config.models[model].load_timeout_s
    return {group: GroupShell(group, launch, loads, driver.feed, driver.story) for group, loads in timeouts.items()}


def _announce(config: Config, listeners: list[socket.socket]) -> None:
    for listener in listeners:
        address = address_of(listener)
        _LOG.info("listening on %s", address if address.startswith("unix:") else f"http://{address}")
    for address in config.unprotected:
        _LOG.warning("%s can be reached from the network and asks for no key: set server.api_keys", address)
    _LOG.info("%d models: %s", len(config.models), ", ".join(config.models))


def _name(number: int) -> str:
    return signal.Signals(number).name
