"""The files that a configuration is read from, and whether they still say what they said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from .files import SUFFIXES


def digest(files: Iterable[Path]) -> bytes:
    """Return a digest of what is in the files, and in the files that lie directly in the folders among them.

    What cannot be read counts as that. Pipes and devices are not read: that would take from them.
    """
    return digest_of((file.name, _content(file)) for file in spread(files))


def digest_of(contents: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the digest of files of these names with these contents, as `digest` does."""
    total = sha256()
    for name, content in contents:
        total.update(name.encode("utf-8", "surrogateescape") + b"\0" + sha256(content).digest())
    return total.digest()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.is_file() else b""
    except OSError:
        return b""


def spread(files: Iterable[Path]) -> Iterator[Path]:
    """Yield the files, and for a folder the configuration files that lie directly in it, by name."""
    for file in files:
        if _is_folder(file):
            yield from sorted(inner for inner in file.iterdir() if inner.suffix in SUFFIXES and not inner.is_dir())
        else:
            yield file


def _is_folder(file: Path) -> bool:
    try:
        return file.is_dir()
    except (OSError, ValueError):  # a name that no file can have: who reads it says so
        return False
