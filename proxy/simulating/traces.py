"""A trace: requests that were recorded, or made up, as lines of JSON.

    {"arrival": 0.0, "model": "coder", "service": 3.2}
    {"arrival": 1.5, "model": "explorer", "service": 2, "session": "s1"}
    {"gap": 0.4, "model": "explorer", "service": 1, "session": "s1"}

`arrival` is seconds since the trace began, in any order. In a session each request is sent `gap` seconds after the
answer to the one before it, whenever that comes: its first line has an arrival, every other one a gap. Without
`service`, a request takes as long as its model's usually do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final

import msgspec

from states.clients import Ask, Client, Pause, Script, arrivals
from states.settings import ModelId

_KEYS: Final = ("arrival", "model", "service", "session", "gap")


class TraceError(ValueError):
    """A trace that cannot be played: which line, which key, and what is wrong."""


@dataclass(frozen=True, slots=True)
class _Line:
    ask: Ask
    arrival_s: float | None
    gap_s: float | None


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that was read."""

    alone: tuple[tuple[float, Ask], ...]
    """Requests of no session, by time of arrival."""
    sessions: dict[str, list[_Line]]

    def clients(self) -> list[Client]:
        """Return new clients, for one run."""
        everybody = [Client(name, _session(lines)) for name, lines in self.sessions.items()]
        return [Client("trace", arrivals(self.alone)), *everybody] if self.alone else everybody


def read_trace(path: Path, resolve: Callable[[str], ModelId | None]) -> Trace:
    """Read a trace.

    Args:
        path: of a file with an object in JSON on each line; empty lines do not count.
        resolve: from the name of a model, or an alias, to the model; None: there is none.

    Raises:
        TraceError: the file cannot be read, or is wrong; in words for whoever wrote it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: not a text in UTF-8") from None
    return parse_trace(text.splitlines(), str(path), resolve)


def parse_trace(lines: Iterable[str], name: str, resolve: Callable[[str], ModelId | None]) -> Trace:
    """Read the lines of a trace; see `read_trace`. `name` is what errors call it."""
    alone: list[tuple[float, Ask]] = []
    sessions: dict[str, list[_Line]] = {}
    for place, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        fields = _Fields(text, f"{name}:{place}")
        session = fields.text("session")
        line = fields.line(resolve)
        if session is not None:
            follows = session in sessions
            fields.check("arrival", (line.arrival_s is None) == follows, _only_first(session, follows=follows))
            fields.check("gap", (line.gap_s is not None) == follows, _only_first(session, follows=follows))
            sessions.setdefault(session, []).append(line)
        else:
            fields.check("gap", line.gap_s is None, "only requests of a session follow another")
            fields.check("arrival", line.arrival_s is not None, "missing: seconds since the trace began")
            alone.append((line.arrival_s or 0.0, line.ask))
    if not alone and not sessions:
        raise TraceError(f"{name}: no request in it")
    return Trace(tuple(sorted(alone, key=lambda entry: entry[0])), sessions)


def _only_first(session: str, *, follows: bool) -> str:
    if follows:
        return f"session {session!r} goes on here: expected a gap after the answer before, in seconds, and no arrival"
    return f"session {session!r} begins here: expected an arrival, in seconds since the trace began, and no gap"


class _Fields:
    """The keys of one line."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise TraceError(f"{where}: not JSON: {error}") from None
        if not isinstance(found, dict):
            raise TraceError(f'{where}: expected an object such as {{"arrival": 0, "model": "a"}}')
        self._found: dict[str, object] = found
        for key in found:
            self.check(key, key in _KEYS, f"there is no such key: expected {', '.join(_KEYS)}")

    def check(self, key: str, right: bool, complaint: str) -> None:  # noqa: FBT001 (reads as an assertion)
        if not right:
            raise TraceError(f"{self._where}: {key}: {complaint}")

    def text(self, key: str) -> str | None:
        value = self._found.get(key)
        self.check(key, value is None or isinstance(value, str), "expected a text")
        return value if isinstance(value, str) else None

    def seconds(self, key: str) -> float | None:
        value = self._found.get(key)
        if value is None:
            return None
        right = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0
        self.check(key, right, f"expected seconds, at least 0, not {value!r}")
        return float(value) if isinstance(value, int | float) else None

    def line(self, resolve: Callable[[str], ModelId | None]) -> _Line:
        name = self.text("model")
        self.check("model", name is not None, "missing")
        model = resolve(name or "")
        self.check("model", model is not None, f"the configuration has no model {name!r}")
        ask = Ask(model or ModelId(""), service_s=self.seconds("service"))
        return _Line(ask, self.seconds("arrival"), self.seconds("gap"))


def _session(lines: Iterable[_Line]) -> Script:
    for line in lines:
        yield Pause(line.arrival_s if line.gap_s is None and line.arrival_s is not None else line.gap_s or 0.0)
        yield line.ask
