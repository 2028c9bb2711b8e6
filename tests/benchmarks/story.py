"""How often models are loaded for the story, and how long it takes, in order of arrival and as the proxy decides.

Run it from the project's root: `python -m tests.benchmarks.story`. Real processes; the workload is that of
`tests/live/test_story.py`: sub-agents that send their next request 0.1 s after the last answer.
"""

# ruff: noqa: T201 (it is a program)

from __future__ import annotations

import tempfile
from pathlib import Path

import trio

from tests.live.proxy_process import running_proxy
from tests.live.test_story import STORY_WITH_PLANNING, story


async def play(strategy: str) -> tuple[list[str], float]:
    """Return the models that were loaded, in order, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        rest = f'[scheduler]\nstrategy = "{strategy}"\n'
        async with running_proxy(Path(folder), STORY_WITH_PLANNING, rest=rest) as proxy, proxy.client() as client:
            since = trio.current_time()
            await story(proxy, client)
            return proxy.loads, trio.current_time() - since


if __name__ == "__main__":
    for chosen in ("fifo", "fifo+"):
        loads, seconds = trio.run(play, chosen)
        print(f"{chosen:<6} {len(loads):>3} loads, {seconds:.1f} s: {', '.join(loads)}")
