"""What a client asks for: its key, its body, and the model that the body names. Mistakes are `Problem`s."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterable
from difflib import get_close_matches
from http import HTTPStatus
from typing import Final

import msgspec

from .asgi import Receive, Scope
from .replies import Problem, invalid


class Gone(Exception):  # noqa: N818 - a fact about the client: there is nobody to answer
    """The client has gone."""


class _Asked(msgspec.Struct):
    """What we want to know of a body: the rest of it is the server's business."""

    model: object = msgspec.UNSET


class _Switch(msgspec.Struct):
    """What to do about profiles."""

    name: str | None


_decode: Final = msgspec.json.Decoder(_Asked).decode
_decode_switch: Final = msgspec.json.Decoder(_Switch).decode
_LONGEST_NAME: Final = 200
"""Characters of an unknown name that are looked at, and said again: it may be as long as a body."""
_WITHOUT_VERSION: Final = ("/chat/", "/completions", "/embeddings", "/responses", "/messages", "/models")
"""Where the paths of a client begin whose base URL lacks the /v1."""
_NEAR_BYTES: Final = 12
"""Around the place where a body stops being JSON."""
_HALF_A_CHARACTER: Final = re.compile(rb"\\u[dD](?:[89aAbB]..(?!\\u[dD][c-fC-F])|[c-fC-F]..)")
"""Half of a pair of surrogates, as far as one look tells."""


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
        raise invalid(f"the body is encoded ({coding}); send it as it is, the model's name must be read from it")
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


def name_of(path: str, body: bytes, example: str) -> str:
    """Return the model's name that a body has. Raises Problem, which shows a name that there is."""
    try:
        name = _decode(body).model
    except msgspec.ValidationError as error:
        name = None if "$.model" in str(error) else msgspec.NODEFAULT
    except RecursionError:
        raise invalid("the body is nested too deeply to be read; send it with fewer levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"the body is not JSON: {_why_not_json(body, error)}") from None
    if isinstance(name, str):
        return name
    shown = f'{{"model": "{example}", ...}}'
    if name is msgspec.NODEFAULT:
        raise invalid(f"the body is not a JSON object; send one such as {shown}")
    if name is msgspec.UNSET:
        raise invalid(f"{path} needs a model: name one in the body, such as {shown}", "model")
    raise invalid(f"model is not a string; name one as in {shown}", "model")


def profile_of(body: bytes) -> str | None:
    """Return the profile that a body says to make the active one; None: none is to be. Raises Problem."""
    try:
        return _decode_switch(body).name or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid('send {"name": "PROFILE"}, or {"name": null} for none', "name") from None


def no_model(name: str, names: Iterable[str]) -> Problem:
    """What a client hears whose model there is not, and which of `names` are near."""
    shown = name[:_LONGEST_NAME]
    near = get_close_matches(shown, names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "GET /v1/models lists those that there are"
    message = f"there is no model {shown!r}{'' if shown == name else ' ...'}; {hint}"
    return Problem(status=HTTPStatus.NOT_FOUND, code="model_not_found", message=message, param="model")


def nothing_at(path: str) -> Problem:
    """What a client hears that asks for a path which leads nowhere: most often its base URL is not quite right."""
    message = f"there is nothing at {path[:_LONGEST_NAME]}; models are asked below /v1/, and listed at /v1/models"
    if path.startswith("/v1/v1/"):
        message = (
            f"there is nothing at {path[:_LONGEST_NAME]}: this client adds /v1 itself, leave it out of the base URL"
        )
    elif path.startswith(_WITHOUT_VERSION):
        message = f"there is nothing at {path[:_LONGEST_NAME]}; did you mean /v1{path}? The base URL must end with /v1"
    return Problem(status=HTTPStatus.NOT_FOUND, code="not_found", message=message)


def _why_not_json(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "it is empty"
    if body.startswith(codecs.BOM_UTF8):
        return "it begins with a byte order mark; leave that out"
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:2]:
        return "it is UTF-16; send UTF-8"
    if body.startswith(b"--"):
        return "it is a form (multipart); a model's name is read from JSON only"
    if isinstance(error, UnicodeDecodeError):
        return "a string in it is not UTF-8"
    what = str(error).removeprefix("JSON is malformed: ")
    if ("surrogate" in what or "hex" in what or "truncated" in what) and (half := _HALF_A_CHARACTER.search(body)):
        return f"half a character (a lone surrogate) in a string: {half[0].decode('ascii', 'replace')}"
    if "truncated" in what:
        return "it ends too early"
    if place := re.search(r"\(byte (\d+)\)", what):
        at = int(place[1])
        near = body[max(0, at - _NEAR_BYTES) : at + _NEAR_BYTES].decode(errors="replace")
        what += f", near {near!r}"
    return what


def _too_large(limit_bytes: int) -> Problem:
    return Problem(
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        code="body_too_large",
        message=f"the body is larger than {limit_bytes} bytes (server.max_body)",
    )
