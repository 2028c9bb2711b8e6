"""How a journal is written: a line of JSON for every event, with what the core said to it.

    {"journal": "trio-swap", "version": 1, ..., "settings": {...}, "records": {...}}
    {"at": 12.5, "event": {"TicketServed": {"ticket": 7}}, "effects": [{"StopServer": {...}}, ...]}

An opening is the first line of every file, and follows wherever something is missing: all that there is to know of the
core at that moment, so that nothing before it is needed. Names are those of `states.events` and `states.effects`. Times
are seconds on the core's clock and lose no digit; an infinite one is a text, `"inf"`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Final, NamedTuple, cast, get_args

import msgspec

from states.checkpoint import Checkpoint, Records
from states.effects import Effect
from states.events import AskerId, Event, SettingsChanged
from states.matrix import Either, Expression, Matrix, Member, Reference, Together
from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy

VERSION: Final = 1
"""Of the format; a reader knows one."""
_NAME: Final = "trio-swap"
_OPENING: Final = b'{"journal":'


class NotationError(ValueError):
    """A line is not one of a journal: why, as a clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The state from which what follows goes on."""

    program: str
    """The version of trio-swap that wrote it."""
    run: float
    """Which proxy: when it was started, seconds since 1970."""
    part: int
    """The number of the file in its run, from 0."""
    at: float
    """On the core's clock."""
    time: float
    """The same moment, seconds since 1970."""
    missed: int
    """Events that happened before this and were not written down."""
    checkpoint: Checkpoint


class Entry(NamedTuple):
    """One event. A tuple: one is made for each of them, by whoever causes it."""

    at: float
    event: Event
    effects: Sequence[Effect]
    broke: str | None = None
    """What the core said when it broke of the event: a bug of ours. There are no effects then."""


Line = Opening | Entry


# Writing


def opening_line(opening: Opening) -> bytes:
    """Return an opening as a line, with its end."""
    return _encoded(
        {
            "journal": _NAME,
            "version": VERSION,
            "program": opening.program,
            "run": opening.run,
            "part": opening.part,
            "at": opening.at,
            "time": opening.time,
            "missed": opening.missed,
            "settings": opening.checkpoint.settings,
            "records": _without_infinity(msgspec.to_builtins(opening.checkpoint.records)),
        }
    )


def entry_line(entry: Entry) -> bytes:
    """Return an event as a line, with its end."""
    event: object = entry.event
    if isinstance(entry.event, SettingsChanged):
        changed = entry.event
        # A set has no order of its own, and the same run is to give the same journal.
        event = {"asker": changed.asker, "settings": changed.settings, "restart": sorted(changed.restart)}
    line: dict[str, object] = {"at": entry.at, "event": {type(entry.event).__name__: event}}
    if entry.broke is None:
        line["effects"] = [{type(effect).__name__: effect} for effect in entry.effects]
    else:
        line["broke"] = entry.broke
    return _encoded(line)


def _encoded(line: object) -> bytes:
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:
        # A path that is no text may be in a message: half characters become question marks, in event and effects alike.
        return json.dumps(msgspec.to_builtins(line), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _without_infinity(value: object) -> object:
    match value:
        case float() if isinf(value):
            return str(value)
        case dict():
            return {key: _without_infinity(each) for key, each in value.items()}
        case list() | tuple():
            return [_without_infinity(each) for each in value]
    return value


# Reading


class _OpeningLine(msgspec.Struct):
    version: int
    program: str
    run: float
    part: int
    at: float
    time: float
    missed: int
    settings: msgspec.Raw
    records: msgspec.Raw


class _EntryLine(msgspec.Struct):
    at: float
    event: dict[str, msgspec.Raw]
    effects: list[dict[str, msgspec.Raw]] = []
    broke: str | None = None


class _Version(msgspec.Struct):
    journal: str
    version: int


class _SettingsLine(msgspec.Struct):
    models: dict[ModelId, ModelSettings]
    groups: dict[str, GroupSettings]
    matrix: _MatrixLine | None
    strategy: Strategy


class _MatrixLine(msgspec.Struct):
    sets: dict[str, object]
    costs: dict[ModelId, int]


class _ChangeLine(msgspec.Struct):
    asker: AskerId
    settings: msgspec.Raw
    restart: frozenset[ModelId]


def read_line(line: bytes) -> Line:
    """Read one line.

    Raises:
        NotationError: it is not one, or one of another version.
    """
    try:
        return _opening(line) if line.startswith(_OPENING) else _entry(line)
    except msgspec.ValidationError as error:
        raise NotationError(f"this is not what a journal says: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotationError(f"this is not a line of JSON: {error}") from error


def _opening(line: bytes) -> Opening:
    version = msgspec.json.decode(line, type=_Version)
    if version.journal != _NAME or version.version != VERSION:
        raise NotationError(
            f"this is version {version.version} of the journal of {version.journal}, and version {VERSION} of that of "
            f"{_NAME} is read here: use the trio-swap that wrote it"
        )
    found = msgspec.json.decode(line, type=_OpeningLine)
    # Not strictly: infinity is a text.
    records = msgspec.json.decode(found.records, type=Records, strict=False)
    return Opening(
        program=found.program,
        run=found.run,
        part=found.part,
        at=found.at,
        time=found.time,
        missed=found.missed,
        checkpoint=Checkpoint(settings=_settings(found.settings), records=records),
    )


def _entry(line: bytes) -> Entry:
    found = msgspec.json.decode(line, type=_EntryLine)
    event = _named(found.event, _EVENTS, "event")
    effects = tuple(_named(each, _EFFECTS, "effect") for each in found.effects)
    return Entry(found.at, cast(Event, event), cast(tuple[Effect, ...], effects), found.broke)


_Reader = Callable[[msgspec.Raw], object]


def _named(found: Mapping[str, msgspec.Raw], readers: Mapping[str, _Reader], what: str) -> object:
    if len(found) != 1:
        raise NotationError(f"an {what} has one name, not {len(found)}")
    [(name, content)] = found.items()
    if name not in readers:
        raise NotationError(f"there is no {what} {name!r}")
    return readers[name](content)


def _changed(content: msgspec.Raw) -> SettingsChanged:
    found = msgspec.json.decode(content, type=_ChangeLine)
    return SettingsChanged(asker=found.asker, settings=_settings(found.settings), restart=found.restart)


def _settings(content: msgspec.Raw) -> Settings:
    found = msgspec.json.decode(content, type=_SettingsLine)
    matrix = None
    if found.matrix is not None:
        sets = {name: _expression(each) for name, each in found.matrix.sets.items()}
        matrix = Matrix(sets=sets, costs=found.matrix.costs)
    return Settings(models=found.models, groups=found.groups, matrix=matrix, strategy=found.strategy)


def _expression(found: object) -> Expression:
    match found:
        case {"model": str(model)}:
            return Member(ModelId(model))
        case {"name": str(name)}:
            return Reference(name)
        case {"choices": list(choices)}:
            return Either(tuple(map(_expression, choices)))
        case {"parts": list(parts)}:
            return Together(tuple(map(_expression, parts)))
    raise NotationError("a set of the matrix is not one")


def _reader(kind: type) -> _Reader:
    return msgspec.json.Decoder(kind).decode


_EVENTS: Final = {kind.__name__: _changed if kind is SettingsChanged else _reader(kind) for kind in get_args(Event)}
_EFFECTS: Final = {kind.__name__: _reader(kind) for kind in get_args(Effect)}
