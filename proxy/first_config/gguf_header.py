"""What a GGUF file says of itself, from its first kilobytes.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The `gguf` package reads a whole vocabulary,
hundreds of thousands of tokens, before it says anything: seconds for each file. A test holds this to what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from struct import Struct
from typing import IO, Final

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = range(2, 4)
"""Version 1 had other lengths, and nothing writes it any more."""
_MOST_KEYS: Final = 100_000
_LONGEST_TEXT: Final = 2**20
_MOST_ITEMS: Final = 2**28
_U32, _U64 = Struct("<I"), Struct("<Q")
_STRING, _ARRAY = 8, 9
_NUMBERS: Final = {
    kind: Struct("<" + code)
    for kind, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
_TOKENS: Final = "tokenizer."
"""The keys with the vocabulary; whatever describes the model stands before them in every file that llama.cpp writes."""

Value = str | int | float | bool


class NotGgufError(Exception):
    """A file is not what its name says; the message is a clause that says why."""


def read_header(file: Path) -> Mapping[str, Value]:
    """Return the texts and numbers that describe the model, by key. Lists are left out, and so is the vocabulary.

    Raises:
        NotGgufError: it is not a GGUF file, or not a whole one.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        if opened.read(4) != _MAGIC:
            raise NotGgufError("does not begin as a GGUF file does")
        version = _number(opened, _U32)
        if version not in _VERSIONS:
            raise NotGgufError(f"is of version {version:g}, and 2 and 3 are known")
        _number(opened, _U64)  # tensors
        count = _number(opened, _U64)
        if count > _MOST_KEYS:
            raise NotGgufError(f"says that it has {count:g} keys")
        found: dict[str, Value] = {}
        for _ in range(int(count)):
            key = _text(opened)
            if key.startswith(_TOKENS) and "general.architecture" in found:
                break
            value = _value(opened, int(_number(opened, _U32)))
            if value is not None:
                found[key] = value
        return found


def _value(opened: IO[bytes], kind: int) -> Value | None:
    if kind == _STRING:
        return _text(opened)
    if kind == _ARRAY:
        _skip_list(opened)
        return None
    if kind not in _NUMBERS:
        raise NotGgufError(f"has a value of the unknown kind {kind}")
    return _number(opened, _NUMBERS[kind])


def _skip_list(opened: IO[bytes]) -> None:
    kind, count = int(_number(opened, _U32)), int(_number(opened, _U64))
    if count > _MOST_ITEMS or kind == _ARRAY:
        raise NotGgufError("has a list that cannot be")
    if kind in _NUMBERS:
        opened.seek(count * _NUMBERS[kind].size, 1)
        return
    for _ in range(count):
        opened.seek(int(_number(opened, _U64)), 1)


def _number(opened: IO[bytes], form: Struct) -> int | float | bool:
    found = opened.read(form.size)
    if len(found) < form.size:
        raise NotGgufError("ends in its header: it is not a whole file")
    value: int | float | bool = form.unpack(found)[0]
    return value


def _text(opened: IO[bytes]) -> str:
    length = int(_number(opened, _U64))
    if length > _LONGEST_TEXT:
        raise NotGgufError("has a text that cannot be")
    found = opened.read(length)
    if len(found) < length:
        raise NotGgufError("ends in its header: it is not a whole file")
    return found.decode("utf-8", "replace")
