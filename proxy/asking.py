"""What a client asks for: its key, its body, and the model that the body names. Mistakes are `Problem`s."""

from __future__ import annotations

import base64
import binascii
from difflib import get_close_matches
from http import HTTPStatus
from typing import Final

import msgspec

from states.settings import ModelId

from .asgi import Receive, Scope
from .config import Config
from .replies import Problem


class Gone(Exception):  # noqa: N818 - a fact about the client: there is nobody to answer
    """The client has gone."""


class _Asked(msgspec.Struct):
    """What we want to know of a body: the rest of it is the server's business."""

    model: object = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(_Asked).decode


def key_of(headers: dict[bytes, bytes]) -> bytes:
    """Return the API key that a client sent, in one of three ways; empty: none."""
    kind, _, value = headers.get(b"authorization", b"").partition(b" ")
    match kind.lower():
        case b"bearer":
            return value.strip()
        case b"basic":
            try:
                return base64.b64decode(value).partition(b":")[2]
            except binascii.Error:
                return b""
        case _:
            return headers.get(b"x-api-key", b"")


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return a request's whole body.

    Raises:
        Problem: it is too large, or encoded.
        Gone: the client went away before it was whole.
    """
    headers = dict(scope["headers"])
    coding = headers.get(b"content-encoding", b"identity").decode("latin-1")
    if coding.lower() != "identity":
        raise _invalid(f"the body is encoded ({coding}); send it as it is, the model's name must be read from it")
    if int(headers.get(b"content-length", 0)) > limit_bytes:
        raise _too_large(limit_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size_bytes += len(parts[-1])
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        if not message.get("more_body", False):
            return b"".join(parts)


def model_of(config: Config, path: str, body: bytes) -> ModelId:
    """Return the model that a body names. Raises Problem."""
    try:
        name = _decode(body).model
    except msgspec.ValidationError:
        raise _invalid("the body is not a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(f"the body is not JSON: {error}") from None
    if name is msgspec.UNSET:
        example = next(iter(config.models))
        raise _invalid(f'{path} needs a model: name one in the body, such as {{"model": "{example}", ...}}', "model")
    if not isinstance(name, str):
        raise _invalid("model is not a string", "model")
    return find_model(config, name)


def find_model(config: Config, name: str) -> ModelId:
    """Return the model that an id or an alias means. Raises Problem: there is none, and which names are near."""
    model = config.resolve(name)
    if model is not None:
        return model
    aliases = (alias for known in config.models.values() for alias in known.aliases)
    near = get_close_matches(name, [*config.models, *aliases], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "GET /v1/models lists those that there are"
    message = f"there is no model {name!r}; {hint}"
    raise Problem(status=HTTPStatus.NOT_FOUND, code="model_not_found", message=message, param="model")


def _invalid(message: str, param: str | None = None) -> Problem:
    return Problem(status=HTTPStatus.BAD_REQUEST, code="invalid_request", message=message, param=param)


def _too_large(limit_bytes: int) -> Problem:
    return Problem(
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        code="body_too_large",
        message=f"the body is larger than {limit_bytes} bytes (server.max_body)",
    )
