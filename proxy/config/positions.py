"""Where in a TOML text a key or a value stands. It needs a second parser, so it is imported only for a mistake."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from .mistakes import Finding, KeyPath, Mistake, dotted

_TABLES = ("table", "table_array_element")
_MOST_ITEMS = 1000
"""Of a list, whose places are kept; what is wrong behind them has the place of the list."""


@dataclass(frozen=True, slots=True)
class _Place:
    key: Node
    value: Node


def locate(findings: Iterable[Finding], text: str) -> list[Mistake]:
    """Return each finding with the place of its key or value, or of the nearest table above it.

    Args:
        findings: mistakes with their key paths.
        text: the file, without a byte order mark; it is TOML.
    """
    places = _places(text.encode())
    lines = text.split("\n")
    return [_mistake(finding, places, lines) for finding in findings]


def _mistake(finding: Finding, places: dict[KeyPath, _Place], lines: list[str]) -> Mistake:
    name = dotted(finding.path)
    message = f"{name}: {finding.message}" if name else finding.message
    path = finding.path
    while path and path not in places:
        path = path[:-1]
    if path not in places:
        return Mistake(message=message, line=1, column=1)
    place = places[path]
    node = place.key if finding.at_key or path != finding.path else place.value
    line = lines[node.start_point.row]
    in_bytes = line.encode()
    column = len(in_bytes[: node.start_point.column].decode())
    one_line = node.end_point.row == node.start_point.row
    end = len(in_bytes[: node.end_point.column].decode()) if one_line else len(line)
    return Mistake(
        message=message,
        line=node.start_point.row + 1,
        column=column + 1,
        source=line.rstrip("\r"),
        length=max(1, end - column),
    )


def _places(source: bytes) -> dict[KeyPath, _Place]:
    places: dict[KeyPath, _Place] = {}
    array_indices: dict[KeyPath, int] = {}
    for node in Parser(Language(tree_sitter_toml.language())).parse(source).root_node.named_children:
        if node.type == "pair":
            _add_pair(node, (), places)
        elif node.type in _TABLES and node.named_children:
            path = _add_header(node, places, array_indices)
            for pair in node.named_children[1:]:
                if pair.type == "pair":
                    _add_pair(pair, path, places)
    return places


def _add_header(table: Node, places: dict[KeyPath, _Place], array_indices: dict[KeyPath, int]) -> KeyPath:
    path: KeyPath = ()
    keys = list(_keys(table.named_children[0]))
    for depth, (name, node) in enumerate(keys, start=1):
        path += (name,)
        places.setdefault(path, _Place(node, node))
        if table.type == "table_array_element" and depth == len(keys):
            array_indices[path] = array_indices.get(path, -1) + 1
        if path in array_indices:
            path += (array_indices[path],)
            places.setdefault(path, _Place(node, node))
    return path


def _add_pair(pair: Node, above: KeyPath, places: dict[KeyPath, _Place]) -> None:
    # A list of what is still to do instead of recursion: the depth of a file is not ours to bound.
    todo = [(pair, above)]
    while todo:
        node, path = todo.pop()
        key, *values = node.named_children
        for name, part in _keys(key):
            path += (name,)
            places.setdefault(path, _Place(part, part))
        value = next((each for each in values if each.type != "comment"), key)
        places[path] = _Place(places[path].key, value)
        todo += _inside(value, path, places)


def _inside(value: Node, path: KeyPath, places: dict[KeyPath, _Place]) -> Iterator[tuple[Node, KeyPath]]:
    todo = [(value, path)]
    while todo:
        node, above = todo.pop()
        members = [each for each in node.named_children if each.type != "comment"]
        if node.type == "inline_table":
            yield from ((pair, above) for pair in members if pair.type == "pair")
        elif node.type == "array":
            for index, member in enumerate(members[:_MOST_ITEMS]):
                places[(*above, index)] = _Place(member, member)
                todo.append((member, (*above, index)))


def _keys(key: Node) -> Iterator[tuple[str, Node]]:
    parts: list[Node] = []
    while key.type == "dotted_key":
        key, last = key.named_children[0], key.named_children[-1]
        parts.insert(0, last)
    for part in (key, *parts):
        text = (part.text or b"").decode()
        yield (next(iter(tomllib.loads(f"{text} = 0"))) if part.type == "quoted_key" else text), part
