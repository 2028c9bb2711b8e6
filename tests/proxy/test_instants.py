"""Everything that can happen, falling on one instant, in every order, in every phase of a model's life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import permutations
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing

from proxy.app import shut_down
from states.group import GroupState

from .fake_fleet import Behaviour, Stage, stage, table

MODELS = table("a", "unload_delay = 3\nunload_timeout = 2") + table("b", "unload_timeout = 2")
BEHAVIOURS = {"a": Behaviour(), "b": Behaviour()}
BOUND_S = 60.0
"""Of virtual time: the longest way through is two loads, stops and services, a hold, and a drain of 5 s."""
DRAIN_S = 5.0
ANSWERS = {httpx.codes.OK, httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE}
NO_ANSWER = 0

PHASES = {
    "loading": (1.0, GroupState.LOADING, ()),
    "serving": (2.5, GroupState.ACTIVE, ()),
    "answering": (3.0, GroupState.ACTIVE, ()),
    "held": (4.0, GroupState.ACTIVE, ()),
    "debounce": (4.0, GroupState.DEBOUNCE, ("b",)),
    "unloading": (6.2, GroupState.UNLOADING, ("b",)),
}
"""When, after the first request for a, everything happens; what a's group is doing then; who else waits from the start.

`answering` is the instant at which the first request is answered."""


class Instant:
    """The things that happen, and what became of them."""

    def __init__(self, scene: Stage, nursery: trio.Nursery) -> None:
        self.scene = scene
        self.nursery = nursery
        self.statuses: dict[str, int] = {}
        self.leaving = trio.CancelScope()
        self.ended = trio.Event()

    async def client(self, name: str, model: str) -> None:
        try:
            self.statuses[name] = (await self.scene.ask(model)).status_code
        except httpx.TransportError:
            self.statuses[name] = NO_ANSWER

    async def leaver(self) -> None:
        with self.leaving:
            await self.client("leaver", "a")

    def request(self) -> None:
        self.nursery.start_soon(self.client, "request", "a")

    def rival(self) -> None:
        self.nursery.start_soon(self.client, "rival", "b")

    def unload(self) -> None:
        async def unload() -> None:
            await self.scene.proxy.driver.unload(tuple(self.scene.fleet.behaviours))

        self.nursery.start_soon(unload)

    def exit(self) -> None:
        self.scene.fleet.kill("a")

    def disconnect(self) -> None:
        self.leaving.cancel()

    def shutdown(self) -> None:
        async def end() -> None:
            await shut_down(self.scene.proxy, self.scene.http, DRAIN_S)
            self.ended.set()

        self.nursery.start_soon(end)


HAPPENINGS = ("request", "rival", "unload", "exit", "disconnect", "shutdown")


async def no_pause() -> None:
    """Nothing runs between one and the next: they tie."""


PAUSES: dict[str, Callable[[], Awaitable[None]]] = {
    "tied": no_pause,
    "in turn": trio.testing.wait_all_tasks_blocked,
}


@pytest.mark.parametrize("pause", PAUSES)
@pytest.mark.parametrize("first", HAPPENINGS)
@pytest.mark.parametrize("phase", PHASES)
async def test_whatever_falls_on_one_instant_ends(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, phase: str, first: str, pause: str
) -> None:
    others = [happening for happening in HAPPENINGS if happening != first]
    survived = [happening for happening in others if happening != "exit"]
    # Without the exit too: a server that dies in every order would never have to be stopped.
    for order in dict.fromkeys((*permutations(others), *permutations(survived))):
        with trio.fail_after(BOUND_S):
            await play(tmp_path, phase, (first, *order), PAUSES[pause])


async def play(folder: Path, phase: str, order: tuple[str, ...], pause: Callable[[], Awaitable[None]]) -> None:
    at_s, state, waiting = PHASES[phase]
    async with stage(folder, MODELS, BEHAVIOURS) as scene, trio.open_nursery() as nursery:
        instant = Instant(scene, nursery)
        nursery.start_soon(instant.client, "first", "a")
        nursery.start_soon(instant.leaver)
        await trio.testing.wait_all_tasks_blocked()
        for model in waiting:
            nursery.start_soon(instant.client, "waiting", model)
        await trio.sleep(at_s)
        assert scene.state is state
        for happening in order:
            getattr(instant, happening)()
            await pause()
        await instant.ended.wait()
        assert not scene.fleet.alive
        assert not scene.proxy.driver.snapshot().queue
        assert all(group.run is None for group in scene.proxy.groups.values())
        assert instant.statuses.pop("first") in ANSWERS
        # Who comes as the door closes may find it closed.
        assert set(instant.statuses.values()) <= {*ANSWERS, NO_ANSWER}
