"""A journal read and played again: the same events into a core of our own, which must say what was said then.

The older files of the same run come first, as far back as they are there. A last line that was cut off, as by a kill,
is left out and told of; any other line that cannot be read ends the reading with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from states import invariants
from states.checkpoint import checkpoint, core_of
from states.core import Core
from states.effects import Effect
from states.errors import CoreError
from states.events import Event, SettingsChanged
from states.residency import policy_of
from states.settings import GroupId, ModelId, Settings
from states.world import World

from .notation import Entry, Line, NotationError, Opening, read_line
from .parts import older_parts


class JournalError(Exception):
    """A journal cannot be read: where, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


class Listener(Protocol):
    """Whoever wants to know what is played."""

    def resume(self, world: World, at: float, missed: int) -> None:
        """Take note of where it begins, or goes on after so many events that are missing."""

    def note(self, core: Core, event: Event, effects: Sequence[Effect], at: float) -> None:
        """Take note of an event, what was done about it, and the core after it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a core of ours says something else than was said then."""

    place: Place
    what: str
    """The event."""
    recorded: tuple[str, ...]
    replayed: tuple[str, ...]


@dataclass(slots=True)
class Replayed:
    """How a replay went."""

    files: list[Path]
    first: Opening
    ended_at: float
    """On the core's clock."""
    events: int = 0
    missed: int = 0
    torn: Place | None = None
    """The last line was cut off there."""
    broke: str | None = None
    """What the core said when it broke, then as now."""
    difference: Difference | None = None
    models: dict[ModelId, None] = field(default_factory=dict)
    """That there were at any time, in order."""
    groups: dict[GroupId, None] = field(default_factory=dict)


def replay(path: Path, listen: Callable[[Opening], Sequence[Listener]] = lambda _: ()) -> Replayed:
    """Play a journal, up to its end or up to the first difference.

    Args:
        path: of its newest file.
        listen: makes whoever wants to know of it, from how it begins.

    Raises:
        JournalError: it cannot be read.
    """
    files = _parts(path)
    reading = _Reading(files)
    lines = iter(reading)
    place, line = next(lines)
    if not isinstance(line, Opening):
        raise JournalError(f"{place}: a journal begins with the state that there is; the beginning of this is missing")
    replayed = Replayed(files, line, line.at)
    _name(replayed, line.checkpoint.settings)
    core = _restored(place, line)
    listeners = listen(line)
    for listener in listeners:
        listener.resume(core.world, line.at, 0)
    for place, line in lines:
        replayed.ended_at = line.at
        if isinstance(line, Opening):
            core = _go_on(place, line, core, replayed, listeners)
        else:
            _play(place, line, core, replayed, listeners)
        if replayed.difference is not None:
            break
    replayed.torn = reading.torn
    return replayed


def _go_on(place: Place, line: Opening, core: Core, replayed: Replayed, listeners: Sequence[Listener]) -> Core:
    if not line.missed:
        # What was written down of the whole core is what ours has come to by itself.
        ours = checkpoint(core.world)
        if ours != line.checkpoint:
            what = "the state at the beginning of a file"
            replayed.difference = Difference(place, what, (repr(line.checkpoint),), (repr(ours),))
        return core
    replayed.missed += line.missed
    _name(replayed, line.checkpoint.settings)
    core = _restored(place, line)
    for listener in listeners:
        listener.resume(core.world, line.at, line.missed)
    return core


def _restored(place: Place, line: Opening) -> Core:
    try:
        core = core_of(line.checkpoint)
        invariants.check(core)
    except (LookupError, CoreError) as error:
        why = str(error).splitlines()[0]
        raise JournalError(f"{place}: the records do not belong together ({why}): was the file edited?") from error
    return core


def _play(place: Place, line: Entry, core: Core, replayed: Replayed, listeners: Sequence[Listener]) -> None:
    replayed.events += 1
    effects: Sequence[Effect] = ()
    broke = None
    try:
        effects = core.handle(line.event, line.at)
    except CoreError as error:
        broke = str(error)
    except LookupError as error:
        why = f"{type(error).__name__}: {error}"
        raise JournalError(
            f"{place}: the scheduler fails at it ({why}); if the file was not edited, report it"
        ) from error
    if (broke, tuple(effects)) != (line.broke, tuple(line.effects)):
        recorded, ours = _told(line.effects, line.broke), _told(effects, broke)
        replayed.difference = Difference(place, repr(line.event), recorded, ours)
        return
    replayed.broke = broke
    if isinstance(line.event, SettingsChanged):
        _name(replayed, line.event.settings)
    for listener in listeners:
        listener.note(core, line.event, effects, line.at)


def _told(effects: Sequence[Effect], broke: str | None) -> tuple[str, ...]:
    return tuple(map(repr, effects)) if broke is None else (f"the scheduler broke: {broke}",)


def _name(replayed: Replayed, settings: Settings) -> None:
    replayed.models |= dict.fromkeys(settings.models)
    replayed.groups |= dict.fromkeys(policy_of(settings).group_of.values())


def _parts(path: Path) -> list[Path]:
    """The files of the run that `path` belongs to, as far as they follow one another, the oldest first."""
    last = _first_line(path)
    parts = [path]
    for older in older_parts(path):
        if not isinstance(last, Opening) or last.part == 0:
            break
        before = _first_line(older)
        if not isinstance(before, Opening) or (before.run, before.part) != (last.run, last.part - 1):
            break
        parts.append(older)
        last = before
    return parts[::-1]


def _first_line(path: Path) -> Line:
    _, line = next(iter(_Reading([path])))
    return line


class _Reading:
    """The lines of several files."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.torn: Place | None = None
        self._files = files

    def __iter__(self) -> Iterator[tuple[Place, Line]]:
        for path in self._files:
            try:
                yield from self._lines(path)
            except OSError as error:
                raise JournalError(f"{path}: {error.strerror}") from error

    def _lines(self, path: Path) -> Iterator[tuple[Place, Line]]:
        number = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                place = Place(path, number)
                if not line.endswith(b"\n") and number > 1:
                    self.torn = place
                    return
                try:
                    yield place, read_line(line)
                except NotationError as error:
                    hint = "is it a journal of `trio-swap serve --journal`?" if number == 1 else _REPAIR
                    raise JournalError(f"{place}: {error}; {hint}") from error
        if number == 0:
            raise JournalError(f"{path}: there is nothing in it: nothing was written down")


_REPAIR = "take this line and what follows away, to play what comes before it"
