"""Writes a journal beside the proxy, and never in its way: what cannot be written in time is missed, and it says so.

The driver only adds to a list that is bounded. A task takes it every tenth of a second and has a thread write it, so
that a slow disk delays nobody and a quick one costs little. When records were missed (the list was full, the disk is),
an opening follows once there is room: how many are missing, and the state from which replay goes on. No mistake in here
ends the proxy. What was noted in the last tenth of a second is lost when the proxy is killed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import trio

from states.checkpoint import Checkpoint
from states.effects import Effect
from states.errors import CoreError
from states.events import Event

from .notation import Entry, Opening, entry_line, opening_line
from .parts import Parts

_LOG: Final = logging.getLogger("trio_swap.journal")
_PAUSE_S: Final = 0.1
"""Between two writings: a thread is woken at most ten times a second."""
_MOST_PENDING: Final = 10_000
"""Records that may wait for the disk, about 10 MB: more than a second of more than anybody sends."""
_RETRY_S: Final = 10.0
"""After the disk refused."""
_LAST_S: Final = 5.0
"""How long the end of the proxy waits for the disk."""


@dataclass(frozen=True, slots=True)
class _Restart:
    """An opening that is not written yet, and so has no file."""

    at: float
    time: float
    missed: int
    checkpoint: Checkpoint


_Record = Entry | _Restart


class _RefusedError(Exception):
    """The disk took no more than what came before these records."""

    def __init__(self, lost: Sequence[_Record], why: OSError) -> None:
        super().__init__(str(why))
        self.lost: Final = lost


class Recorder:
    """Writes down what the driver notes; see `driver.Journal`."""

    def __init__(self, parts: Parts, *, most_pending: int = _MOST_PENDING, retry_s: float = _RETRY_S) -> None:
        """Write into `parts`.

        Args:
            parts: where to.
            most_pending: so many records may wait for the disk.
            retry_s: so long the disk is left alone after it refused.
        """
        self._parts = parts
        self._most_pending, self._retry_s = most_pending, retry_s
        self._program = version("trio-swap")
        self._run = time.time()
        self._part = 0
        self._look: Callable[[], Checkpoint] | None = None
        self._pending: list[_Record] = []
        self._missed: int | None = None
        """Since the last record that was taken; None: it follows what is written. Else an opening must come first."""
        self._is_full = False
        """The file is: the next one is to begin."""
        self._refused = False
        """The disk did, and is left alone; or we made a mistake, and it is for ever."""
        self._warned = False
        self._wake = trio.Event()
        self._closing = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    # What the driver calls, and none of it waits

    def begin(self, look: Callable[[], Checkpoint], now: float) -> None:
        """Take down what there is before the first event; `look` shows it between any two events."""
        self._look = look
        self._reopen(now)

    def note(self, event: Event, effects: Sequence[Effect], now: float) -> None:
        """Take down an event, and what was to be done."""
        self._take(Entry(now, event, effects))

    def note_collapse(self, event: Event, error: CoreError, now: float) -> None:
        """Take down the event that the core broke of."""
        self._take(Entry(now, event, (), str(error)))

    def _take(self, entry: Entry) -> None:
        if self._missed is not None or len(self._pending) >= self._most_pending:
            self._miss(entry)
            return
        self._pending.append(entry)
        if self._is_full:
            self._is_full = False
            self._reopen(entry.at)
        self._wake.set()

    def _miss(self, entry: Entry) -> None:
        if self._missed is None:
            self._warn("the disk is too slow for it")
        self._missed = 1 + (self._missed or 0)
        if not self._refused and len(self._pending) < self._most_pending // 2:
            self._reopen(entry.at)

    def _reopen(self, now: float) -> None:
        if self._look is not None:
            self._pending.append(_Restart(now, time.time(), self._missed or 0, self._look()))
            self._missed = None
            self._wake.set()

    def _warn(self, why: str) -> None:
        if not self._warned:
            _LOG.warning("the journal %s is not complete: %s", self._parts.path, why)
        self._warned = True

    # What writes

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write while the block runs, and the rest at its end, if the disk takes it within a few seconds."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._live, name="journal")
            try:
                yield
            finally:
                self._scope.deadline = trio.current_time() + _LAST_S
                self._closing.set()
                self._wake.set()

    async def _live(self) -> None:
        with self._scope:
            try:
                await self._keep_writing()
            except Exception:  # noqa: BLE001 - a mistake of ours in writing ends nothing that is served
                self._refused, self._missed = True, 0
                self._pending.clear()
                _LOG.exception("the journal %s ends here, please report this", self._parts.path)
        if self._scope.cancelled_caught:
            _LOG.warning("the end of the journal %s was not written: the disk took too long", self._parts.path)

    async def _keep_writing(self) -> None:
        while self._pending or not self._closing.is_set():
            await self._wake.wait()
            await self._pause(_PAUSE_S)
            await self._write_pending()
        if self._missed is not None:
            self._reopen(trio.current_time())
            await self._write_pending()
        self._parts.close()

    async def _write_pending(self) -> None:
        records, self._pending = self._pending, []
        self._wake = trio.Event()
        try:
            await trio.to_thread.run_sync(self._write, records, abandon_on_cancel=True)
        except _RefusedError as error:
            self._warn(str(error))
            # What was noted meanwhile follows what is lost, and so is of no use either.
            self._missed = _events(error.lost) + _events(self._pending) + (self._missed or 0)
            self._pending.clear()
            self._refused = True
            await self._pause(self._retry_s)
            self._refused = False
            return
        self._is_full = self._parts.is_full
        restarts = [record for record in records if isinstance(record, _Restart)]
        if missed := _events(restarts):
            _LOG.warning("the journal %s goes on: %d records are missing", self._parts.path, missed)
        self._warned = self._warned and not restarts

    async def _pause(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._closing.wait()

    # In a thread

    def _write(self, records: Sequence[_Record]) -> None:
        """Write the records; raises _RefusedError."""
        written, lines = 0, bytearray()
        try:
            for place, record in enumerate(records):
                if isinstance(record, Entry):
                    lines += entry_line(record)
                    continue
                self._parts.write(lines)
                written, lines = place, bytearray()
                if self._parts.is_full:
                    self._parts.rotate()
                    self._part += 1
                lines += opening_line(self._opening(record))
            self._parts.write(lines)
        except OSError as error:
            raise _RefusedError(records[written:], error) from error

    def _opening(self, record: _Restart) -> Opening:
        return Opening(
            program=self._program,
            run=self._run,
            part=self._part,
            at=record.at,
            time=record.time,
            missed=record.missed,
            checkpoint=record.checkpoint,
        )


def _events(records: Sequence[_Record]) -> int:
    """How many events they stand for: an opening for those that were missed before it."""
    return sum(record.missed if isinstance(record, _Restart) else 1 for record in records)
