"""The life of a process group: one server after another, each in a nursery of its own.

    state                        what runs
    idle                         nothing
    loading                      load (a scope with `load_timeout`), watch
    active, draining, debounce   watch, and a scope for every granted seat
    unloading                    stop (a shielded scope whose deadline is the grace)

The core decides, this acts: `start` and `stop` only move scopes and deadlines, without waiting. "Stopped" is the end of
the server's block, whatever ended it. A bug in here fails the tickets of this group, and of no other.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from math import inf
from typing import Final, Protocol

import trio

from states.events import Event, Failure, ServerFailed, ServerReady, ServerStopped
from states.settings import GroupId, ModelId, TicketId

from .config import ModelConfig
from .upstream import Upstream

_LOG: Final = logging.getLogger("trio_swap.groups")
_LAST_GRACE_S: Final = 1.0
"""When the proxy itself breaks down and nobody has said how long a server may take to stop."""


class LaunchError(Exception):
    """A server could not be started: one sentence for the client, saying what to do."""


class Server(Protocol):
    """A server that was started; the block it comes from ends with nothing left of it."""

    @property
    def upstream(self) -> Upstream:
        """The connections to it."""

    async def until_ready(self) -> None:
        """Return once it answers."""

    def unready(self) -> str:
        """Say how far it got, for whoever waited too long."""

    async def ended(self) -> str:
        """Wait until it ends by itself, and say how, with its last words."""

    async def stop(self) -> None:
        """Ask it to end and wait until nothing is left of it. May be cancelled: what is left is killed."""


Launcher = Callable[[ModelConfig], AbstractAsyncContextManager[Server]]
"""Starts a model's server. Raises LaunchError."""


class Run:
    """One server of a group, from the order to start it until nothing is left of it."""

    def __init__(self, config: ModelConfig) -> None:
        self.config: Final = config
        """As it was when the order came: a later change of it is for the next server."""
        self.service: Final = trio.CancelScope()
        """Ends when the server is of no more use: an order to stop cancels it, even before it is entered."""
        self.unloading: Final = trio.CancelScope(shield=True)
        """What is left when its deadline comes is killed."""
        self.ready = False
        self.seats: Final[dict[TicketId, trio.CancelScope]] = {}
        """The scopes in which granted tickets are served; a cut-off cancels them."""
        self.server: Server | None = None
        self.nursery: trio.Nursery | None = None

    @property
    def tasks(self) -> frozenset[str]:
        """What runs for this server, by name."""
        children = () if self.nursery is None else self.nursery.child_tasks
        names = {task.name for task in children}
        return frozenset(names | {"stop"} if self.service.cancel_called else names)


class GroupShell:
    """Runs the servers of one group, as the core orders."""

    def __init__(
        self,
        group: GroupId,
        launch: Launcher,
        config_of: Callable[[ModelId], ModelConfig],
        feed: Callable[[Event], None],
        story: Callable[[GroupId], list[str]],
    ) -> None:
        """Nothing is started yet.

        Args:
            group: whose servers these are.
            launch: starts a server.
            config_of: how a model is started, as the configuration says now.
            feed: takes the facts; never waits, never raises.
            story: what happened to a group lately, for the log.
        """
        self.group: Final = group
        self.run: Run | None = None
        """The server that there is."""
        self._launch = launch
        self._config_of = config_of
        self._feed = feed
        self._story = story
        # The core never orders a start before the last server has stopped: one place is enough.
        self._orders_in, self._orders = trio.open_memory_channel[Run](1)

    def start(self, model: ModelId) -> None:
        """Order a server; the order stands even if a stop overtakes it."""
        self.run = Run(self._config_of(model))
        self._orders_in.send_nowait(self.run)

    def stop(self, grace_s: float) -> None:
        """Order the server's end within `grace_s` seconds; an earlier deadline stands."""
        if self.run is not None:
            self.run.unloading.deadline = min(self.run.unloading.deadline, trio.current_time() + grace_s)
            self.run.service.cancel()

    def end(self) -> None:
        """Take no more orders: `live` returns. There must be no server."""
        self._orders_in.close()

    async def live(self) -> None:
        """Carry out orders until `end`, or until cancelled; then the server that there is gets a second to stop."""
        async with self._orders:
            async for run in self._orders:
                await self._survive(run)
                self.run = None
                self._feed(ServerStopped(group=self.group))

    async def _survive(self, run: Run) -> None:
        try:
            await self._serve(run)
        except LaunchError as error:
            self._feed(ServerFailed(group=self.group, failure=Failure.LOAD_FAILED, detail=str(error)))
        except Exception as error:  # noqa: BLE001 - see `_report_bug`
            self._report_bug(run, error)

    async def _serve(self, run: Run) -> None:
        if run.service.cancel_called:
            return  # told to stop before it was started
        async with self._launch(run.config) as server:
            run.server = server
            try:
                with run.service:
                    async with trio.open_nursery() as run.nursery:
                        run.nursery.start_soon(self._watch, run, server, name="watch")
                        run.nursery.start_soon(self._load, run, server, name="load")
            except Exception as error:  # noqa: BLE001 - see `_report_bug`
                self._report_bug(run, error)
            finally:
                run.nursery = None
                await self._stop(run, server)

    def _report_bug(self, run: Run, error: Exception) -> None:
        """A bug of ours fails this group's tickets, and must not take the other groups along."""
        told = "\n".join([*self._story(self.group), *traceback.format_exception(error)])
        _LOG.critical("group %s: a bug in the proxy; what happened before, and where it is:\n%s", self.group, told)
        detail = f"the proxy has a bug that concerns {run.config.id}; its log tells more"
        failure = Failure.DIED if run.ready else Failure.LOAD_FAILED
        self._feed(ServerFailed(group=self.group, failure=failure, detail=detail))

    async def _load(self, run: Run, server: Server) -> None:
        model, patience_s = run.config.id, run.config.load_timeout_s
        with trio.move_on_after(patience_s) as loading:
            await server.until_ready()
        if loading.cancelled_caught:
            detail = f"{model} was not ready within {patience_s:g} s (load_timeout): {server.unready()}"
            self._feed(ServerFailed(group=self.group, failure=Failure.LOAD_TIMEOUT, detail=detail))
        else:
            run.ready = True
            self._feed(ServerReady(group=self.group))

    async def _watch(self, run: Run, server: Server) -> None:
        how = await server.ended()
        failure, when = (Failure.DIED, "") if run.ready else (Failure.LOAD_FAILED, " before it was ready")
        self._feed(ServerFailed(group=self.group, failure=failure, detail=f"{run.config.id} ended{when}: {how}"))

    async def _stop(self, run: Run, server: Server) -> None:
        # Servers wait for their clients, some for ever: no connection may be open when they are told to stop.
        server.upstream.close()
        if run.unloading.deadline == inf:
            run.unloading.deadline = trio.current_time() + _LAST_GRACE_S
        with run.unloading:
            await server.stop()
