"""From one file's words to another's: values as Go reads YAML, keys by tables, and where each part comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from .mistakes import Finding, KeyPath
from .placeholders import fill, from_environment, slips
from .yaml_tree import Tree, native

NO_USE: Final = {
    "logTimeFormat": "lines of the log have the time in one format",
    "logToStdout": "the log goes to standard error, with the servers' own words at log_level debug",
    "logRequests": "llama-swap ignores it too",
    "metricsMaxInMemory": "requests are counted, not stored",
    "captureBuffer": "bodies are not stored",
    "store": "requests are counted, not stored",
    "ui": "trio-swap top shows what happens",
    "performance": "the machine is not watched",
    "sendLoadingState": "an answer has nothing in it that the server did not say; GET /api/queue says what is loading",
    "includeAliasesInList": "aliases can be used, and are not listed",
    "upstream": "there is no /upstream",
    "compat": "websockets are not relayed",
    **dict.fromkeys(("keepalive", "tlsHandshake", "expectContinue"), "connect is the limit for all before a request"),
}
UNKNOWN: Final = "unknown to llama-swap and to trio-swap, which ignore it"

Convert = Callable[["Translation", KeyPath, object], object]
"""From a value at a path of the YAML to ours."""
Put = Callable[["Translation", KeyPath, KeyPath, object], None]
"""Puts a key that is more than one value here, below a path of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that is not carried over, or means something else here."""

    path: KeyPath
    """In the YAML."""
    message: str


@dataclass(slots=True)
class Translation:
    """A file of ours, and where each part of it comes from."""

    tree: Tree
    environment: Mapping[str, str]
    value: dict[str, object] = field(default_factory=dict)
    sources: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """From a path in ours to the one in the YAML."""
    notes: list[Note] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """With paths of the YAML."""
    elsewhere: frozenset[str] = frozenset()
    """Names of models in other files."""
    late: dict[str, tuple[object, KeyPath]] = field(default_factory=dict)
    """Priorities of models in other files, each with its path."""

    def put(self, path: KeyPath, value: object, source: KeyPath) -> None:
        """Write a value into our file."""
        table: dict[str, object] = self.value
        for depth, key in enumerate(path[:-1], start=1):
            inner = table.setdefault(str(key), {})
            self.sources.setdefault(path[:depth], source[: len(source) - 1] if source else source)
            if not isinstance(inner, dict):
                return
            table = inner
        table[str(path[-1])] = value
        self.sources[path] = source

    def note(self, path: KeyPath, message: str) -> None:
        """Say what becomes of a key."""
        self.notes.append(Note(path=path, message=message))

    def refuse(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Say what is wrong."""
        self.findings.append(Finding(path=path, message=message, at_key=at_key))

    # Values as Go reads them

    def text(self, path: KeyPath, value: object) -> object:
        """A string; numbers and flags are what was written."""
        if value is None:
            return ""
        written = self.tree.text(path) if isinstance(value, bool | int | float) else None
        return value if written is None else written

    def name(self, path: KeyPath, value: object, *, at_key: bool = False) -> object:
        """A string with what the environment says filled in: names have to be known at once."""
        text = self.text(path, value)
        if not isinstance(text, str) or "${env." not in text:
            return text
        wrong = [each for each in slips(text, (), self.environment) if "${env." in each]
        for each in wrong:
            self.refuse(path, each, at_key=at_key)
        known = from_environment(self.environment, text)
        return text if wrong else re.sub(r"\$\{env\.\w+\}", lambda use: fill(use[0], known), text)

    def key(self, path: KeyPath) -> str:
        """The name at the end of a path, with what the environment says filled in."""
        return str(self.name(path, path[-1], at_key=True))

    def native(self, path: KeyPath, value: object) -> object:
        """A number or a flag where the environment says one without quotes; a text stays a placeholder."""
        if not isinstance(value, str) or not self.tree.is_unquoted(path):
            return value
        known = from_environment(self.environment, value)
        said = native(re.sub(r"\$\{(env\.\w+)\}", lambda use: known.get(use[1], use[0]), value))
        return said if isinstance(said, bool | int | float) else value

    def number(self, path: KeyPath, value: object) -> object:
        """A number, which the environment may say; null is 0."""
        if value is None:
            return 0
        said = self.name(path, value) if isinstance(value, str) else value
        return int(said) if isinstance(said, str) and re.fullmatch(r"-?[0-9]{1,18}", said) else said

    def flag(self, path: KeyPath, value: object) -> object:
        """True or false, in the words of older YAML too; null is false."""
        said = self.name(path, value) if isinstance(value, str) else value
        words = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False, None: False}
        key = said.lower() if isinstance(said, str) else said
        return words.get(key, said) if isinstance(key, str | None) else said

    def texts(self, path: KeyPath, value: object) -> object:
        """A list of strings."""
        if not isinstance(value, list):
            return [] if value is None else value
        return [self.text((*path, index), each) for index, each in enumerate(value)]

    def names(self, path: KeyPath, value: object) -> object:
        """A list of names."""
        if not isinstance(value, list):
            return [] if value is None else value
        return [self.name((*path, index), each) for index, each in enumerate(value)]

    def table(self, path: KeyPath, value: object) -> dict[str, object]:
        """A mapping; anything else is a mistake, null is an empty one."""
        if isinstance(value, dict):
            return value
        if value is not None:
            self.refuse(path, "expected a mapping")
        return {}


@dataclass(frozen=True, slots=True)
class Key:
    """How a key is said in our words."""

    ours: str
    convert: Convert
    nothing: tuple[object, ...] = ()
    """Values that say no more than no value does."""


def put_known(into: Translation, ours: KeyPath, path: KeyPath, table: object, known: Mapping[str, Key | Put]) -> None:
    """Put each key that is known below `ours`, and say what becomes of the others."""
    for name, value in into.table(path, table).items():
        here = (*path, name)
        key = known.get(name)
        if isinstance(key, Key):
            said = key.convert(into, here, value)
            if not any(said == each and type(said) is type(each) for each in key.nothing):
                into.put((*ours, key.ours), said, here)
        elif key is not None:
            key(into, ours, here, value)
        else:
            into.note(here, NO_USE.get(name, UNKNOWN))


def stripped(into: Translation, path: KeyPath, value: object) -> object:
    """A string without blanks around it."""
    text = into.text(path, value)
    return text.strip() if isinstance(text, str) else text


def without_nulls(into: Translation, path: KeyPath, value: object) -> object:
    """A mapping without what is null, which TOML cannot say."""
    return {
        key: sayable(into, (*path, key), inner)
        for key, inner in into.table(path, value).items()
        if _is_said(into, (*path, key), inner)
    }


def sayable(into: Translation, path: KeyPath, value: object) -> object:
    """A value without nulls in it."""
    if isinstance(value, dict):
        return without_nulls(into, path, value)
    if isinstance(value, list):
        items = list(enumerate(value))
        return [sayable(into, (*path, i), each) for i, each in items if _is_said(into, (*path, i), each)]
    return into.native(path, value)


def _is_said(into: Translation, path: KeyPath, value: object) -> bool:
    if value is None:
        into.note(path, "null is left out: TOML cannot say it")
    return value is not None
