"""Several files as one: tables are merged, lists put one after the other, and nothing is said twice in two ways.

A model, a group, a selector, a profile, a peer, and each part of a matrix is in one file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from .mistakes import Finding, KeyPath
from .written import Written

_ONCE: Final = frozenset({"models", "groups", "selectors", "profiles", "peers", "matrix"})


@dataclass(slots=True)
class Merged:
    """Files, as one."""

    parts: Sequence[Written]
    value: dict[str, object] = field(default_factory=dict)
    clashes: list[tuple[Written, Finding]] = field(default_factory=list)
    """What two files say in two ways, each at its place in the later one."""
    starts: dict[KeyPath, list[tuple[Written, int]]] = field(default_factory=dict)
    """Lists that several files have parts of: whose part begins where."""

    def owner(self, path: KeyPath) -> tuple[Written, KeyPath]:
        """Return the file that says what is at `path`, and the path in it."""
        for depth, part in enumerate(path):
            starts = self.starts.get(path[:depth])
            if starts and isinstance(part, int):
                file, start = next((file, start) for file, start in reversed(starts) if start <= part)
                return file, (*path[:depth], part - start, *path[depth + 1 :])
        best = max(self.parts, key=lambda file: _depth(file.value, path))
        return best, path


def merge(parts: Sequence[Written]) -> Merged:
    """Return the files as one; at least one."""
    merged = Merged(parts=parts)
    if len(parts) == 1:
        merged.value = parts[0].value
        return merged
    for part in parts:
        _merge_table(merged, merged.value, part.value, part, ())
    models = merged.value.get("models")
    for part in parts:
        for model, (priority, _) in () if part.translation is None else part.translation.late.items():
            table = models.get(model) if isinstance(models, dict) else None
            if isinstance(table, dict):
                table.setdefault("priority", priority)
    return merged


def _merge_table(
    merged: Merged, into: dict[str, object], table: dict[str, object], part: Written, path: KeyPath
) -> None:
    for key, value in table.items():
        here: KeyPath = (*path, key)
        there = into.get(key)
        if key not in into:
            into[key] = _copied(value)
            if isinstance(value, list):
                merged.starts[here] = [(part, 0)]
        elif isinstance(there, dict) and isinstance(value, dict):
            if len(here) == 2 and here[0] in _ONCE:  # noqa: PLR2004 - a table in one of those tables
                other = merged.owner(here)[0]
                message = f"is in {other.file} already"
                merged.clashes.append((part, Finding(path=here, message=message, at_key=True)))
            else:
                _merge_table(merged, there, value, part, here)
        elif isinstance(there, list) and isinstance(value, list):
            merged.starts.setdefault(here, []).append((part, len(there)))
            there += value
        elif there != value or type(there) is not type(value):
            message = f"{merged.owner(here)[0].file} says something else"
            merged.clashes.append((part, Finding(path=here, message=message)))


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, list) else value


def _depth(value: object, path: KeyPath) -> int:
    return sum(1 for _ in _down(value, path))


def _down(value: object, path: KeyPath) -> Iterator[object]:
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return
        yield value
