"""A configuration as TOML for people: tables in a good order, a line about each, commands over several lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import tomli_w

from .building import texts_in
from .mistakes import printable

_ABOUT: Final = {
    "server": "Where and how the proxy itself answers.",
    "scheduler": "How waiting requests are ranked.",
    "macros": "${NAME} in any string of this file.",
    "defaults": "What holds for every model that does not say otherwise.",
    "models": "One server each. priority, unload_delay, min_loaded and max_wait say when it may be swapped.",
    "groups": "Which models leave for which.",
    "matrix": "Sets of models that may be there together.",
    "selectors": "Names that stand for one of several models.",
    "profiles": "Names that lead elsewhere while a profile is active.",
    "peers": "Other proxies and providers.",
    "hooks": "What to do first.",
}


def toml_text(written: Mapping[str, object], origins: Sequence[str], left_out: Sequence[str]) -> str:
    """Return the text of a file.

    Args:
        written: what it is to say, in the words of the tables.
        origins: the files that it was made of.
        left_out: what they say and this cannot, a line each.
    """
    lines = [f"# From {', '.join(map(_one_line, origins))}, by `trio-swap import`."]
    if left_out:
        lines += ["#", "# Not carried over:", *(f"#   {_one_line(line)}" for line in left_out)]
    parts = ["\n".join(lines) + "\n"]
    order = [*_ABOUT, *(key for key in written if key not in _ABOUT)]
    for key in order:
        value = written.get(key)
        if value not in (None, {}, []):
            parts.append(f"# {_ABOUT.get(key, key)}\n{_toml({key: value})}")
    return "\n".join(parts)


def _toml(table: Mapping[str, object]) -> str:
    # In a string over several lines a carriage return would be a line's end, and lost.
    return tomli_w.dumps(table, multiline_strings=not any("\r" in text for text in texts_in(table)))


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
