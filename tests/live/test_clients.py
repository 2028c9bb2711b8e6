"""The clients that people really use, on Trio, against a whole proxy: what they make of answers, lists and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
import trio

from .packaged_clients import leaves_generators, of_anthropic, of_openai
from .played_server import EVENTS, LAST_CHUNK, answer, chunk, open_stage
from .proxy_process import demo, meanwhile, running_proxy, until_waiting

if TYPE_CHECKING:
    from anthropic.types import MessageParam
    from openai.types.chat import ChatCompletionUserMessageParam

pytestmark = leaves_generators

HELLO: ChatCompletionUserMessageParam = {"role": "user", "content": "hello there"}
HI: MessageParam = {"role": "user", "content": "hi"}
MESSAGE: dict[str, object] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Good day."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
MESSAGE_EVENTS: list[dict[str, object]] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Good "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "day."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


def event(content: dict[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (str(content["type"]).encode(), json.dumps(content).encode())


async def test_openai_chats_streams_and_lists(tmp_path: Path) -> None:
    models = demo("explorer", tokens=30) + demo("coder", _aliases='["gpt-4o"]', tokens=30)
    async with running_proxy(tmp_path, models) as proxy, of_openai(proxy.url) as client:
        assert [model.id async for model in client.models.list()] == ["explorer", "coder"]
        assert (await client.models.retrieve("gpt-4o")).id == "coder"
        said = await client.chat.completions.create(model="gpt-4o", messages=[HELLO])
        assert said.model == "coder"
        assert "coder speaking: hello there" in (said.choices[0].message.content or "")
        assert said.usage is not None
        assert said.usage.completion_tokens == 30

        stream = await client.chat.completions.create(model="explorer", messages=[HELLO], stream=True)
        pieces = [each.choices[0].delta.content or "" async for each in stream]
        assert "explorer speaking: hello there" in "".join(pieces)
        assert len(pieces) >= 30
        text = await client.completions.create(model="explorer", prompt="hello")
        assert "explorer speaking: hello" in text.choices[0].text
        assert proxy.loads == ["coder", "explorer"]


async def test_openai_understands_every_refusal(tmp_path: Path) -> None:
    models = demo("m", load=600, _load_timeout=0.3) + '[models.gone]\ncmd = "no-such-program-anywhere ${PORT}"\n'
    server = 'api_keys = ["right"]'
    async with running_proxy(tmp_path, models, server=server) as proxy:
        async with of_openai(proxy.url, key="wrong") as client:
            with pytest.raises(openai.AuthenticationError) as refused:
                await client.models.list()
            assert refused.value.code == "unauthorized"
        async with of_openai(proxy.url, key="right") as client:
            expected: list[tuple[str, type[openai.APIStatusError], int, str]] = [
                ("mm", openai.NotFoundError, 404, "model_not_found"),
                ("gone", openai.InternalServerError, 503, "load_failed"),
                ("m", openai.InternalServerError, 504, "load_timeout"),
            ]
            for model, kind, status, code in expected:
                with pytest.raises(kind) as problem:
                    await client.chat.completions.create(model=model, messages=[HELLO])
                assert (problem.value.status_code, problem.value.code) == (status, code)
            with pytest.raises(openai.NotFoundError, match=r"did you mean m\?"):
                await client.models.retrieve("mm")
            with pytest.raises(openai.BadRequestError) as nameless:
                await client.post("/chat/completions", body={"messages": []}, cast_to=object)
            assert nameless.value.param == "model"


async def test_openai_comes_back_when_it_was_told_to(tmp_path: Path) -> None:
    """A full queue says when; the client waits so long and is served."""
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("m", concurrency=1, queue_limit=1)) as proxy,
        proxy.client() as others,
        of_openai(proxy.url, retries=3) as client,
        meanwhile(others, "m", 2),
    ):
        line = await stage.asked()
        await until_waiting(others, 1)

        async def play() -> None:
            await line.send(answer(b"{}"))
            for _ in range(2):
                await (await line.request()).send(answer(b"{}", b"content-type: application/json"))

        async with trio.open_nursery() as nursery:

            async def see(response: Any) -> None:
                if response.status_code == 429:
                    assert int(response.headers["retry-after"]) >= 1
                    nursery.start_soon(play)

            client._client.event_hooks = {"response": [see]}
            said = await client.chat.completions.with_raw_response.create(model="m", messages=[HELLO])
            assert said.retries_taken == 1


async def test_openai_does_not_take_half_a_stream_for_a_whole_one(tmp_path: Path) -> None:
    """R57, W6."""
    models = demo("m", tokens=100_000, tokens_per_second=50, _unload_timeout=0.2)
    async with running_proxy(tmp_path, models) as proxy, of_openai(proxy.url) as client, proxy.client() as operator:
        stream = await client.chat.completions.create(model="m", messages=[HELLO], stream=True)
        assert (await anext(stream)).model == "m"

        async def take_the_rest() -> None:
            async for _ in stream:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(operator.post, "/api/models/unload")
            with pytest.raises(openai.APIError, match="m was unloaded on request"):
                await take_the_rest()
        await stream.close()


async def test_anthropic_asks_streams_counts_and_lists(tmp_path: Path) -> None:
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("claude")) as proxy,
        of_anthropic(proxy.url) as client,
        trio.open_nursery() as nursery,
    ):
        assert [model.id async for model in client.models.list()] == ["claude"]
        assert (await client.models.retrieve("claude")).display_name == "claude"

        async def play() -> None:
            kind = b"content-type: application/json"
            line = await stage.asked()
            await line.send(answer(json.dumps(MESSAGE).encode(), kind))
            await line.request()
            assert line.head.startswith(b"POST /v1/messages HTTP/1.1\r\n")
            await line.send(EVENTS + b"".join(chunk(event(each)) for each in MESSAGE_EVENTS) + LAST_CHUNK)
            await line.request()
            assert line.head.startswith(b"POST /v1/messages/count_tokens HTTP/1.1\r\n")
            await line.send(answer(b'{"input_tokens": 7}', kind))

        nursery.start_soon(play)
        said = await client.messages.create(model="claude", max_tokens=9, messages=[HI])
        assert [block.text for block in said.content if block.type == "text"] == ["Good day."]
        async with client.messages.stream(model="claude", max_tokens=9, messages=[HI]) as stream:
            assert [text async for text in stream.text_stream] == ["Good ", "day."]
        counted = await client.messages.count_tokens(model="claude", messages=[HI])
        assert counted.input_tokens == 7


async def test_anthropic_understands_refusals_of_the_proxy_and_of_a_server(tmp_path: Path) -> None:
    models = demo("m") + '[models.gone]\ncmd = "no-such-program-anywhere ${PORT}"\n'
    server = 'api_keys = ["right"]'
    async with running_proxy(tmp_path, models, server=server) as proxy:
        async with of_anthropic(proxy.url, key="wrong") as client:
            with pytest.raises(anthropic.AuthenticationError, match="the API key is missing or wrong"):
                await client.messages.create(model="m", max_tokens=9, messages=[HI])
        async with of_anthropic(proxy.url, key="right") as client:
            with pytest.raises(anthropic.NotFoundError, match=r"there is no model 'mm'; did you mean m\?"):
                await client.messages.create(model="mm", max_tokens=9, messages=[HI])
            with pytest.raises(anthropic.BadRequestError, match="needs a model") as nameless:
                await client.post("/v1/messages", body={}, cast_to=object)
            assert isinstance(nameless.value.body, dict)
            assert nameless.value.body["type"] == "error"
            with pytest.raises(anthropic.APIStatusError, match="headers are larger than 64 KiB"):
                await client.post(
                    "/v1/messages", body={}, cast_to=object, options={"headers": {"x-large": "x" * 200_000}}
                )
            with pytest.raises(anthropic.InternalServerError, match="was not found on PATH"):
                await client.messages.create(model="gone", max_tokens=9, messages=[HI])
            # A demo model does not speak this protocol: the server's own refusal comes through.
            with pytest.raises(anthropic.NotFoundError, match="there is nothing at /v1/messages"):
                await client.messages.create(model="m", max_tokens=9, messages=[HI])


async def test_anthropic_does_not_take_half_a_stream_for_a_whole_one(tmp_path: Path) -> None:
    """R57, W6."""
    async with (
        open_stage() as stage,
        running_proxy(tmp_path, stage.model("claude")) as proxy,
        of_anthropic(proxy.url) as client,
        trio.open_nursery() as nursery,
    ):

        async def play() -> None:
            line = await stage.asked()
            await line.send(EVENTS + b"".join(chunk(event(each)) for each in MESSAGE_EVENTS[:3]))
            await line.hang_up()

        nursery.start_soon(play)
        async with client.messages.stream(model="claude", max_tokens=9, messages=[HI]) as stream:
            with pytest.raises(anthropic.APIError, match="claude broke off"):
                await stream.get_final_message()
