"""The files of a journal: FILE, and what was there before as FILE.1 (the newest), FILE.2 and so on; the oldest go.

Every file begins with an opening, so each can be played alone. Nothing here waits for anybody but the disk: it runs in
a thread, one call at a time. What is written is in the hands of the system at once, so it outlives a killed proxy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from stat import S_ISREG
from typing import Final


class Parts:
    """The file that is written, and those that were."""

    def __init__(self, path: Path, *, max_bytes: int, files: int) -> None:
        """Open a new file; what is there under its name is kept as the newest old one.

        Args:
            path: of the file that is written.
            max_bytes: a file that has so many is followed by the next; it may have a little more.
            files: how many are kept, the one that is written included; at least 1.

        Raises:
            OSError: it cannot be written.
        """
        self.path: Final = path
        self._max_bytes = max_bytes
        self._files = files
        self._file = -1
        self._bytes = 0
        if path.exists() and path.stat().st_size and S_ISREG(path.stat().st_mode):
            self._shift()
        self._open()

    @property
    def is_full(self) -> bool:
        """Whether the next opening should go into a file of its own."""
        return self._bytes >= self._max_bytes and self._is_regular

    def write(self, data: bytes | bytearray) -> None:
        """Append everything, or nothing.

        Raises:
            OSError: the disk is full, say; the file is as it was.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            with suppress(OSError):  # a device has no length
                os.ftruncate(self._file, self._bytes)
            raise
        self._bytes += len(data)

    def rotate(self) -> None:
        """Go on in a new file.

        Raises:
            OSError: it cannot be opened, or the old one not renamed; the old one is written on.
        """
        self._shift()
        self._open()

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)

    def _shift(self) -> None:
        names = [self.path, *(_older(self.path, number) for number in range(1, self._files))]
        if self._files == 1:
            self.path.unlink()
        for newer, older in zip(reversed(names[:-1]), reversed(names[1:]), strict=True):
            if newer.exists():
                newer.replace(older)

    def _open(self) -> None:
        # Without waiting: a pipe that nobody reads is an error. What others may read is not for everybody: 0600.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(self.path, flags, 0o600)
        if self._file >= 0:
            os.close(self._file)
        status = os.fstat(file)
        self._file, self._bytes, self._is_regular = file, status.st_size, S_ISREG(status.st_mode)


def older_parts(path: Path) -> Iterator[Path]:
    """The older files beside a journal's, the newest of them first."""
    for number in count(1):
        older = _older(path, number)
        if not older.exists():
            return
        yield older


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
