"""What the proxy passes on is what the server said: every call has the same result through it as at the server itself.

Both sides are asked the same in the same order, one request at a time on one slot, so that even what a server finds in
its cache is the same.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anthropic
import httpx
import openai
import pytest

from tests.live.packaged_clients import leaves_generators, of_anthropic, of_openai
from tests.live.proxy_process import serve_command, write_config

from .calls import OF_ANTHROPIC, OF_OPENAI, OF_OPENAI_FOR_EMBEDDINGS, QUESTION, Values
from .shelf import CALLER, EMBEDDER, RERANKER, llama_server, real
from .standing import standing

pytestmark = leaves_generators

MADE_UP: Final = frozenset({"id", "item_id", "call_id"})
"""Where these are texts, a server makes them up; the number of a token has the name of an id too."""
CLOCKED: Final = frozenset({"created", "created_at", "completed_at"}) | frozenset(
    f"{what}_{unit}" for what in ("prompt", "predicted") for unit in ("ms", "per_token_ms", "per_second")
)
OF_THE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})
ADDED: Final = frozenset({"date", "x-accel-buffering"})
"""Headers that the proxy adds where the server says nothing."""

MODELS: Final = (CALLER, EMBEDDER, RERANKER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Addresses at which the same is asked."""

    direct: Mapping[str, str]
    """Of the server of each model."""
    proxied: str


@pytest.fixture(scope="module")
def sides(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    folder = tmp_path_factory.mktemp("sides")
    models = "".join(real(shelf, name, "-np", "1") for name in MODELS)
    config = write_config(folder, models, rest=f"[groups.all]\nmembers = {json.dumps(MODELS)}\nswap = false\n")
    with ExitStack() as stack:
        direct = {
            name: stack.enter_context(
                standing(llama_server(shelf, name, "-np", "1", port=0), folder / f"{name}.log"),
            )
            for name in MODELS
        }
        yield Sides(direct=direct, proxied=stack.enter_context(standing(serve_command(config), folder / "proxy.log")))


def settled(values: Values) -> Values:
    """JSON values without what no server says twice, the contents of `MADE_UP` and `CLOCKED`."""
    match values:
        case dict():
            return {key: "…" if _varies(key, value) else settled(value) for key, value in values.items()}
        case list():
            return [settled(each) for each in values]
        case _:
            return values


def _varies(key: str, value: object) -> bool:
    return (key in MADE_UP and isinstance(value, str)) or (key in CLOCKED and isinstance(value, int | float))


@pytest.mark.parametrize("call", OF_OPENAI)
async def test_openais_client_makes_the_same_of_both(
    sides: Sides, call: Callable[[openai.AsyncOpenAI], Awaitable[Values]]
) -> None:
    async with of_openai(sides.direct[CALLER]) as direct, of_openai(sides.proxied) as proxied:
        assert settled(await call(proxied)) == settled(await call(direct))


@pytest.mark.parametrize("call", OF_OPENAI_FOR_EMBEDDINGS)
async def test_openais_client_makes_the_same_embeddings_of_both(
    sides: Sides, call: Callable[[openai.AsyncOpenAI], Awaitable[Values]]
) -> None:
    async with of_openai(sides.direct[EMBEDDER]) as direct, of_openai(sides.proxied) as proxied:
        embedded = await call(proxied)
        assert embedded == await call(direct)
        assert all(isinstance(number, float) for each in embedded["data"] for number in each["embedding"])


@pytest.mark.parametrize("call", OF_ANTHROPIC)
async def test_anthropics_client_makes_the_same_of_both(
    sides: Sides, call: Callable[[anthropic.AsyncAnthropic], Awaitable[Values]]
) -> None:
    async with of_anthropic(sides.direct[CALLER]) as direct, of_anthropic(sides.proxied) as proxied:
        assert settled(await call(proxied)) == settled(await call(direct))


async def test_both_clients_read_our_list_of_models(sides: Sides) -> None:
    async with of_openai(sides.proxied) as client:
        assert [each.id async for each in client.models.list()] == list(MODELS)
        assert (await client.models.retrieve(CALLER)).id == CALLER
    async with of_anthropic(sides.proxied) as client:
        assert [each.id async for each in client.models.list()] == list(MODELS)
        assert (await client.models.retrieve(CALLER)).display_name == CALLER


PLAIN: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "rerank": ("/v1/rerank", {"model": RERANKER, "query": "what?", "documents": ["this", "that", "another"]}),
    "rerank, at the root": (
        "/rerank",
        {"model": RERANKER, "query": "what?", "documents": ["this", "that"], "top_n": 1},
    ),
    "reranking": ("/reranking", {"model": RERANKER, "query": "what?", "documents": ["this", "that"]}),
    "completion": ("/completion", {"model": CALLER, "prompt": "It is", "n_probs": 2, "n_predict": 5}),
    "infill": ("/infill", {"model": CALLER, "input_prefix": "a", "input_suffix": "b", "n_predict": 3}),
    "tokens of a chat": ("/v1/chat/completions/input_tokens", {"model": CALLER, "messages": [QUESTION]}),
}
"""What none of the clients has a call for."""


@pytest.mark.parametrize("asked", PLAIN)
async def test_plain_requests_have_the_same_answers_from_both(sides: Sides, asked: str) -> None:
    path, body = PLAIN[asked]
    direct, proxied = await ask_both(sides, path, body)
    assert proxied.status_code == direct.status_code == httpx.codes.OK
    assert settled(proxied.json()) == settled(direct.json())


UNSOUND: Final = {"type": "json_schema", "json_schema": {"name": "form", "schema": {"type": "no such type"}}}
REFUSED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "more than fits": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "much " * 5000}]}),
    "a parameter of the wrong type": ("/v1/chat/completions", {"messages": [QUESTION], "temperature": "hot"}),
    "no messages": ("/v1/chat/completions", {}),
    "a schema that is none": ("/v1/chat/completions", {"messages": [QUESTION], "response_format": UNSOUND}),
    "a role that there is not": ("/v1/chat/completions", {"messages": [{"role": 1}]}),
    "no prompt": ("/v1/completions", {}),
    "embeddings of a chat model": ("/v1/embeddings", {"input": "text"}),
    "a ranking by a chat model": ("/v1/rerank", {"query": "what?", "documents": ["this"]}),
    "no messages, in Anthropic's way": ("/v1/messages", {"max_tokens": 5}),
    "a path that there is not": ("/v1/no/such/path", {}),
    "more than fits, as a stream": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "much " * 5000}], "stream": True},
    ),
}


@pytest.mark.parametrize("asked", REFUSED)
async def test_a_servers_refusal_comes_through_as_it_is(sides: Sides, asked: str) -> None:
    path, body = REFUSED[asked]
    direct, proxied = await ask_both(sides, path, {"model": CALLER, **body})
    assert direct.is_error
    assert (proxied.status_code, proxied.content) == (direct.status_code, direct.content)
    assert headers_of(proxied) == headers_of(direct)


async def test_openais_client_raises_the_same_of_both(sides: Sides) -> None:
    problems = []
    for url in (sides.direct[CALLER], sides.proxied):
        async with of_openai(url) as client:
            with pytest.raises(openai.BadRequestError) as refused:
                await client.completions.create(model=CALLER, prompt="much " * 5000)
            problems.append((str(refused.value), refused.value.body))
    assert problems[0] == problems[1]
    assert "exceeds the available context size" in problems[0][0]


async def ask_both(sides: Sides, path: str, body: dict[str, Any]) -> tuple[httpx.Response, httpx.Response]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        direct = await client.post(sides.direct[body["model"]] + path, json=body)
        return direct, await client.post(sides.proxied + path, json=body)


def headers_of(response: httpx.Response) -> set[tuple[str, str]]:
    left_out = OF_THE_CONNECTION | ADDED
    return {(name.lower(), value) for name, value in response.headers.items() if name.lower() not in left_out}
