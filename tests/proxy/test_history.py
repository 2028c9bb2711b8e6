"""What the proxy tells of the past: every swap with its times, every request counted once. In virtual time.

That nobody is counted twice or forgotten, whatever falls on one instant, is watched by every test with a `stage`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from proxy.history import _SWAPS_KEPT, Counts, History, Outcome, Swap
from states.events import TimePassed
from states.settings import GroupId, ModelId

from .fake_fleet import Behaviour, Stage, stage, table

MODELS = table("a", "concurrency = 1\nqueue_limit = 1\nunload_timeout = 2") + table("b")
BEHAVIOURS = {"a": Behaviour(), "b": Behaviour()}
"""2 s to load, 1 s to answer, 0.5 s to stop."""
GROUP = GroupId("default")
A, B = ModelId("a"), ModelId("b")


def swaps(scene: Stage) -> list[tuple[str | None, str | None, str, float | None, float | None]]:
    """Out, in, outcome and times of every swap, oldest first."""
    return [
        (swap.model_out, swap.model_in, swap.outcome.value, swap.stop_s, swap.load_s)
        for swap in reversed(scene.proxy.driver.history.swaps)
    ]


def causes(scene: Stage) -> list[str]:
    return [swap.cause for swap in reversed(scene.proxy.driver.history.swaps)]


async def test_a_swap_tells_who_asked_and_how_long_each_step_took(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, BEHAVIOURS) as scene:
        began = trio.current_time()
        await scene.ask("a")
        await scene.ask("b")
        history = scene.proxy.driver.history
        assert list(history.swaps) == [
            Swap(
                at=began + 3,
                group=GROUP,
                model_out=A,
                model_in=B,
                cause="ticket 2 needs its place for b",
                outcome=Outcome.LOADED,
                since=began + 3.5,
                stop_s=0.5,
                load_s=2.0,
            ),
            Swap(
                at=began,
                group=GROUP,
                model_out=None,
                model_in=A,
                cause="ticket 1 asks for a",
                outcome=Outcome.LOADED,
                since=began,
                load_s=2.0,
            ),
        ]
        assert history.counts == Counts(served=2, loads=2, swaps=1)
        assert history.began_at == began


async def test_a_swap_can_be_seen_while_it_is_under_way(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with stage(tmp_path, MODELS, BEHAVIOURS) as scene, trio.open_nursery() as nursery:
        await scene.ask("a")
        nursery.start_soon(scene.ask, "b")
        await trio.sleep(0.25)
        assert swaps(scene)[1:] == [("a", None, "unloading", None, None)]
        await trio.sleep(0.5)
        assert swaps(scene)[1:] == [("a", "b", "loading", 0.5, None)]


async def test_a_group_beside_another_has_swaps_of_its_own(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    apart = '[groups.one]\nmembers = ["a"]\n[groups.two]\nmembers = ["b"]'
    async with stage(tmp_path, MODELS, BEHAVIOURS, apart) as scene:
        await scene.ask("a")
        await scene.ask("b")
        assert swaps(scene)[1:] == [("a", None, "unloaded", 0.5, None), (None, "b", "loaded", None, 2.0)]
        assert causes(scene)[1:] == ["ticket 2 needs its place for b", "a has stopped, b is next"]
        assert scene.proxy.driver.history.counts.swaps == 1


async def test_a_load_that_fails_says_so_and_what_is_cleared_up_says_why(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, BEHAVIOURS) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask, "a")
        await trio.sleep(1.5)
        scene.fleet.kill("a")
        await trio.testing.wait_all_tasks_blocked()
        assert swaps(scene) == [(None, "a", "failed", None, 1.5), ("a", None, "unloaded", 0.0, None)]
        assert causes(scene) == ["ticket 1 asks for a", "a ended before it was ready: exit status 3"]
        assert scene.proxy.driver.history.counts == Counts(refused=1, loads=1)


async def test_a_load_that_is_stopped_on_request_is_abandoned(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, BEHAVIOURS) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask, "a")
        await trio.sleep(1)
        await scene.proxy.driver.unload((A,))
        assert swaps(scene) == [(None, "a", "abandoned", None, 1.0), ("a", None, "unloaded", 0.5, None)]
        assert causes(scene)[1:] == ["unload asked while loading"]
        assert scene.proxy.driver.history.counts == Counts(refused=1, loads=1)


async def served(scene: Stage) -> None:
    await scene.ask("a")


async def refused(scene: Stage) -> None:
    """One on the only seat, one in line, and a third."""
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(scene.ask, "a")


async def cut_off(scene: Stage) -> None:
    scene.fleet.behaviours["a"].service_s = 60
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask, "a")
        await trio.sleep(3)
        await scene.proxy.driver.unload((A,))
    scene.fleet.behaviours["a"].service_s = 1


async def left(scene: Stage) -> None:
    with trio.move_on_after(1):
        await scene.ask("a")


@pytest.mark.parametrize(
    ("happens", "counts"),
    [
        (served, Counts(served=1, loads=1)),
        (refused, Counts(served=2, refused=1, loads=1)),
        (cut_off, Counts(cut_off=1, loads=1)),
        (left, Counts(left=1, loads=1)),
    ],
)
async def test_how_a_request_ended_is_counted(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    happens: Callable[[Stage], Awaitable[None]],
    counts: Counts,
) -> None:
    behaviours = {"a": Behaviour(), "b": Behaviour()}
    async with stage(tmp_path, MODELS, behaviours) as scene:
        await happens(scene)
        await trio.testing.wait_all_tasks_blocked()
        assert scene.proxy.driver.history.counts == counts


async def test_only_the_last_swaps_are_kept(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with stage(tmp_path, MODELS, BEHAVIOURS) as scene:
        for _ in range(_SWAPS_KEPT):
            await scene.ask("a")
            await scene.ask("b")
        history = scene.proxy.driver.history
        assert history.counts.loads == 2 * _SWAPS_KEPT
        assert len(history.swaps) == _SWAPS_KEPT
        assert {(swap.model_out, swap.model_in) for swap in history.swaps} == {("a", "b"), ("b", "a")}


def test_most_events_leave_no_trace() -> None:
    history = History(now=1.0)
    history.note(TimePassed(), [], now=2.0)
    assert (history.counts, list(history.swaps)) == (Counts(), [])
