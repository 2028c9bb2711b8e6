"""The last words of a process: its output, read without ever waiting, kept within bounds."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

KEPT_LINES: Final = 1000
KEPT_CHARACTERS: Final = 64 * 1024
LINE_BYTES: Final = 8 * 1024
"""A longer line is broken here, so that a process that never ends its line stays bounded as well."""
_READ_BYTES: Final = 64 * 1024
_LAST_WORDS_BYTES: Final = 1024 * 1024
"""So much may be read in one go once the process is gone: what a pipe holds, and an end to it if others still write."""


class Output:
    """The last lines that came out of a pipe.

    Args:
        fd: The reading end, owned by this object from now on; set to not block.
        on_line: Told of every line, without its end; must not block or raise.
    """

    def __init__(self, fd: int, on_line: Callable[[str], None] | None = None) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._kept_characters = 0
        self._partial = b""
        self._at_end = False

    def tail(self, n: int = KEPT_LINES) -> list[str]:
        """The last `n` lines, oldest first; a line that is not finished yet counts."""
        lines = [*self._lines, _text(self._partial)] if self._partial else list(self._lines)
        return lines[-n:] if n > 0 else []

    async def drain(self) -> None:
        """Read whatever comes until nobody can write any more: that may be long after the process has ended."""
        while not self._at_end:
            await trio.lowlevel.wait_readable(self._fd)
            self._read_once()

    def drain_now(self) -> None:
        """Read what is there already."""
        for _ in range(_LAST_WORDS_BYTES // _READ_BYTES):
            if self._at_end or not self._read_once():
                break

    def add(self, line: str) -> None:
        """A line from us, among the process' own."""
        self._keep(line)

    def close(self) -> None:
        """Close the pipe. No `drain` may be running."""
        if self._partial:
            self._keep(_text(self._partial))
            self._partial = b""
        self._at_end = True
        os.close(self._fd)

    def _read_once(self) -> bool:
        try:
            chunk = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self._at_end = not chunk
        self._take(chunk)
        return bool(chunk)

    def _take(self, chunk: bytes) -> None:
        *complete, self._partial = (self._partial + chunk).split(b"\n")
        for line in complete:
            self._take_line(line)
        while len(self._partial) > LINE_BYTES:
            self._keep(_text(self._partial[:LINE_BYTES]))
            self._partial = self._partial[LINE_BYTES:]

    def _take_line(self, line: bytes) -> None:
        for start in range(0, max(len(line), 1), LINE_BYTES):
            self._keep(_text(line[start : start + LINE_BYTES]))

    def _keep(self, line: str) -> None:
        if len(self._lines) == KEPT_LINES:
            self._kept_characters -= len(self._lines[0])
        self._lines.append(line)
        self._kept_characters += len(line)
        while self._kept_characters > KEPT_CHARACTERS and len(self._lines) > 1:
            self._kept_characters -= len(self._lines.popleft())
        if (on_line := self._on_line) is not None:
            self._on_line = None  # one that raises is not asked again: the server must be cleared away regardless
            on_line(line)
            self._on_line = on_line


def _text(line: bytes) -> str:
    # A progress bar rewrites its line with carriage returns: the last version is the one that a terminal would show.
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
