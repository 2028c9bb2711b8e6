"""Where a TOML text nests deeper than any configuration does, found before it is parsed.

`tomllib` takes time that grows with the square of how many dots a key has, and everybody who walks through what it
gives would need as many frames as there are levels.
"""

from __future__ import annotations

import re
from typing import Final

DEEPEST: Final = 40
"""Brackets within brackets, and parts of one dotted key."""
MOST_LEVELS: Final = 100
"""Of both together."""
_DOTTED: Final = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){41}"""
)
_TOKEN: Final = re.compile(
    r'"{3}(?:[^"\\]|\\.|"(?!""))*+"{3}'
    r"|'{3}(?:[^']|'(?!''))*+'{3}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'|\#[^\n]*+|[\[{\]}]",
    re.DOTALL,
)


def too_deep_at(text: str) -> int | None:
    """Return the offset where `text` nests too deeply; None: nowhere. Linear in the length of the text."""
    dotted = _DOTTED.search(text)
    depth = 0
    for token in _TOKEN.finditer(text):
        if dotted is not None and token.start() < dotted.start() < token.end():
            dotted = _DOTTED.search(text, token.end())  # that one was in a string
        if dotted is not None and token.start() > dotted.start():
            break
        if token[0] in "[{":
            depth += 1
            if depth > DEEPEST:
                return token.start()
        elif token[0] in "]}":
            depth -= 1
    return None if dotted is None else dotted.start()


def levels(value: object) -> int:
    """Return how deep tables and lists in `value` go, up to one more than `MOST_LEVELS`."""
    found, layer = 0, [value]
    while layer and found <= MOST_LEVELS:
        layer = [
            inner
            for each in layer
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        found += 1
    return found
