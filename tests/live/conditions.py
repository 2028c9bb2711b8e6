"""Waiting for what only the operating system knows: no event comes from there."""

from __future__ import annotations

from collections.abc import Callable

import trio


async def until(condition: Callable[[], object], *, within_s: float = 5) -> None:
    """Wait until `condition` holds; fail when it does not within its time."""
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)
