"""Several real models, one at a time: every answer comes whole and from the model that was asked, whoever else asks."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import trio

from tests.live.proxy_process import ask, running_proxy, streaming
from tests.live.test_story import HOLD, story

from .shelf import EMBEDDER, RERANKER, real, said_by

ROUNDS = 20
TOGETHER = ("ann", "ben", "cleo")


def told_in(body: bytes) -> tuple[set[str], str]:
    """The models that the chunks of a streamed chat bear, and what they say together."""
    records = [record.removeprefix("data: ") for record in body.decode().split("\n\n") if record]
    assert records[-1] == "[DONE]"
    chunks = [json.loads(record) for record in records[:-1]]
    said = [choice["delta"].get("content") or "" for each in chunks for choice in each["choices"]]
    return {each["model"] for each in chunks}, "".join(said)


async def test_every_answer_comes_whole_and_from_the_model_that_was_asked(shelf: Path, tmp_path: Path) -> None:
    models = real(shelf, "ann") + real(shelf, "ben")
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        for name in ("ann", "ben", "ann"):
            assert await ask(client, name) == said_by(name)
            async with streaming(client, name) as stream:
                pass
            assert stream.is_whole
            assert told_in(stream.body) == ({name}, said_by(name))
        assert proxy.loads == ["ann", "ben", "ann"]


async def test_three_who_ask_for_three_models_at_one_moment_are_all_served_right_round_after_round(
    shelf: Path, tmp_path: Path
) -> None:
    models = "".join(real(shelf, name) for name in TOGETHER)
    served: list[tuple[set[str], str]] = []

    async def chat(client: httpx.AsyncClient, name: str) -> None:
        async with streaming(client, name) as stream:
            pass
        assert stream.is_whole
        served.append(told_in(stream.body))

    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        for _ in range(ROUNDS):
            async with trio.open_nursery() as nursery:
                for name in TOGETHER:
                    nursery.start_soon(chat, client, name)
        assert len(proxy.loads) <= ROUNDS * len(TOGETHER)
    whole = sorted(({name}, said_by(name)) for name in TOGETHER for _ in range(ROUNDS))
    assert sorted(served, key=str) == sorted(whole, key=str)


async def test_small_models_stay_beside_a_chat_model_that_is_swapped(shelf: Path, tmp_path: Path) -> None:
    """Embeddings and reranking: a retrieval step before every answer swaps nothing."""
    models = "".join(real(shelf, name) for name in (EMBEDDER, RERANKER, "coder", "explorer"))
    members = f'members = ["{EMBEDDER}", "{RERANKER}"]'
    beside = f"[groups.small]\n{members}\nswap = false\nexclusive = false\npersistent = true\n"
    async with running_proxy(tmp_path, models, rest=beside) as proxy, proxy.client() as client:
        for name in ("coder", "explorer", "coder"):
            for _ in range(2):
                question = {"model": EMBEDDER, "input": "what is this about?"}
                embedded = (await client.post("/v1/embeddings", json=question)).raise_for_status().json()
                assert (embedded["model"], len(embedded["data"])) == (EMBEDDER, 1)
                wanted = {"model": RERANKER, "query": "what?", "documents": ["this", "that", "something else"]}
                ranked = (await client.post("/v1/rerank", json=wanted)).raise_for_status().json()
                assert {each["index"] for each in ranked["results"]} == {0, 1, 2}
                assert await ask(client, name) == said_by(name)
        assert proxy.loads == [EMBEDDER, RERANKER, "coder", "explorer", "coder"]


async def test_the_story_makes_four_loads(shelf: Path, tmp_path: Path) -> None:
    """The orchestrator's server starts when everybody has asked: real ones are quicker than the sub-agents."""
    may_start = tmp_path / "may-start"
    models = real(shelf, "orchestrator", after=may_start, priority=1)
    models += real(shelf, "explorer", priority=3, unload_delay=float(HOLD))
    models += real(shelf, "coder", priority=2, unload_delay=float(HOLD))
    async with running_proxy(tmp_path, models) as proxy, proxy.client() as client:
        await story(proxy, client, may_start.touch)
        assert proxy.loads == ["orchestrator", "explorer", "coder", "orchestrator"]
