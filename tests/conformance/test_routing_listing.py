"""What is listed, against sections 2.6 and 3.4 of llama-swap's behaviour. Docstrings say which, and what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from proxy.config.routing import Capabilities
from tests.proxy.routed import peer, profile, selector

from .routing_stage import FAR, Routing, routing

CAPABLE = Capabilities(inputs=("text", "image"), outputs=("text",), tools=True, context=8192)


async def listed(it: Routing) -> dict[str, dict[str, Any]]:
    content = (await it.client.get("/v1/models")).json()
    assert content["object"] == "list"
    return {entry["id"]: entry for entry in content["data"]}


async def test_models_selectors_and_peers_models_are_listed_qualified(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """3.4; different on purpose: in the file's order, not sorted, so that the first is the one meant to be."""
    parts = (peer("far", FAR, "cloud"), selector("auto", "warm", "small", "large"))
    async with routing(tmp_path, *parts) as it:
        assert list(await listed(it)) == ["small", "large", "both-a", "both-b", "auto", "far/cloud"]


async def test_what_is_unlisted_is_left_out_and_can_be_asked_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    """3.4."""
    parts = (selector("auto", "pin", "small", unlisted=True),)
    async with routing(tmp_path, *parts, large={"unlisted": True}) as it:
        assert not {"large", "auto"} & set(await listed(it))
        assert [await it.ask(name) for name in ("large", "auto")] == ["large", "small"]
        assert (await it.client.get("/v1/models/auto")).json()["id"] == "auto"


async def test_a_model_has_its_metadata_aliases_and_status(tmp_path: Path, autojump_clock: MockClock) -> None:
    """3.4: our own keys win over metadata's; loaded from the start of its server to its end."""
    small = {"metadata": {"type": "mine", "owner": "me"}, "aliases": ("nick",), "name": "Small", "description": "S."}
    async with routing(tmp_path, small=small) as it:
        entry = (await listed(it))["small"]
        assert entry["meta"] == {"llamaswap": {"owner": "me", "aliases": ["nick"], "type": "model"}}
        assert (entry["name"], entry["description"], entry["status"]) == ("Small", "S.", {"value": "unloaded"})
        await it.ask("nick")
        assert (await listed(it))["small"]["status"] == {"value": "loaded"}
        assert (await it.client.get("/v1/models/nick")).json() == (await listed(it))["small"]


async def test_what_a_model_can_do_is_said_in_clients_words(tmp_path: Path, autojump_clock: MockClock) -> None:
    """2.6."""
    metadata = {"architecture": "x", "context_length": 1, "kept": True}
    async with routing(tmp_path, small={"capabilities": CAPABLE, "metadata": metadata}) as it:
        entry = (await listed(it))["small"]
        assert entry["architecture"] == {
            "input_modalities": ["text", "image"],
            "output_modalities": ["text"],
            "modality": "text+image->text",
        }
        assert entry["capabilities"] == {"vision": True, "function_calling": True}
        assert entry["supported_parameters"] == ["tools", "tool_choice"]
        assert entry["context_length"] == 8192
        assert entry["meta"] == {"n_ctx": 8192, "llamaswap": {"kept": True, "type": "model"}}
        assert not {"architecture", "capabilities", "context_length"} & set((await listed(it))["large"])


@pytest.mark.parametrize(
    ("able", "flags"),
    [
        (Capabilities(inputs=("audio",), outputs=("text",)), {"audio_transcriptions"}),
        (Capabilities(inputs=("text",), outputs=("audio",)), {"audio_speech"}),
        (Capabilities(inputs=("text",), outputs=("image",)), {"image_generation"}),
        (Capabilities(inputs=("image",), outputs=("image",)), {"vision", "image_to_image"}),
        (Capabilities(reranker=True), {"reranker"}),
    ],
)
async def test_flags_follow_from_what_goes_in_and_what_comes_out(
    tmp_path: Path, autojump_clock: MockClock, able: Capabilities, flags: set[str]
) -> None:
    """2.6."""
    async with routing(tmp_path, small={"capabilities": able}) as it:
        assert set((await listed(it))["small"]["capabilities"]) == flags


async def test_metadata_keeps_its_keys_where_nothing_is_said_of_capabilities(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """2.6."""
    async with routing(tmp_path, small={"metadata": {"architecture": "x"}}) as it:
        assert (await listed(it))["small"]["meta"]["llamaswap"] == {"architecture": "x", "type": "model"}


@pytest.mark.parametrize(("strategy", "loaded"), [("warm", "loaded"), ("spillover", "loaded"), ("pin", "unloaded")])
async def test_a_selector_says_how_it_picks_and_is_loaded_with_a_target(
    tmp_path: Path, autojump_clock: MockClock, strategy: str, loaded: str
) -> None:
    """3.4: for pin its first target counts alone."""
    chosen = selector("auto", strategy, "both-a", "both-b", spillover=3, metadata={"team": "x"})
    async with routing(tmp_path, chosen) as it:
        assert (await listed(it))["auto"]["status"] == {"value": "unloaded"}
        await it.ask("both-b")
        entry = (await listed(it))["auto"]
        spillover = {"spillover": 3} if strategy == "spillover" else {}
        assert entry["meta"]["llamaswap"] == {
            "team": "x",
            "strategy": strategy,
            "targets": ["both-a", "both-b"],
            **spillover,
            "type": "selector",
        }
        assert entry["status"] == {"value": loaded}


async def test_the_active_profile_lists_what_it_adds(tmp_path: Path, autojump_clock: MockClock) -> None:
    """3.4: a pin that is not switched off and that shadows nothing."""
    async with routing(tmp_path, profile("p", extra="small", off=None, large="small")) as it:
        assert "extra" not in await listed(it)
        await it.client.put("/api/profiles/active", json={"name": "p"})
        entries = await listed(it)
        assert entries["extra"]["meta"]["llamaswap"]["type"] == "profile"
        assert entries["large"]["meta"]["llamaswap"]["type"] == "model"
        assert "off" not in entries


async def test_a_peers_model_says_whose_it_is(tmp_path: Path, autojump_clock: MockClock) -> None:
    """3.4: always unloaded; nobody asks the peer."""
    async with routing(tmp_path, peer("far", FAR, "cloud")) as it:
        entry = (await listed(it))["far/cloud"]
        assert (entry["name"], entry["meta"]["llamaswap"]) == ("far: cloud", {"peerID": "far", "type": "peer"})
        assert entry["status"] == {"value": "unloaded"}
        assert "cloud" not in await listed(it)
        assert (await it.client.get("/v1/models/cloud")).json() == entry
