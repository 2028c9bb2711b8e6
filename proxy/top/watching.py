"""The tasks of `trio-swap top`, or one frame without any.

    signals        end, or suspend
    first answer   or none: then that is all
    the screen is taken
      poll         once a second, however often it fails
      draw         on news, and four times a second: ages go on and holds run down
      keys         q

A signal cancels everything below it, and the terminal is given back on the way out.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from typing import Final, Protocol

import trio

from .frame import Sight, frame
from .layout import Glyphs
from .painting import Painter
from .polling import Look, NoAnswer, Source
from .screen import Screen, TerminalGone

POLL_S: Final = 1.0
REDRAW_S: Final = 0.25
"""A terminal whose size has changed is drawn anew within this time too."""
_FOOTER: Final = "q quits"
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Display(Protocol):
    """What is drawn on: a `Screen`, or what tests look at."""

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines."""

    async def show(self, lines: list[str]) -> None:
        """Have these lines on it, and nothing else."""

    async def keys(self) -> bytes:
        """Wait for keys."""


async def once(source: Source, painter: Painter, glyphs: Glyphs, width: int, height: int | None) -> list[str]:
    """Return the lines of one frame. Raises NoAnswer."""
    sight = Sight(target=str(source.target), look=await source.look())
    return painter.paint(frame(sight, width, height, glyphs))


async def live(source: Source, screen: Screen, painter: Painter, glyphs: Glyphs) -> NoAnswer | None:
    """Watch a proxy until told to end, or until the terminal is closed; return why it could not even begin."""
    failure: NoAnswer | None = None
    with trio.open_signal_receiver(*_ENDING, signal.SIGTSTP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, screen, nursery.cancel_scope)
            try:
                look = await source.look()
            except NoAnswer as no_answer:
                failure = no_answer
            else:
                with screen:
                    await _until_gone(Watch(source, look), screen, painter, glyphs)
            nursery.cancel_scope.cancel()
    return failure


async def _obey(signals: AsyncIterator[int], screen: Screen, everything: trio.CancelScope) -> None:
    async for number in signals:
        if number == signal.SIGTSTP:
            screen.suspend()
        else:
            everything.cancel()


async def _until_gone(watch: Watch, screen: Screen, painter: Painter, glyphs: Glyphs) -> None:
    try:
        await watch.run(screen, painter, glyphs)
    except* TerminalGone:
        pass


class Watch:
    """What a proxy said last, and whether it still says something."""

    def __init__(self, source: Source, look: Look) -> None:
        """`look` is its first answer, of just now."""
        self._source = source
        self._look = look
        self._looked_at = trio.current_time()
        self._trouble = ""
        self._stands_at = self._looked_at
        """When the trouble began: what is shown of the proxy is of then at best."""
        self._news = trio.Event()

    async def run(self, display: Display, painter: Painter, glyphs: Glyphs) -> None:
        """Poll and draw until q is pressed. Raises TerminalGone, in a group."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._poll)
            nursery.start_soon(self._draw, display, painter, glyphs)
            while b"q" not in (await display.keys()).lower():
                pass
            nursery.cancel_scope.cancel()

    async def _poll(self) -> None:
        asked_at = self._looked_at
        while True:
            await trio.sleep_until(asked_at + POLL_S)
            asked_at = trio.current_time()
            try:
                self._look = await self._source.look()
            except NoAnswer as no_answer:
                if not self._trouble:
                    self._stands_at = trio.current_time()
                self._trouble = str(no_answer)
            else:
                self._looked_at, self._trouble = trio.current_time(), ""
            self._news.set()

    async def _draw(self, display: Display, painter: Painter, glyphs: Glyphs) -> None:
        while True:
            self._news = trio.Event()
            width, height = display.size
            await display.show(painter.paint(frame(self._sight(), width, height, glyphs, footer=_FOOTER)))
            with trio.move_on_after(REDRAW_S):
                await self._news.wait()

    def _sight(self) -> Sight:
        now = trio.current_time()
        return Sight(
            target=str(self._source.target),
            look=self._look,
            elapsed_s=(self._stands_at if self._trouble else now) - self._looked_at,
            trouble=self._trouble,
            silent_s=now - self._looked_at,
        )
