"""The bytes and the text of a configuration file, or why there are none, in words."""

from __future__ import annotations

import codecs
import os
import stat
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from .mistakes import ConfigError, Mistake

LARGEST_FILE_BYTES: Final = 512 * 2**10
"""More is not a configuration: a device, or the wrong file."""
SUFFIXES: Final = frozenset({".toml", ".yaml", ".yml"})
_NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
"""Windows has none."""


def read(file: Path) -> bytes:
    """Return what is in a file, at most `LARGEST_FILE_BYTES`. Raises ConfigError."""
    try:
        return _read_bytes(file)
    except (OSError, ValueError) as error:
        raise unusable(file, _why_unreadable(file, error)) from None


def decoded(file: Path, content: bytes) -> str:
    """Return the text of a file, without a byte order mark. Raises ConfigError."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        is_utf_16 = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        why = "it is UTF-16" if is_utf_16 else f"byte 0x{error.object[error.start]:02x} cannot stand here"
        message = f"not UTF-8: {why}; save the file as UTF-8"
        raise ConfigError(str(file), [Mistake(message=message, line=line, column=column)]) from None


def _read_bytes(file: Path) -> bytes:
    # Without O_NONBLOCK, opening a pipe that nobody writes to waits for a writer, perhaps for ever.
    with open(file, "rb", opener=lambda path, flags: os.open(path, flags | _NONBLOCK)) as opened:
        if _NONBLOCK:
            os.set_blocking(opened.fileno(), True)
        content = opened.read(LARGEST_FILE_BYTES + 1)
        if not content and stat.S_ISFIFO(os.fstat(opened.fileno()).st_mode):
            raise unusable(file, "this is a pipe, and nobody has written to it: name a file")
    if len(content) > LARGEST_FILE_BYTES:
        raise unusable(file, f"larger than {LARGEST_FILE_BYTES // 2**10} KiB: this is no configuration file")
    return content


def _why_unreadable(file: Path, error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return f"there is no such file{_elsewhere(file)}"
        case NotADirectoryError():
            return "cannot be read: a part of this path is a file, not a directory; correct the path"
        case PermissionError():
            return "cannot be read: this user may not; change its rights (chmod), or run as a user who may"
        case _:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return f"cannot be read: {reason}"


def _elsewhere(file: Path) -> str:
    """Return what is there instead: a near name, or else where was looked."""
    folder = file.absolute().parent
    try:
        there = sorted(each.name for each in folder.iterdir() if each.suffix in SUFFIXES)
    except OSError:
        return f": there is no directory {folder}"
    near = get_close_matches(file.name, there, n=1) or (there if len(there) == 1 else [])
    if near:
        return f": did you mean {file.with_name(near[0])}?"
    return "" if file.is_absolute() else f" in {folder}"


def unusable(file: Path, message: str) -> ConfigError:
    """Return what is raised of a file as a whole."""
    return ConfigError(str(file), [Mistake(message=message)])
