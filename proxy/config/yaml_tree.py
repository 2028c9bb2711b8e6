"""YAML to the values that TOML could have given, with the place of each: from ruamel's events, within bounds.

Written for files of people, a few hundred models at most. What a file says twice by anchors counts twice; an anchor
within itself, a key twice, values within values without end are mistakes with a place. `${env.NAME}` is kept as it is,
also where YAML would take its brackets for its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf, nan
from typing import Final, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from .mistakes import KeyPath

LARGEST_BYTES: Final = 256 * 2**10
MOST_VALUES: Final = 6_000
DEEPEST: Final = 40
_DEEP_FLOW: Final = re.compile(r"(?:[\[{][\s'\"]*){41}")
_ENV: Final = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
_OPEN, _CLOSE = "\ue000\ue001", "\ue002"
"""Stand for `${` and `}` while YAML reads: as long, and nothing that it knows."""
_MERGE: Final = "<<"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_FLAGS: Final = {word: flag for flag in (True, False) for word in (str(flag), str(flag).lower(), str(flag).upper())}
_INTEGER: Final = re.compile(r"[-+]?[0-9][0-9_]{0,300}")
_OCTAL: Final = re.compile(r"[-+]?0[0-7]{1,60}")
"""As in YAML 1.1, which Go reads too."""
_BASED: Final = re.compile(r"0x[0-9a-fA-F]{1,60}|0o[0-7]{1,60}|0b[01]{1,60}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_NO_NUMBERS: Final = {".inf": inf, "-.inf": -inf, ".nan": nan}


class Mark(Protocol):
    """Where something stands in a text, from 0."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Place:
    """Of a key and its value, or of an item."""

    key: Mark
    value: Mark
    end: Mark


@dataclass(slots=True)
class Tree:
    """What a text says."""

    value: object = None
    """Dictionaries, lists, strings, numbers, flags; None: nothing, or null."""
    places: dict[KeyPath, Place] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    """Numbers and flags as they were written."""
    links: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """Keys that a merge brought, and where they are written."""

    unquoted: set[KeyPath] = field(default_factory=set)
    """Texts that ask the environment: with what it says in them they may be numbers or flags."""

    def place(self, path: KeyPath) -> Place | None:
        """Where something is written; None: nowhere."""
        return self.places.get(self._home(path))

    def text(self, path: KeyPath) -> str | None:
        """A number or flag as it was written; None: it is neither."""
        return self.texts.get(self._home(path))

    def is_unquoted(self, path: KeyPath) -> bool:
        """Whether a text asks the environment, and may be something else than a text then."""
        return self._home(path) in self.unquoted

    def _home(self, path: KeyPath) -> KeyPath:
        while path not in self.places:
            length = next((length for length in range(len(path), 0, -1) if path[:length] in self.links), 0)
            if not length:
                break
            path = (*self.links[path[:length]], *path[length:])
        return path


class YamlMistake(Exception):  # noqa: N818 - of who wrote the file
    """A text is no YAML, or more than a configuration can be; lines and columns from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


def read_yaml(text: str) -> Tree:
    """Return what a text says, one document.

    Raises:
        YamlMistake: it cannot be read.
    """
    if deep := _DEEP_FLOW.search(text):
        before = text[: deep.start()]
        raise YamlMistake("nested too deeply", before.count("\n") + 1, len(before) - before.rfind("\n"))
    hidden = _ENV.sub(lambda found: f"{_OPEN}env.{found[1]}{_CLOSE}", text)
    try:
        return _Composer(YAML(typ="safe", pure=True).parse(hidden)).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(error.problem or error.context or "it cannot be read").split())
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise YamlMistake(f"not YAML: {what}", line, column) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise YamlMistake(f"not YAML: {' '.join(str(error).split())[:200]}", 1, 1) from None


class _Composer:
    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._tree = Tree()
        self._anchors: dict[str, list[Event]] = {}
        self._open: list[tuple[str, list[Event]]] = []
        """Anchored values that are being read, and what they were so far."""
        self._values = 0

    def document(self) -> Tree:
        for event in self._events:
            if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
                self._tree.value = self._value(event, self._events, (), None, 0)
                break
        for event in self._events:
            if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
                raise _mistake("a second document: a configuration is one", event)
        return self._tree

    def _next(self, events: Iterator[Event]) -> Event:
        event = next(events)
        for _, recorded in self._open:
            recorded.append(event)
        return event

    def _value(self, event: Event, events: Iterator[Event], path: KeyPath, key: Event | None, depth: int) -> object:
        self._values += 1
        if self._values > MOST_VALUES:
            raise _mistake(f"more than {MOST_VALUES} values, anchors repeated: this is no configuration", event)
        if depth > DEEPEST:
            raise _mistake("nested too deeply", event)
        if isinstance(event, AliasEvent):
            return self._alias(event, path, key, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is None:
            return self._plain(event, events, path, key, depth)
        recorded = [event]
        self._open.append((anchor, recorded))
        value = self._plain(event, events, path, key, depth)
        self._open.pop()
        self._anchors[anchor] = recorded
        return value

    def _alias(self, event: AliasEvent, path: KeyPath, key: Event | None, depth: int) -> object:
        name = str(event.anchor)
        if any(name == opened for opened, _ in self._open):
            raise _mistake(f"*{name} is within &{name}: it would go on for ever", event)
        if name not in self._anchors:
            raise _mistake(f"there is no &{name} before this", event)
        first, *rest = self._anchors[name]
        before = self._open
        self._open = []  # whoever records this has the alias
        value = self._plain(first, iter(rest), path, key, depth)
        self._open = before
        self._tree.places[path] = Place(_start(key or event), _start(event), _end(event))
        return value

    def _plain(self, event: Event, events: Iterator[Event], path: KeyPath, key: Event | None, depth: int) -> object:
        self._tree.places[path] = Place(_start(key or event), _start(event), _end(event))
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, SequenceStartEvent):
            items: list[object] = []
            while not isinstance(inner := self._next(events), SequenceEndEvent):
                items.append(self._value(inner, events, (*path, len(items)), None, depth + 1))
            return items
        return self._mapping(events, path, depth)

    def _mapping(self, events: Iterator[Event], path: KeyPath, depth: int) -> dict[str, object]:
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        while not isinstance(inner := self._next(events), MappingEndEvent):
            if not isinstance(inner, ScalarEvent):
                raise _mistake("a key has to be a name", inner)
            name = _shown(inner.value)
            if name == _MERGE and inner.style is None:
                self._merge(
                    self._value(self._next(events), events, (*path, _MERGE), inner, depth + 1), path, merged, inner
                )
                continue
            if name in own:
                raise _mistake(f"{name} is here a second time", inner)
            own[name] = self._value(self._next(events), events, (*path, name), inner, depth + 1)
        return {**merged, **own}

    def _merge(self, value: object, path: KeyPath, merged: dict[str, object], at: Event) -> None:
        several = value if isinstance(value, list) else [value]
        for number, each in enumerate(several):
            if not isinstance(each, dict):
                raise _mistake("<< takes a mapping, or a list of them", at)
            source: KeyPath = (*path, _MERGE, number) if isinstance(value, list) else (*path, _MERGE)
            for name, inner in each.items():
                if name not in merged:
                    merged[name] = inner
                    self._tree.links[*path, name] = (*source, name)

    def _scalar(self, event: ScalarEvent, path: KeyPath) -> object:
        text = _shown(event.value)
        tag = None if event.tag is None else str(event.tag).rpartition(":")[2]
        if tag == "str" or (event.style is not None and tag is None):
            return text
        if _OPEN in event.value:
            self._tree.unquoted.add(path)
        value = native(text)
        if not isinstance(value, str):
            self._tree.texts[path] = text
        return value


def native(text: str) -> object:
    """Return what a scalar without quotes is in YAML's core schema; underscores between digits as Go takes them."""
    if text in _NULLS:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    return _NO_NUMBERS.get(text.lower().lstrip("+"), text)


def _shown(text: str) -> str:
    return text.replace(_OPEN, "${").replace(_CLOSE, "}")


def _start(event: Event) -> Mark:
    return cast("Mark", event.start_mark)


def _end(event: Event) -> Mark:
    return cast("Mark", event.end_mark)


def _mistake(message: str, event: Event) -> YamlMistake:
    mark = _start(event)
    return YamlMistake(message, mark.line + 1, mark.column + 1)
