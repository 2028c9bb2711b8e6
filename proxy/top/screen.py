"""The terminal while it is ours: a screen of its own, keys without Enter, and everything as it was in the end.

Rules: only lines that have changed are sent, because the way may be long; nothing is sent while the terminal takes
nothing, so that a stopped one (Ctrl-S, a slow line) keeps nobody from ending; leaving waits half a second at most.
rich's own `Live` sends every line every time, blocks while it does, and knows nothing of being suspended.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Self

import trio

_ENTER: Final = b"\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The other screen, no cursor, and no folding of lines that turn out wider than we think."""
_LEAVE: Final = b"\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_CLEAR: Final = b"\x1b[2J"
_CHUNK_BYTES: Final = 512
"""A terminal that takes something takes a few hundred bytes; a longer write could block."""
_LAST_WORDS_S: Final = 0.5
_KEYS_BYTES: Final = 256
_UNKNOWN: Final = os.terminal_size((80, 24))
"""What is taken for the size of a terminal that does not know it."""


class TerminalGone(Exception):  # noqa: N818 - there is nobody left to be told of an error
    """The terminal was closed."""


class Screen:
    """A terminal that is borrowed for the length of a `with` block."""

    def __init__(self, keys: int | None, output: int) -> None:
        """Borrow nothing yet.

        Args:
            keys: descriptor of the terminal that keys come from; None: there are none.
            output: descriptor of the terminal that is drawn on.
        """
        self._keys = keys
        self._output = output
        self._is_ours = False
        self._modes: list[Any] = []
        """Of the keys' terminal, as it was."""
        self._shown: list[bytes] = []
        self._size: os.terminal_size | None = None
        """When it was last drawn on; None: what is on it is not known."""

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back as it was."""
        self._give_back()

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines. Raises TerminalGone."""
        try:
            size = os.get_terminal_size(self._output)
        except OSError as error:
            raise TerminalGone from error
        return os.terminal_size((size.columns or _UNKNOWN.columns, size.lines or _UNKNOWN.lines))

    async def show(self, lines: Sequence[str]) -> None:
        """Have these lines on the screen, and nothing else. Raises TerminalGone."""
        size = self.size
        if size != self._size:
            self._size, self._shown = size, []
            await self._send(_CLEAR)
        wanted = [line.encode() for line in lines[: size.lines]]
        wanted += [b""] * (len(self._shown) - len(wanted))
        known = self._shown + [b""] * (len(wanted) - len(self._shown))
        pairs = enumerate(zip(wanted, known, strict=True), 1)
        self._shown = wanted
        # Cleared first: after a line's last column, clearing would take the character that stands in it.
        changed = [b"\x1b[%d;1H\x1b[2K%b" % (place, new) for place, (new, old) in pairs if new != old]
        await self._send(b"".join(changed))

    async def keys(self) -> bytes:
        """Wait for keys, for ever where there are none. Raises TerminalGone."""
        if self._keys is None:
            await trio.sleep_forever()
        await trio.lowlevel.wait_readable(self._keys)
        try:
            pressed = os.read(self._keys, _KEYS_BYTES)
        except OSError as error:
            raise TerminalGone from error
        if not pressed:
            raise TerminalGone
        return pressed

    def suspend(self) -> None:
        """Do what Ctrl-Z does: stop as a job of the shell, the terminal given back, and return when told to go on."""
        was_ours = self._is_ours
        if was_ours:
            self._give_back()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        if was_ours:
            self._take()

    def _take(self) -> None:
        if self._keys is not None:
            self._modes = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys, termios.TCSANOW)
        self._is_ours, self._size = True, None
        with suppress(OSError):  # whoever draws on it is told
            os.write(self._output, _ENTER)

    def _give_back(self) -> None:
        self._is_ours = False
        with suppress(OSError, termios.error):  # it may be gone
            # As Ctrl-Q does: Linux restarts with TCOON only what TCOOFF has stopped, and forgets a Ctrl-S then.
            termios.tcflow(self._output, termios.TCOOFF)
            termios.tcflow(self._output, termios.TCOON)
            if select.select([], [self._output], [], _LAST_WORDS_S)[1]:
                os.write(self._output, _LEAVE)
        if self._keys is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(self._keys, termios.TCSANOW, self._modes)

    async def _send(self, data: bytes) -> None:
        while data:
            await trio.lowlevel.wait_writable(self._output)
            try:
                data = data[os.write(self._output, data[:_CHUNK_BYTES]) :]
            except OSError as error:
                raise TerminalGone from error
