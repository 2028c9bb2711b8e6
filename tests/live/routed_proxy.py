"""A proxy in this process, on real sockets, with real servers behind it: for configurations that a test changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio

from proxy.app import Proxy, shut_down
from proxy.config import Config, load_config
from proxy.config.differences import differences
from proxy.launcher import ProcessLauncher
from proxy.listeners import address_of, open_listeners
from proxy.server import HttpServer

from .proxy_process import ANSWERED_WITHIN_S, write_config

_DRAIN_S = 10.0


class RoutedProxy:
    """One that serves."""

    def __init__(self, proxy: Proxy, url: str) -> None:
        self.proxy = proxy
        self.url = url

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=ANSWERED_WITHIN_S)

    def change(self, config: Config) -> None:
        """Go over to another configuration, as a reload does."""
        found = differences(self.proxy.config, config)
        self.proxy.reconfigure(config, frozenset(found.restarted))


@asynccontextmanager
async def routed_proxy(
    folder: Path, models: str, change: Callable[[Config], Config] = lambda config: config, *, server: str = ""
) -> AsyncIterator[RoutedProxy]:
    """Serve until the block ends; then it must end in good order.

    Args:
        folder: where its file goes.
        models: tables of models, see `proxy_process.demo`.
        change: of what the file says.
        server: further keys of `[server]`.
    """
    config = change(load_config(write_config(folder, models, server=server)))
    listeners = open_listeners("127.0.0.1:0")
    async with trio.open_nursery() as nursery:
        proxy = Proxy(config, ProcessLauncher(config.start_port))
        proxy.start(nursery)
        http = HttpServer(proxy.routes, listeners)
        await nursery.start(http.run)
        try:
            yield RoutedProxy(proxy, f"http://{address_of(listeners[0])}")
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2 * _DRAIN_S):
                await shut_down(proxy, http, _DRAIN_S)
            nursery.cancel_scope.cancel()
        assert proxy.driver.broken is None
