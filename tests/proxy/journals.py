"""A journal in memory, for the whole proxy in virtual time: without thread and disk, the same lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from proxy.journal.notation import Entry, Opening, entry_line, opening_line
from states.checkpoint import Checkpoint
from states.effects import Effect
from states.errors import CoreError
from states.events import Event

BEGAN: Final = 1_767_225_600.0
"""The moment at which virtual time begins: 2026-01-01 00:00:00 UTC."""


class MemoryJournal:
    """See `proxy.driver.Journal`."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def begin(self, look: Callable[[], Checkpoint], now: float) -> None:
        opening = Opening(program="0", run=0.0, part=0, at=now, time=BEGAN + now, missed=0, checkpoint=look())
        self.lines.append(opening_line(opening))

    def note(self, event: Event, effects: Sequence[Effect], now: float) -> None:
        self.lines.append(entry_line(Entry(now, event, effects)))

    def note_collapse(self, event: Event, error: CoreError, now: float) -> None:
        self.lines.append(entry_line(Entry(now, event, (), str(error))))

    def save(self, path: Path) -> Path:
        path.write_bytes(b"".join(self.lines))
        return path
