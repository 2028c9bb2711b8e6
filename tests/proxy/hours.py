"""The scripts of `states.clients`, played against the real shell: the same clients as in a simulation, over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from random import Random

import httpx
import trio

from states.clients import Ask, Client, Fate, Join, Launch, Pause, Script, Send, Step
from states.settings import ModelId
from states.simulation import Durations, Servers
from states.workloads import WORKLOADS

from .fake_fleet import PROXY_PORT, Behaviour, stage, table
from .journals import MemoryJournal

SERVERS = Servers(
    load=Durations(usual_s=11.3, of={ModelId("m0"): 7.1, ModelId("m1"): 9.7}),
    stop=Durations(usual_s=0.7, of={ModelId("m0"): 1.3}),
    service=Durations(usual_s=4.3, of={ModelId("m1"): 2.9}),
)
KEYS = (
    "priority = 1\nmax_wait = 90\nconcurrency = 2\nunload_timeout = 300",
    "priority = 3\nunload_delay = 5\nconcurrency = 3\nunload_timeout = 300",
    "priority = 2\nunload_delay = 3\nmin_loaded = 8\nttl = 900\nmax_wait = 60\nunload_timeout = 300",
)
"""Of three models: holds, a ttl, bounds and few seats. A reload cuts nobody off: the longest answer takes 78 s."""
MODELS = {ModelId(f"m{number}"): table(f"m{number}", keys) for number, keys in enumerate(KEYS)}
TABLES = "".join(MODELS.values())


def clients_of(workload: str, seed: int, requests: int) -> list[Client]:
    """New clients of a workload that ships; our models play its roles in turn."""
    chosen = WORKLOADS[workload]
    roles = chosen.roles or tuple(MODELS)
    cast = {role: list(MODELS)[place % len(MODELS)] for place, role in enumerate(roles)}
    return chosen.clients(cast, Random(seed), min(requests, chosen.requests or requests))


def without_ties(clients: Iterable[Client], name: str) -> list[Client]:
    """Let the clients do what they do, each at times of its own: no two things ever happen at one instant."""
    found = list(clients)
    for place, client in enumerate(found):
        client.script = _uneven(client.script, f"{name}/{place}")
    return found


def _uneven(script: Script, name: str) -> Script:
    rng = Random(name)
    sent: Fate | None = None
    while True:
        try:
            step = script.send(sent)
        except StopIteration:
            return
        if isinstance(step, Ask | Send):
            yield Pause(0.01 + 0.1 * rng.random())
        if isinstance(step, Launch):
            without_ties(step.clients, name)
        sent = yield _stretched(step, rng)


def _stretched(step: Step, rng: Random) -> Step:
    match step:
        case Ask(model=model, service_s=service_s):
            usual = SERVERS.service.of_model(model) if service_s is None else service_s
            return replace(step, service_s=usual * (0.9 + 0.2 * rng.random()))
        case Send(request=ask):
            stretched = _stretched(ask, rng)
            assert isinstance(stretched, Ask)
            return Send(stretched)
        case Pause(seconds=seconds):
            return Pause(seconds * (0.9 + 0.2 * rng.random()))
        case _:
            return step


class Player:
    """Plays clients against a stage."""

    def __init__(self, http: httpx.AsyncClient, nursery: trio.Nursery, fates: Counter[Fate]) -> None:
        """Ask through `http`, and count how requests end."""
        self._http, self._nursery, self._fates = http, nursery, fates
        self._ended: dict[Client, trio.Event] = {}

    def start(self, clients: Iterable[Client]) -> None:
        for client in clients:
            self._ended[client] = trio.Event()
            self._nursery.start_soon(self._play, client)

    async def _play(self, client: Client) -> None:
        sent: Fate | None = None
        while True:
            try:
                step = client.script.send(sent)
            except StopIteration:
                break
            sent = None
            match step:
                case Ask():
                    sent = await self._ask(step)
                case Send(request=ask):
                    self._nursery.start_soon(self._ask, ask)
                case Pause(seconds=seconds):
                    await trio.sleep(seconds)
                case Launch(clients=others):
                    self.start(others)
                case Join(client=other):
                    await self._ended[other].wait()
        client.done = True
        self._ended[client].set()

    async def _ask(self, ask: Ask) -> Fate:
        assert ask.patience_s == inf, "nobody gives up here"
        body: dict[str, object] = {"model": ask.model}
        body["service_s"] = SERVERS.service.of_model(ask.model) if ask.service_s is None else ask.service_s
        response = await self._http.post("/v1/chat/completions", json=body)
        fate = Fate.SERVED if response.status_code == httpx.codes.OK else Fate.REFUSED
        self._fates[fate] += 1
        return fate


def behaviours() -> Mapping[str, Behaviour]:
    """Fake servers that take as long as the simulated ones."""
    return {
        model: Behaviour(load_s=SERVERS.load.of_model(model), stop_s=SERVERS.stop.of_model(model)) for model in MODELS
    }


async def play(
    folder: Path, clients: Iterable[Client], tables: str = TABLES, servers: Mapping[str, Behaviour] | None = None
) -> tuple[MemoryJournal, list[str]]:
    """Play clients against the whole shell; return its journal, and the models it loaded."""
    journal = MemoryJournal()
    async with stage(folder, tables, servers or behaviours(), journal=journal) as scene:
        async with scene.network.client(PROXY_PORT) as http, trio.open_nursery() as nursery:
            Player(http, nursery, Counter()).start(clients)
        loads = list(scene.fleet.loads)
    return journal, loads
