"""What the demo model understands and what it says: OpenAI's chat completions and completions, as values."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

_SHORTENED_TO: Final = 120
_Object = dict[str, Any]


class BadRequestError(Exception):
    """A request that cannot be answered."""

    def __init__(self, status: HTTPStatus, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self._param = param

    def content(self) -> _Object:
        """Return the body of the error in OpenAI's shape."""
        is_ours = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        kind = "unavailable_error" if is_ours else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self._param, "code": self.status.value}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A completion that was asked for."""

    is_chat: bool
    stream: bool
    include_usage: bool
    max_tokens: int | None
    prompt: str
    """What the answer repeats: the last message, shortened."""
    prompt_tokens: int


def parse_ask(body: bytes, *, is_chat: bool) -> Ask:
    """Read a request's body.

    Raises:
        BadRequestError: It is not what the API describes.
    """
    try:
        content = json.loads(body)
    except ValueError as error:
        raise _bad(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise _bad("the body is not a JSON object")
    prompt = _last_message(content) if is_chat else _prompt(content)
    options = content.get("stream_options")
    return Ask(
        is_chat=is_chat,
        stream=content.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        max_tokens=_max_tokens(content),
        prompt=prompt if len(prompt) <= _SHORTENED_TO else f"{prompt[:_SHORTENED_TO]}…",
        prompt_tokens=len(prompt.split()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The objects that make up one answer."""

    name: str
    ask: Ask
    number: int
    finish_reason: str
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, tokens: list[str]) -> _Object:
        """Return the answer that is not streamed."""
        text = "".join(tokens)
        said = {"message": {"role": "assistant", "content": text}} if self.ask.is_chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": self.finish_reason}
        kind = "chat.completion" if self.ask.is_chat else "text_completion"
        return {**self._envelope(kind), "choices": [choice], "usage": self._usage(len(tokens))}

    def first_events(self) -> list[_Object]:
        """Return what a stream begins with."""
        return [self._chunk({"role": "assistant", "content": ""}, None)] if self.ask.is_chat else []

    def token_event(self, token: str) -> _Object:
        """Return the event of one token."""
        return self._chunk({"content": token} if self.ask.is_chat else {"text": token}, None)

    def last_events(self, tokens: int) -> list[_Object]:
        """Return what a stream of so many tokens ends with."""
        end = self._chunk({} if self.ask.is_chat else {"text": ""}, self.finish_reason)
        usage = {**self._envelope(self._chunk_kind()), "choices": [], "usage": self._usage(tokens)}
        return [end, usage] if self.ask.include_usage else [end]

    def _chunk(self, said: _Object, finish_reason: str | None) -> _Object:
        choice = {"index": 0, **({"delta": said} if self.ask.is_chat else said)}
        choice |= {"logprobs": None, "finish_reason": finish_reason}
        return {**self._envelope(self._chunk_kind()), "choices": [choice]}

    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.ask.is_chat else "text_completion"

    def _envelope(self, kind: str) -> _Object:
        prefix = "chatcmpl" if self.ask.is_chat else "cmpl"
        return {"id": f"{prefix}-{self.number}", "object": kind, "created": self.created, "model": self.name}

    def _usage(self, tokens: int) -> _Object:
        total = self.ask.prompt_tokens + tokens
        return {"prompt_tokens": self.ask.prompt_tokens, "completion_tokens": tokens, "total_tokens": total}


def _last_message(content: _Object) -> str:
    messages = content.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise _bad("`messages` must be a list of messages, and not an empty one", "messages")
    of_user = [message for message in messages if message.get("role") == "user"]
    said = (of_user or messages)[-1].get("content") or ""
    if isinstance(said, list):
        parts = (part.get("text") for part in said if isinstance(part, dict))
        said = " ".join(text for text in parts if isinstance(text, str))
    if not isinstance(said, str):
        raise _bad("`content` must be a string or a list of parts", "messages")
    return said


def _prompt(content: _Object) -> str:
    prompt = content.get("prompt")
    if not isinstance(prompt, str):
        raise _bad("`prompt` must be a string", "prompt")
    return prompt


def _max_tokens(content: _Object) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if (limit := content.get(name)) is not None:
            if type(limit) is not int or limit < 1:
                raise _bad(f"`{name}` must be a whole number, 1 or more", name)
            return limit
    return None


def _bad(message: str, param: str | None = None) -> BadRequestError:
    return BadRequestError(HTTPStatus.BAD_REQUEST, message, param)
