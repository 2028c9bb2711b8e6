"""Selectors, against section 2.9 of llama-swap's behaviour. Docstrings say the section, what differs and why."""

from __future__ import annotations

import json
from pathlib import Path

import trio
import trio.testing
from trio.testing import MockClock

from proxy.config.routing import Filters
from tests.proxy.routed import peer, profile, selector

from .routing_stage import FAR, Routing, routing


async def together(it: Routing, name: str, times: int, service_s: float = 5.0) -> list[str]:
    """So many requests, one behind the other, that are served at the same time; who answered."""
    answered = [""] * times

    async def one(place: int) -> None:
        answered[place] = await it.ask(name, service_s=service_s)

    async with trio.open_nursery() as nursery:
        for place in range(times):
            nursery.start_soon(one, place)
            await trio.testing.wait_all_tasks_blocked()
    return answered


async def test_pin_is_always_its_first_target(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.9."""
    async with routing(tmp_path, selector("s", "pin", "small", "large")) as it:
        await it.ask("large")
        assert await it.ask("s") == "small"


async def test_warm_is_the_first_that_is_ready_else_that_starts_else_the_first(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.9."""
    async with routing(tmp_path, selector("s", "warm", "small", "large")) as it:
        assert await it.ask("s") == "small"
        await it.ask("large")
        assert await it.ask("s") == "large"
        await it.client.post("/api/models/unload")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.ask, "large")
            await trio.sleep(0.5)
            assert await it.ask("s") == "large"


async def test_spillover_uses_one_more_target_when_those_in_use_are_busy(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.9: below `spillover` the least busy, by turns; at it the first cold one; else the least busy."""
    async with routing(tmp_path, selector("s", "spillover", "both-a", "both-b", spillover=2)) as it:
        assert await together(it, "s", 6) == ["both-a", "both-a", "both-b", "both-b", "both-a", "both-b"]
        assert await together(it, "s", 4) == ["both-a", "both-b", "both-a", "both-b"]


async def test_spillover_counts_only_what_came_through_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.9."""
    async with routing(tmp_path, selector("s", "spillover", "both-a", "both-b")) as it, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(lambda: it.ask("both-a", service_s=9.0))
        await trio.sleep(2)
        assert await it.ask("s") == "both-a"


async def test_a_peer_is_in_use_as_long_as_it_has_requests_of_the_selector(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.9."""
    async with routing(tmp_path, peer("far", FAR, "cloud"), selector("s", "spillover", "both-a", "far/cloud")) as it:
        it.far_service_s = 5.0
        assert await together(it, "s", 2) == ["both-a", "far"]
        assert await it.ask("s") == "both-a"


async def test_the_body_says_the_target_as_the_selector_does_and_filters_come_after(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.9: the text of the target, an alias or a variant too."""
    filters = Filters(set_by_name={"high": {"effort": 2}})
    async with routing(tmp_path, selector("s", "pin", "high"), small={"filters": filters}) as it:
        await it.ask("s")
        assert json.loads(it.sent) == {"model": "high", "effort": 2}


async def test_profiles_come_before_selectors(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.9, 2.10."""
    async with routing(tmp_path, selector("s", "pin", "small"), profile("p", s="large", t="s")) as it:
        assert await it.ask("s") == "small"
        await it.client.put("/api/profiles/active", json={"name": "p"})
        assert [await it.ask("s"), await it.ask("t")] == ["large", "small"]


async def test_a_request_waits_for_a_target_where_none_is_to_be_had_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.9, different on purpose: there, spillover answers 503 when every target is stopping. Here one waits for the
    first, which loads again: that takes seconds, and clients that give up on a 503 are many."""
    async with routing(tmp_path, selector("s", "spillover", "both-a", "both-b")) as it:
        assert await together(it, "s", 2) == ["both-a", "both-b"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.client.post, "/api/models/unload")
            await trio.sleep(0.2)
            assert await it.ask("s") == "both-a"


async def test_a_peer_that_is_down_is_left_out(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.9 and W12, W24, different on purpose: a selector does not send to where nobody was a moment ago."""
    parts = (peer("off", "http://off.example:1", "cloud"), selector("s", "spillover", "off/cloud", "small"))
    async with routing(tmp_path, *parts) as it:
        assert await it.ask("s") == "peer_down"
        assert await it.ask("s") == "small"


async def test_a_model_that_waits_for_another_to_stop_counts_as_starting(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.9: whose turn it is next, not who is on the way out."""
    async with routing(tmp_path, selector("s", "warm", "both-a", "large")) as it, trio.open_nursery() as nursery:
        await it.ask("small")
        nursery.start_soon(it.ask, "large")
        await trio.sleep(0.2)  # small takes 0.5 s to stop
        assert await it.ask("s") == "large"
