"""What programs ask of a model server with the client packages: functions from a client to what it made of the answers.

Every call is greedy or follows the model's one way, so that a server answers twice the same.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import anthropic
import openai
from pydantic import BaseModel

from .shelf import CALLER, CITIES, EMBEDDER

Values: TypeAlias = Any
"""JSON values, as they were parsed."""

QUESTION: Any = {"role": "user", "content": "how is the weather?"}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "function": {"name": "weather", "description": "Of a city.", "parameters": WEATHER}}
FLAT_TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "Of a city.",
    "parameters": WEATHER,
    "strict": None,
}
ANTHROPIC_TOOL: Any = {"name": "weather", "description": "Of a city.", "input_schema": WEATHER}
FORM = {
    "type": "object",
    "properties": {"sky": {"enum": ["blue", "grey"]}, "warm": {"type": "boolean"}},
    "required": ["sky", "warm"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "form", "schema": FORM, "strict": True}}


async def all_of(stream: AsyncIterator[BaseModel]) -> list[Values]:
    """Every chunk or event of a stream, in order."""
    return [_values(each) async for each in stream]


def _values(parsed: BaseModel) -> Values:
    return parsed.model_dump(mode="json")


# OpenAI's


async def chat(client: openai.AsyncOpenAI) -> Values:
    return _values(await client.chat.completions.create(model=CALLER, messages=[QUESTION]))


async def chat_in_a_stream(client: openai.AsyncOpenAI) -> Values:
    return await all_of(await client.chat.completions.create(model=CALLER, messages=[QUESTION], stream=True))


async def chat_in_a_stream_with_usage(client: openai.AsyncOpenAI) -> Values:
    options: Any = {"include_usage": True}
    return await all_of(
        await client.chat.completions.create(model=CALLER, messages=[QUESTION], stream=True, stream_options=options)
    )


async def chat_with_log_probabilities(client: openai.AsyncOpenAI) -> Values:
    return _values(
        await client.chat.completions.create(model=CALLER, messages=[QUESTION], logprobs=True, top_logprobs=3)
    )


async def two_tools_at_once_and_their_results(client: openai.AsyncOpenAI) -> Values:
    messages: list[Any] = [QUESTION]
    asked = await client.chat.completions.create(
        model=CALLER, messages=messages, tools=[TOOL], parallel_tool_calls=True
    )
    calls: list[Any] = list(asked.choices[0].message.tool_calls or ())
    assert [json.loads(each.function.arguments) for each in calls] == [{"city": city} for city in CITIES]
    messages.append(asked.choices[0].message.model_dump(exclude_none=True))
    messages += [{"role": "tool", "tool_call_id": each.id, "content": "fine"} for each in calls]
    told = await client.chat.completions.create(model=CALLER, messages=messages, tools=[TOOL])
    return [_values(asked), _values(told)]


async def tools_in_a_stream(client: openai.AsyncOpenAI) -> Values:
    return await all_of(
        await client.chat.completions.create(model=CALLER, messages=[QUESTION], tools=[TOOL], stream=True)
    )


async def an_answer_in_a_form(client: openai.AsyncOpenAI) -> Values:
    filled = await client.chat.completions.create(
        model=CALLER, messages=[QUESTION], response_format=FORMAT, temperature=0, max_tokens=200
    )
    assert set(json.loads(filled.choices[0].message.content or "")) == {"sky", "warm"}
    return _values(filled)


async def completion(client: openai.AsyncOpenAI) -> Values:
    return _values(await client.completions.create(model=CALLER, prompt="It is", logprobs=2, max_tokens=8))


async def completion_in_a_stream(client: openai.AsyncOpenAI) -> Values:
    return await all_of(await client.completions.create(model=CALLER, prompt="It is", max_tokens=8, stream=True))


async def response(client: openai.AsyncOpenAI) -> Values:
    return _values(await client.responses.create(model=CALLER, input="how is the weather?"))


async def response_in_a_stream(client: openai.AsyncOpenAI) -> Values:
    return await all_of(await client.responses.create(model=CALLER, input="how is the weather?", stream=True))


async def response_with_tools(client: openai.AsyncOpenAI) -> Values:
    given: list[Any] = [QUESTION]
    asked = await client.responses.create(model=CALLER, input=given, tools=[FLAT_TOOL])
    calls: list[Any] = [each for each in asked.output if each.type == "function_call"]
    assert [json.loads(each.arguments) for each in calls] == [{"city": city} for city in CITIES]
    given += [each.model_dump(exclude_none=True) for each in calls]
    given += [{"type": "function_call_output", "call_id": each.call_id, "output": "fine"} for each in calls]
    told = await client.responses.create(model=CALLER, input=given, tools=[FLAT_TOOL])
    return [_values(asked), _values(told)]


async def tokens_of_a_response(client: openai.AsyncOpenAI) -> Values:
    return _values(await client.responses.input_tokens.count(model=CALLER, input="how is the weather?"))


async def embeddings(client: openai.AsyncOpenAI) -> Values:
    """In base64 on the wire, numbers for the caller."""
    return _values(await client.embeddings.create(model=EMBEDDER, input=["one text", "another"]))


async def embeddings_as_numbers(client: openai.AsyncOpenAI) -> Values:
    return _values(await client.embeddings.create(model=EMBEDDER, input="one text", encoding_format="float"))


OF_OPENAI: tuple[Callable[[openai.AsyncOpenAI], Awaitable[Values]], ...] = (
    chat,
    chat_in_a_stream,
    chat_in_a_stream_with_usage,
    chat_with_log_probabilities,
    two_tools_at_once_and_their_results,
    tools_in_a_stream,
    an_answer_in_a_form,
    completion,
    completion_in_a_stream,
    response,
    response_in_a_stream,
    response_with_tools,
    tokens_of_a_response,
)
OF_OPENAI_FOR_EMBEDDINGS: tuple[Callable[[openai.AsyncOpenAI], Awaitable[Values]], ...] = (
    embeddings,
    embeddings_as_numbers,
)


# Anthropic's


async def message(client: anthropic.AsyncAnthropic) -> Values:
    return _values(await client.messages.create(model=CALLER, max_tokens=50, messages=[QUESTION]))


async def message_in_a_stream(client: anthropic.AsyncAnthropic) -> Values:
    return await all_of(await client.messages.create(model=CALLER, max_tokens=50, messages=[QUESTION], stream=True))


async def message_put_together_from_a_stream(client: anthropic.AsyncAnthropic) -> Values:
    async with client.messages.stream(
        model=CALLER, max_tokens=50, messages=[QUESTION], tools=[ANTHROPIC_TOOL]
    ) as stream:
        return _values(await stream.get_final_message())


async def message_with_tools_and_their_results(client: anthropic.AsyncAnthropic) -> Values:
    messages: list[Any] = [QUESTION]
    asked = await client.messages.create(model=CALLER, max_tokens=50, messages=messages, tools=[ANTHROPIC_TOOL])
    calls: list[Any] = [each for each in asked.content if each.type == "tool_use"]
    assert [each.input for each in calls] == [{"city": city} for city in CITIES]
    messages.append({"role": "assistant", "content": [each.model_dump(exclude_none=True) for each in asked.content]})
    results = [{"type": "tool_result", "tool_use_id": each.id, "content": "fine"} for each in calls]
    messages.append({"role": "user", "content": results})
    told = await client.messages.create(model=CALLER, max_tokens=50, messages=messages, tools=[ANTHROPIC_TOOL])
    return [_values(asked), _values(told)]


async def tokens_of_a_message(client: anthropic.AsyncAnthropic) -> Values:
    return _values(await client.messages.count_tokens(model=CALLER, messages=[QUESTION]))


OF_ANTHROPIC: tuple[Callable[[anthropic.AsyncAnthropic], Awaitable[Values]], ...] = (
    message,
    message_in_a_stream,
    message_put_together_from_a_stream,
    message_with_tools_and_their_results,
    tokens_of_a_message,
)
