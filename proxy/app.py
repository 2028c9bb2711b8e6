"""The composition root: every task of the proxy is started here or below, and ends before this does.

    journal                    if there is one: it writes what the core was told, and the rest of it at the end
    servers' watchman, orphans
      one task per group       a server at a time, each in a nursery of its own
      the core's clock
      HTTP                     a task per connection
      watchdog                 the service manager's, if there is one
      reloads                  and what asks for them: SIGHUP, a watch on the file
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
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from states.core import Core
from states.residency import policy_of
from states.settings import GroupId, ModelId

from . import logs
from .config import Config, ModelConfig
from .driver import Driver, Journal
from .groups import GroupShell, Launcher
from .launcher import ProcessLauncher
from .listeners import ListenError, address_of, close_listener, open_listeners
from .notify import ServiceManager, take_service_manager
from .peers import Peers
from .processes import KILL_S, adopt_orphans
from .reload import Reloader
from .routes import Routes
from .server import HttpServer
from .streams import Connect, connect_tcp

if TYPE_CHECKING:  # who writes no journal does not wait for it
    from .journal.recorder import Recorder

_LOG: Final = logging.getLogger("trio_swap.app")
_LAST_WORDS_S: Final = 2.0
"""After the last seat was cut off, connections get this long to take what was sent to them."""


class Proxy:
    """The core, its driver, the groups and the routes: everything but sockets and signals."""

    def __init__(
        self, config: Config, launch: Launcher, journal: Journal | None = None, *, connect: Connect = connect_tcp
    ) -> None:
        """Put the parts together; nothing runs yet."""
        self.config = config
        """What holds now."""
        self.driver: Final = Driver(Core(config.settings), journal)
        self.peers: Final = Peers(config.peers, connect)
        self.routes: Final = Routes(config, self.driver, self.peers)
        self.groups: Final[dict[GroupId, GroupShell]] = {}
        self._launch = launch
        self._nursery: trio.Nursery | None = None
        self._open_groups()
        self.driver.attach(self.groups)

    def start(self, nursery: trio.Nursery) -> None:
        """Start what runs as long as the proxy does."""
        self._nursery = nursery
        nursery.start_soon(self.driver.keep_time, name="clock")
        for shell in self.groups.values():
            nursery.start_soon(shell.live, name=f"group {shell.group}")

    def reconfigure(self, config: Config, restart: frozenset[ModelId]) -> trio.Event:
        """Go over to another configuration, in one step.

        Args:
            config: what holds from now on; what was already begun goes on as it was.
            restart: the models whose server is not what it asks for any more.

        Returns:
            Set when whatever had to end for it has ended.
        """
        preloads = tuple(model for model in config.preload if model in restart or model not in self.config.preload)
        self.config = config
        logs.configure(config.log_level, config.log_format)
        self.routes.reconfigure(config)
        self._open_groups()
        ended = self.driver.reconfigure(config.settings, restart)
        self.driver.preload(preloads)
        return ended

    def close_groups(self) -> None:
        """End the shells of groups that there are no more."""
        for group in self.groups.keys() - self.driver.groups():
            self.groups.pop(group).end()

    def _open_groups(self) -> None:
        for group in policy_of(self.config.settings).group_of.values():
            if group not in self.groups:
                shell = GroupShell(group, self._launch, self._config_of, self.driver.feed, self.driver.story)
                self.groups[group] = shell
                if self._nursery is not None:
                    self._nursery.start_soon(shell.live, name=f"group {group}")

    def _config_of(self, model: ModelId) -> ModelConfig:
        return self.config.models[model]


def serve(
    config: Config,
    read: Callable[[], Config],
    *,
    is_watched: bool = False,
    open_journal: Callable[[], Recorder] | None = None,
) -> int:
    """Serve until told to end, and return the exit code: 0, or 1 if it went wrong.

    Args:
        config: what holds at first.
        read: reads what is to hold after a reload; raises ConfigError.
        is_watched: reload when the file changes, not only when asked.
        open_journal: opens the files in which events are written down; raises OSError.
    """
    logs.configure(config.log_level, config.log_format)
    faulthandler.enable()  # a watchdog ends what is stuck by SIGABRT: then it says where
    manager = take_service_manager(os.environ)
    listeners: list[socket.socket] = []
    try:
        for address in config.listen:
            listeners += open_listeners(address)
        # Only now: another proxy at these addresses may be writing the same file.
        journal = None if open_journal is None else open_journal()
    except (ListenError, OSError) as error:
        for listener in listeners:
            close_listener(listener)
        what = error if isinstance(error, ListenError) else f"the journal {error.filename}: {error.strerror}"
        print(f"trio-swap: {what}", file=sys.stderr)  # noqa: T201 - for whoever typed the command
        return 1
    run = partial(_run, config, read, listeners, manager, is_watched=is_watched, journal=journal)
    return trio.run(run)


async def _run(
    config: Config,
    read: Callable[[], Config],
    listeners: list[socket.socket],
    manager: ServiceManager,
    *,
    is_watched: bool,
    journal: Recorder | None,
) -> int:
    async with AsyncExitStack() as stack:
        # Before anything is started: a signal from now on is an orderly shutdown.
        signals = stack.enter_context(trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM))
        hang_ups = stack.enter_context(trio.open_signal_receiver(signal.SIGHUP))
        if journal is not None:
            # Around everything that has something to say: its end is written down too.
            await stack.enter_async_context(journal.writing())
        await stack.enter_async_context(adopt_orphans())
        nursery = await stack.enter_async_context(trio.open_nursery())
        proxy = Proxy(config, ProcessLauncher(config.start_port), journal)
        proxy.start(nursery)
        reloader = Reloader(config, read, proxy.reconfigure, proxy.close_groups)
        proxy.routes.attach(reloader)
        http = HttpServer(proxy.routes, listeners, send_timeout_s=config.send_timeout_s)
        await nursery.start(http.run)
        _announce(config, listeners)
        nursery.start_soon(manager.feed_watchdog, proxy.driver.check_health, name="watchdog")
        await manager.ready(f"serving {', '.join(config.models)}")
        proxy.driver.preload(config.preload)
        nursery.start_soon(reloader.run, name="reloads")
        nursery.start_soon(_reload_on_hang_up, hang_ups, reloader, name="SIGHUP")
        if is_watched:
            from .edits import watch_files  # noqa: PLC0415 - who does not watch does not wait for it

            told = partial(reloader.ask, "a file has changed")
            nursery.start_soon(watch_files, config.files, config.digest, told, name="watch")
        code = await _until_told(proxy, http, signals, manager)
        nursery.cancel_scope.cancel()
    return code


async def _until_told(proxy: Proxy, http: HttpServer, signals: AsyncIterator[int], manager: ServiceManager) -> int:
    """Wait for a signal, shut down in order, and return the exit code; if the core breaks down meanwhile: at once."""
    async with trio.open_nursery() as nursery:

        async def collapse() -> None:
            await proxy.driver.collapsed.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(collapse)
        number = await anext(signals)
        config = proxy.config
        drain_s = config.shutdown_timeout_s
        _LOG.info("%s: shutting down, requests being served may finish within %g s", _name(number), drain_s)
        nursery.start_soon(_hurry, proxy, http, signals)
        await manager.stopping(f"requests being served may finish within {drain_s:g} s", _longest_end_s(config))
        await shut_down(proxy, http, drain_s)
        nursery.cancel_scope.cancel()
    return 0 if proxy.driver.broken is None else 1


async def shut_down(proxy: Proxy, http: HttpServer, drain_s: float) -> None:
    """Stop accepting, refuse who waits, let who is served finish, stop every server, end every connection."""
    stopped = proxy.driver.shut_down(drain_s)
    proxy.peers.shut_down(trio.current_time() + drain_s)
    http.stop(trio.current_time() + drain_s + _LAST_WORDS_S)
    await stopped.wait()
    await proxy.peers.ended.wait()
    http.stop(trio.current_time() + _LAST_WORDS_S)
    await http.ended.wait()


async def _reload_on_hang_up(hang_ups: AsyncIterator[int], reloader: Reloader) -> None:
    """SIGHUP asks for a reload; it is also what a terminal leaves behind that was closed, and then it means the end."""
    began_at_terminal = _has_terminal()
    async for _ in hang_ups:
        if began_at_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            reloader.ask("SIGHUP")


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def _hurry(proxy: Proxy, http: HttpServer, signals: AsyncIterator[int]) -> None:
    async for number in signals:
        _LOG.info("%s again: shutting down at once", _name(number))
        proxy.driver.hurry()
        proxy.peers.shut_down(trio.current_time())
        http.stop(trio.current_time() + _LAST_WORDS_S)


def _longest_end_s(config: Config) -> float:
    """What an orderly end may take: the last seat, the slowest server, last words, and what SIGKILL does not end."""
    grace_s = max(model.unload_timeout_s for model in config.settings.models.values())
    return config.shutdown_timeout_s + grace_s + KILL_S + 2 * _LAST_WORDS_S


def _announce(config: Config, listeners: list[socket.socket]) -> None:
    for listener in listeners:
        address = address_of(listener)
        _LOG.info("listening on %s", address if address.startswith("unix:") else f"http://{address}")
    for note in config.notes:
        _LOG.warning("%s:%d: %s", note.file, note.line, note.message)
    for address in config.unprotected:
        _LOG.warning("%s can be reached from the network and asks for no key: set server.api_keys", address)
    _LOG.info("%d models: %s", len(config.models), ", ".join(config.models))


def _name(number: int) -> str:
    return signal.Signals(number).name
