"""Files that are edited while the proxy runs: whoever wants to know is told when what they say has changed.

A folder is watched rather than a file: editors write another file and rename it, and a mounted volume swaps a link.
What counts is the content, so that a save without a change, or two events for one save, are nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from watchfiles import awatch

from .config.sources import digest

_QUIET_MS: Final = 50
"""A save may be several writes: they are over when nothing has happened for so long."""
_AT_MOST_MS: Final = 500
"""A file that is written all the time is looked at all the same."""
_LOOK_MS: Final = 2000
"""Some file systems tell nobody of changes, and what happens before the watch stands is told to nobody."""


async def watch_files(files: Sequence[Path], known: bytes, changed: Callable[[], object]) -> None:
    """Call `changed` whenever the content of the files is another one, until cancelled.

    Args:
        files: those to look at; folders among them stand for whatever lies directly in them.
        known: the digest of what they said when they were read.
        changed: quick; called after the fact, once for several changes at a time.
    """
    folders = {file if file.is_dir() else file.absolute().parent for file in files}
    changes = awatch(
        *folders,
        recursive=False,
        watch_filter=None,
        debounce=_AT_MOST_MS,
        step=_QUIET_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
    )
    async for _ in changes:
        if (now := digest(files)) != known:
            known = now
            changed()
