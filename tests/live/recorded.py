"""A real proxy that writes a journal, which must replay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.journal.playback import Replayed, replay

from .proxy_process import ProxyProcess, running_proxy

JOURNAL = "journal.jsonl"


@asynccontextmanager
async def recorded_proxy(
    folder: Path, models: str, *, rest: str = "", arguments: Sequence[str] = ()
) -> AsyncIterator[ProxyProcess]:
    """`running_proxy`, with a journal in its folder; at the end every event has the effects that were written down."""
    file = folder / JOURNAL
    async with running_proxy(folder, models, rest=rest, arguments=["--journal", str(file), *arguments]) as proxy:
        yield proxy
    assert_replays(file)


def assert_replays(journal: Path) -> Replayed:
    """Play a journal again: nothing is missing, and everything is decided as it was."""
    replayed = replay(journal)
    assert replayed.difference is None, replayed.difference
    assert (replayed.missed, replayed.broke) == (0, None)
    assert replayed.events > 3
    return replayed
