"""Which key was meant: slips, other tools' names, keys in the wrong table, ids that need quotes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from .mistakes import Finding, KeyPath, quoted

OTHER_NAMES: Final = {
    "bind": "listen",
    "command": "cmd",
    "concurrency_limit": "concurrency",
    "debounce": "unload_delay",
    "environment": "env",
    "global_ttl": "ttl",
    "health_check_timeout": "load_timeout",
    "host": "listen",
    "idle_timeout": "ttl",
    "keep_alive": "ttl",
    "max_queue": "queue_limit",
    "port": "listen",
    "routing": "scheduler",
    "stop_timeout": "unload_timeout",
    "use": "strategy",
    "working_dir": "cwd",
    "workdir": "cwd",
}
"""What other tools, llama-swap first, and earlier drafts call a key, in snake_case."""


def unknown_key(key: str, known: Collection[str], homes: Mapping[str, str]) -> str:
    """Return the sentence for a `key` that its table does not have.

    Args:
        key: as written.
        known: the keys of the table.
        homes: which table each key of the file belongs to, in words.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").lower()
    name = OTHER_NAMES.get(snake, snake)
    if name in known:
        return f"unknown key: did you mean {name}?"
    if name in homes:
        return f"unknown key here: {name} belongs in {homes[name]}"
    if near := difflib.get_close_matches(snake, known, n=1):
        return f"unknown key: did you mean {near[0]}?"
    if near := difflib.get_close_matches(snake, homes, n=1, cutoff=0.8):
        return f"unknown key here: did you mean {near[0]}? It belongs in {homes[near[0]]}"
    return f"unknown key: known here are {', '.join(sorted(known))}"


def move_unquoted_ids(
    entries: dict[str, object], top: str, known: Collection[str]
) -> Iterator[tuple[Finding, KeyPath, KeyPath]]:
    """Move the entries that a dot in an unquoted id has split, `[models.qwen2.5]`, to where they were meant to be.

    Args:
        entries: what the table `top` holds; changed in place.
        top: `models` or `groups`.
        known: the keys of an entry.

    Yields:
        For each one moved: the finding, the path that was meant, the path that was written.
    """
    for name, entry in list(entries.items()):
        if not isinstance(entry, dict):
            continue
        split = [key for key, value in entry.items() if key not in known and isinstance(value, dict)]
        for key in split:
            below = _down_to_an_entry(entry[key], known)
            if below is None:
                continue
            rest, value = below
            meant = ".".join((name, key, *rest))
            path = (top, name, key, *rest)
            message = f"a dot separates keys, so this is not one name: quote it, [{top}.{quoted(meant)}]"
            entries.setdefault(meant, value)
            yield Finding(path=path, message=message, at_key=True), (top, meant), path
            del entry[key]
        if split and not entry:
            del entries[name]


def _down_to_an_entry(
    value: dict[str, object], known: Collection[str]
) -> tuple[tuple[str, ...], dict[str, object]] | None:
    rest: tuple[str, ...] = ()
    while value and not any(key in known for key in value):
        (key, inner), *others = value.items()
        if others or not isinstance(inner, dict):
            return None
        rest, value = (*rest, key), inner
    return rest, value
