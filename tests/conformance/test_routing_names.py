"""Aliases, `use_model_name`, filters and profiles, against sections 2.4, 2.5, 2.10 and 3.5 of llama-swap's behaviour.

Each docstring begins with its section; where we differ on purpose it says so, and why.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from proxy.config.routing import Filters
from tests.proxy.fake_fleet import PROXY_PORT
from tests.proxy.routed import peer, profile, selector

from .routing_stage import CHAT, FAR, routing

FILTERS = Filters(
    strip=("temperature", "top_p", "model"),
    set={"seed": 1, "chat_template_kwargs.thinking": True, "model": "never", "options": {"a": 1}},
    set_by_name={"small-high": {"seed": 2, "effort": "high"}},
)


async def test_a_name_is_an_id_then_an_alias_then_a_peers(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.4."""
    far = peer("far", FAR, "small", "nick", "cloud")
    async with routing(tmp_path, far, small={"aliases": ("nick",)}) as it:
        names = ("small", "nick", "cloud", "far/small")
        assert [await it.ask(name) for name in names] == ["small", "small", "far", "far"]


async def test_an_alias_stays_in_the_body_unless_use_model_name_says_otherwise(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.4."""
    models = {"small": {"aliases": ("nick",)}, "large": {"aliases": ("big",), "use_model_name": "org/large"}}
    async with routing(tmp_path, **models) as it:
        await it.ask("nick")
        assert json.loads(it.sent)["model"] == "nick"
        await it.ask("big")
        assert json.loads(it.sent)["model"] == "org/large"


async def test_filters_strip_then_set_then_set_by_name(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.5: in this order; paths lead inside; an object replaces a field whole; the name wins."""
    given = {"temperature": 1, "top_p": 1, "seed": 0, "chat_template_kwargs": {"x": 1}, "options": {"b": 2}}
    async with routing(tmp_path, small={"filters": FILTERS}) as it:
        assert await it.ask("small", **given) == "small"
        expected = {"seed": 1, "chat_template_kwargs": {"x": 1, "thinking": True}, "options": {"a": 1}}
        assert json.loads(it.sent) == {"model": "small", **expected}
        assert await it.ask("small-high", **given) == "small"
        assert json.loads(it.sent) == {"model": "small-high", **expected, "seed": 2, "effort": "high"}


async def test_no_filter_strips_or_sets_the_model(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.5."""
    async with routing(tmp_path, small={"filters": Filters(strip=("model",), set={"model": "other"})}) as it:
        await it.ask("small")
        assert json.loads(it.sent)["model"] == "small"


async def test_use_model_name_is_written_before_filters_and_the_name_asked_for_still_picks_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.5."""
    async with routing(tmp_path, small={"filters": FILTERS, "use_model_name": "real"}) as it:
        await it.ask("small-high")
        assert json.loads(it.sent)["model"] == "real"
        assert json.loads(it.sent)["effort"] == "high"


async def test_a_peers_filters_hold_for_its_models(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.5."""
    by_name = {"cloud": {"seed": 7}}
    far = peer("far", FAR, "cloud", filters=Filters(strip=("temperature",), set={"n": 1}, set_by_name=by_name))
    async with routing(tmp_path, far) as it:
        await it.ask("far/cloud", temperature=1)
        assert json.loads(it.far_body) == {"model": "cloud", "n": 1, "seed": 7}


async def test_a_filter_holds_whatever_the_body_is_called(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.5, different on purpose: there, a JSON body that is not called `application/json` is not filtered, and has no
    model either. Here the body is read, not its label: a filter that sets a limit cannot be got round by a header."""
    async with routing(tmp_path, small={"filters": FILTERS}) as it, it.scene.network.client(PROXY_PORT) as client:
        body = b'{"model":"small","temperature":1}'
        await client.post(CHAT, content=body, headers={"content-type": "application/x-www-form-urlencoded"})
        assert "temperature" not in json.loads(it.sent)


async def test_a_body_that_is_no_object_is_the_clients_mistake(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.5, different on purpose: 400 and what is wrong, not 500."""
    async with routing(tmp_path, small={"filters": FILTERS}) as it, it.scene.network.client(PROXY_PORT) as client:
        assert (await client.post(CHAT, content=b"[]")).status_code == 400


async def test_what_no_filter_names_keeps_its_bytes(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.5, and W18: only what a change leads through is read."""
    async with routing(tmp_path, small={"filters": Filters(strip=("temperature",))}) as it:
        async with it.scene.network.client(PROXY_PORT) as client:
            await client.post(CHAT, content=b'{"z": 1E400, "model": "small", "temperature": 0, "a": [ 1.10 ]}')
        assert it.sent == b'{"z":1E400,"model":"small","a":[ 1.10 ]}'


async def test_a_pin_leads_to_a_model_an_alias_a_variant_a_peer_or_a_selector_or_nowhere(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.10, with 404 for a name that is switched off."""
    parts = (
        peer("far", FAR, "cloud"),
        selector("auto", "pin", "large"),
        profile("p", m="small", a="nick", v="small-high", r="far/cloud", s="auto", large=None, small="large"),
    )
    async with routing(tmp_path, *parts, small={"aliases": ("nick",), "filters": FILTERS}) as it:
        assert await it.ask("m") == "model_not_found"
        await it.client.put("/api/profiles/active", json={"name": "p"})
        led = {name: await it.ask(name) for name in ("m", "a", "v", "r", "s", "large")}
        assert led == {"m": "small", "a": "small", "v": "small", "r": "far", "s": "large", "large": "model_not_found"}
        await it.ask("v")
        assert json.loads(it.sent)["effort"] == "high"


async def test_a_pin_may_shadow_a_model_and_pins_do_not_chain(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.10."""
    async with routing(tmp_path, profile("p", small="large", first="small")) as it:
        await it.client.put("/api/profiles/active", json={"name": "p"})
        assert [await it.ask(name) for name in ("small", "first")] == ["large", "small"]


async def test_at_most_one_profile_is_active_and_none_at_the_start(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.10, 3.5."""
    parts = (profile("b", x="small"), profile("a", "Described", y="large", z=None))
    async with routing(tmp_path, *parts) as it:
        assert (await it.client.get("/api/profiles")).json() == {
            "active": None,
            "profiles": [
                {"id": "a", "description": "Described", "pins": {"y": "large", "z": None}},
                {"id": "b", "description": None, "pins": {"x": "small"}},
            ],
        }
        for name in ("a", "b"):
            assert (await it.client.put("/api/profiles/active", json={"name": name})).json() == {"active": name}
        assert await it.ask("y") == "model_not_found"
        assert (await it.client.put("/api/profiles/active", json={"name": ""})).json() == {"active": None}


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"{}", 400), (b'{"name": 1}', 400), (b"[]", 400), (b'{"name": "c"}', 404)]
)
async def test_a_profile_that_is_not_there_or_not_named_is_refused(
    tmp_path: Path, autojump_clock: MockClock, body: bytes, status: int
) -> None:
    """3.5."""
    async with routing(tmp_path, profile("a", x="small")) as it:
        assert (await it.client.put("/api/profiles/active", content=body)).status_code == status


async def test_the_active_profile_survives_a_reload(tmp_path: Path, autojump_clock: MockClock) -> None:
    """1.5 and 2.10, different on purpose: there, every reload goes back to no profile, and clients silently get other
    models. Here it stays as long as the file has it."""
    async with routing(tmp_path, profile("p", x="small")) as it:
        await it.client.put("/api/profiles/active", json={"name": "p"})
        it.scene.proxy.reconfigure(it.scene.proxy.config, frozenset())
        assert await it.ask("x") == "small"
        it.scene.proxy.reconfigure(replace(it.scene.proxy.config, profiles={}), frozenset())
        assert (await it.client.get("/api/profiles")).json() == {"active": None, "profiles": []}
