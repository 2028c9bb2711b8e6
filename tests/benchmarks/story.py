"""How often models are loaded for the story, and how long it takes, in order of arrival and as the proxy decides.

Run it from the project's root: `python -m tests.benchmarks.story`. Real processes; the workload is that of
`tests/live/test_story.py`: sub-agents that send their next request 0.1 s after the last answer. With `--replay`, what
the journal of each run tells is printed too.
"""

# ruff: noqa: T201 (it is a program)

from __future__ import annotations

import argparse
import tempfile
from contextlib import chdir
from pathlib import Path

import trio

from proxy.cli import main
from tests.live.proxy_process import running_proxy
from tests.live.test_story import STORY_WITH_PLANNING, story


async def play(strategy: str, folder: Path) -> tuple[list[str], float]:
    """Return the models that were loaded, in order, and the seconds that it took; the journal is in `folder`."""
    rest = f'[scheduler]\nstrategy = "{strategy}"\n'
    arguments = ["--journal", str(folder / "swap.jsonl")]
    async with (
        running_proxy(folder, STORY_WITH_PLANNING, rest=rest, arguments=arguments) as proxy,
        proxy.client() as client,
    ):
        since = trio.current_time()
        await story(proxy, client)
        return proxy.loads, trio.current_time() - since


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The story, in order of arrival and as the proxy decides.")
    parser.add_argument("--replay", action="store_true", help="print what the journals tell")
    replays = parser.parse_args().replay
    for chosen in ("fifo", "fifo+"):
        with tempfile.TemporaryDirectory() as place:
            loads, seconds = trio.run(play, chosen, Path(place))
            print(f"{chosen:<6} {len(loads):>3} loads, {seconds:.1f} s: {', '.join(loads)}")
            if replays:
                with chdir(place):
                    main(["replay", "swap.jsonl"])
                print()
