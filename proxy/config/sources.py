"""The files that a configuration is read from, and whether they still say what they said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path


def digest(files: Iterable[Path]) -> bytes:
    """Return a digest of what is in the files, and in the files that lie directly in the folders among them.

    What cannot be read counts as it is: that it cannot be read.
    """
    total = sha256()
    for file in _spread(files):
        try:
            content = sha256(file.read_bytes()).digest()
        except OSError:
            content = b""
        total.update(bytes(file.name, "utf-8", "surrogateescape") + b"\0" + content)
    return total.digest()


def _spread(files: Iterable[Path]) -> Iterator[Path]:
    for file in files:
        if file.is_dir():
            yield from sorted(inner for inner in file.iterdir() if inner.is_file())
        else:
            yield file
