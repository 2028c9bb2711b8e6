"""The whole proxy in virtual time: fake servers over in-memory streams, a watch on whether states and tasks agree."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import trio

from proxy.app import Proxy
from proxy.asgi import ASGIApp, Receive, Scope, Send
from proxy.config import Config, ModelConfig, load_config
from proxy.driver import Journal
from proxy.groups import LaunchError
from proxy.history import Outcome
from proxy.server import HttpServer
from proxy.upstream import Upstream
from states import invariants
from states.errors import CoreError
from states.group import GroupState
from tests.memory_network import MemoryNetwork, answer, read_body

PROXY_PORT = 80
_FIRST_PORT = 1000


@dataclass(kw_only=True)
class Behaviour:
    """How a model's fake servers behave. Times are seconds."""

    load_s: float = 2.0
    service_s: float = 1.0
    """Of a request that does not say so itself, by the key `service_s` of its body."""
    answer_s: float = 0.0
    """From the first half of an answer to the second."""
    stop_s: float = 0.5
    launch_error: str = ""
    """It cannot even be started."""
    explodes: bool = False
    """Waiting for it to be ready meets a bug of ours."""


class FakeServer:
    """One fake server; see `proxy.groups.Server`."""

    def __init__(self, behaviour: Behaviour, upstream: Upstream) -> None:
        self.upstream = upstream
        self.died = trio.Event()
        self._behaviour = behaviour

    async def until_ready(self) -> None:
        if self._behaviour.explodes:
            raise ZeroDivisionError
        await trio.sleep(self._behaviour.load_s)

    def unready(self) -> str:
        return "it was still thinking"

    async def ended(self) -> str:
        await self.died.wait()
        return "exit status 3"

    async def stop(self) -> None:
        if not self.died.is_set():
            await trio.sleep(self._behaviour.stop_s)


class FakeFleet:
    """Starts fake servers, and remembers."""

    def __init__(self, network: MemoryNetwork, behaviours: Mapping[str, Behaviour]) -> None:
        self.network = network
        self.behaviours = behaviours
        self.alive: dict[str, FakeServer] = {}
        self.loads: list[str] = []
        self.served: list[str] = []
        self.last_head: dict[bytes, bytes] = {}
        self.last_body = b""
        """Of the last request that reached one of them."""

    @asynccontextmanager
    async def launch(self, config: ModelConfig) -> AsyncIterator[FakeServer]:
        model = config.id
        behaviour = self.behaviours[model]
        if behaviour.launch_error:
            raise LaunchError(behaviour.launch_error)
        assert model not in self.alive, f"two servers of {model}"
        port = _FIRST_PORT + len(self.loads)
        self.loads.append(model)
        http = await self.network.serve(port, self._app(model, behaviour))
        self.alive[model] = server = FakeServer(behaviour, self.network.upstream(port))
        try:
            yield server
        finally:
            del self.alive[model]
            self.network.unplug(port)
            http.stop()

    def kill(self, model: str) -> None:
        """Have the model's server end by itself, if there is one."""
        if model in self.alive:
            self.alive[model].died.set()

    def _app(self, model: str, behaviour: Behaviour) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self.last_head = dict(scope["headers"])
            self.last_body = await read_body(receive)
            asked = json.loads(self.last_body.decode(errors="replace"))
            await trio.sleep(asked.get("service_s", behaviour.service_s))
            self.served.append(model)
            if not behaviour.answer_s:
                await answer(send, model.encode())
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half ", "more_body": True})
            await trio.sleep(behaviour.answer_s)
            await send({"type": "http.response.body", "body": b"whole"})

        return app


_TASKS = {
    GroupState.LOADING: {"load", "watch"},
    GroupState.ACTIVE: {"watch"},
    GroupState.DRAINING: {"watch"},
    GroupState.DEBOUNCE: {"watch"},
    GroupState.UNLOADING: {"stop"},
}
"""State -> tasks in the nursery of the group's run; idle: there is no run."""


def disagreements(proxy: Proxy) -> list[str]:
    """Where the state of a group and what runs for it differ."""
    found: list[str] = []
    world = proxy.driver._core.world
    for group, record in world.groups.items():
        run = proxy.groups[group].run
        if record.state is GroupState.IDLE:
            if run is not None:
                found.append(f"{group} is idle, and there is a run with {run.tasks}")
            continue
        if run is None or run.tasks != _TASKS[record.state]:
            found.append(f"{group} is {record.state.value}, and its run has {run and run.tasks}")
            continue
        seated = [
            ticket for model in world.models.values() if model.group is record for ticket in model.seated.values()
        ]
        granted = {ticket.id for ticket in seated if ticket.granted_at is not None}
        if set(run.seats) != granted:
            found.append(f"{group}: seats {set(run.seats)}, granted {granted}")
        if record.state is GroupState.DEBOUNCE and granted:
            found.append(f"{group} is in debounce with seats taken")
    return found + miscounts(proxy)


def miscounts(proxy: Proxy) -> list[str]:
    """Where the history differs from what it tells of."""
    found: list[str] = []
    world, history = proxy.driver._core.world, proxy.driver.history
    counts = history.counts
    ended = counts.served + counts.refused + counts.cut_off + counts.left
    if ended + len(world.tickets) != world.arrivals:
        found.append(f"{world.arrivals} tickets arrived, {len(world.tickets)} are here, and {counts}")
    swapping = {GroupState.LOADING: Outcome.LOADING, GroupState.UNLOADING: Outcome.UNLOADING}
    for group, record in world.groups.items():
        newest = next((swap.outcome for swap in history.swaps if swap.group == group), None)
        under_way = newest if newest in swapping.values() else None
        if under_way is not swapping.get(record.state):
            found.append(f"{group} is {record.state.value}, and its newest swap is {newest}")
    return found


@dataclass(eq=False)
class AgreementWatch(trio.abc.Instrument):
    """Looks whenever nothing can run any more: after every event and everything it set off."""

    proxy: Proxy
    looks: int = 0
    found: list[str] = field(default_factory=list)

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - as trio.abc.Instrument has it
        if trio.lowlevel.current_statistics().tasks_runnable:
            return
        self.looks += 1
        self.found += disagreements(self.proxy)
        try:
            invariants.check(self.proxy.driver._core)
        except CoreError as error:  # an instrument that raises is thrown away
            self.found.append(repr(error))


@dataclass
class Stage:
    """A running proxy on a network of its own."""

    proxy: Proxy
    http: HttpServer
    fleet: FakeFleet
    network: MemoryNetwork
    watch: AgreementWatch

    @property
    def state(self) -> GroupState:
        """Of the only group."""
        (group,) = self.proxy.driver.snapshot().groups
        return group.state

    async def ask(self, model: str) -> httpx.Response:
        """One request, on a connection of its own."""
        async with self.network.client(PROXY_PORT) as client:
            return await client.post("/v1/chat/completions", json={"model": model})


@asynccontextmanager
async def stage(
    folder: Path,
    models: str,
    behaviours: Mapping[str, Behaviour],
    rest: str = "",
    *,
    journal: Journal | None = None,
    change: Callable[[Config], Config] = lambda config: config,
) -> AsyncIterator[Stage]:
    """Run the proxy with fake servers; at the end, state and tasks must have agreed all the time.

    Args:
        folder: where its file goes.
        models: `[models.X]` tables; `cmd` may be anything.
        behaviours: of each model's servers.
        rest: further tables.
        journal: takes down what the core is told.
        change: of what the file says.
    """
    config = change(_configured(folder / "config.toml", f"{models}\n{rest}"))
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        fleet = FakeFleet(network, behaviours)
        proxy = Proxy(config, fleet.launch, journal, connect=network.connect)
        proxy.start(nursery)
        http = await network.serve(PROXY_PORT, proxy.routes)
        watch = AgreementWatch(proxy)
        trio.lowlevel.add_instrument(watch)
        try:
            yield Stage(proxy, http, fleet, network, watch)
            await trio.testing.wait_all_tasks_blocked()
        finally:
            trio.lowlevel.remove_instrument(watch)
            nursery.cancel_scope.cancel()
    assert watch.looks
    assert not watch.found, "\n".join(watch.found)


@cache
def _configured(path: Path, text: str) -> Config:
    path.write_text(text)
    return load_config(path)


def table(model: str, keys: str = "") -> str:
    """A `[models.X]` table."""
    return f'[models.{model}]\ncmd = "fake ${{PORT}}"\n{keys}\n'
