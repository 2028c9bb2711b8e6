"""What the journal costs: the request that is noted, and the thread that writes it.

Run it from the project's root while nothing else is going on: `python -m tests.benchmarks.journal`. A core serves
requests of two models one after the other, without a shell around it; its events are noted as the driver does it, and
written by the recorder to a file in a temporary folder. "Noted" is what an event costs whoever causes it, beside what
the core takes to decide; "written" is the processor's time for its line, spent beside by a thread.
"""

# ruff: noqa: T201 (it is a program)

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import trio

from proxy.journal.parts import Parts
from proxy.journal.playback import replay
from proxy.journal.recorder import Recorder
from states.checkpoint import checkpoint
from states.core import Core
from states.events import Event, ServerReady, ServerStopped, TicketArrived, TicketServed
from states.settings import GroupId, ModelId, ModelSettings, Settings, TicketId

BLOCK = 2_000
"""Events between two looks at the clock."""
LARGE = 2**30


def events(number: int) -> list[Event]:
    """Requests for the model that is loaded, two events each, and a swap after every fifty."""
    found: list[Event] = []
    ticket = 0
    group = GroupId("default")
    while len(found) < number:
        model = ModelId("ab"[ticket // 50 % 2])
        ticket += 1
        found.append(TicketArrived(ticket=TicketId(ticket), model=model))
        if ticket % 50 == 1:
            found += [ServerStopped(group=group), ServerReady(group=group)][ticket == 1 :]
        found.append(TicketServed(ticket=TicketId(ticket)))
    return found


def new_core() -> Core:
    return Core(Settings(models={ModelId(name): ModelSettings() for name in "ab"}))


async def main(number: int, rounds: int) -> None:
    """Measure and print."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} before\n")
    told = events(number)
    decided: list[float] = []
    noted: list[float] = []
    written: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            path = Path(folder) / f"journal-{turn}.jsonl"
            core = new_core()
            recorder = Recorder(Parts(path, max_bytes=LARGE, files=1), most_pending=len(told) + 2)
            recorder.begin(partial(checkpoint, core.world), 0.0)
            async with recorder.writing():
                for begin in range(0, len(told), BLOCK):
                    block = told[begin : begin + BLOCK]
                    now = float(begin)
                    since = time.perf_counter()
                    effects = [core.handle(event, now) for event in block]
                    between = time.perf_counter()
                    for event, done in zip(block, effects, strict=True):
                        recorder.note(event, done, now)
                    noted.append((time.perf_counter() - between) / len(block))
                    decided.append((between - since) / len(block))
                since = time.process_time()
            written.append((time.process_time() - since) / len(told))
        size = path.stat().st_size / len(told)
        since = time.perf_counter()
        replayed = replay(path)
        replay_s = time.perf_counter() - since
        assert replayed.events == len(told)
        look = [_timed(core) for _ in range(20)]
    print(f"{'an event: the core decides, us':<48}{1e6 * median(decided):>8.2f}")
    print(f"{'an event: noted for the journal, us':<48}{1e6 * median(noted):>8.2f}")
    print(f"{'an event: written, in a thread, us':<48}{1e6 * median(written):>8.2f}")
    print(f"{'an event: bytes':<48}{size:>8.0f}")
    print(f"{'a checkpoint of two models, us':<48}{1e6 * median(look):>8.1f}")
    print(f"{'replay, events per second':<48}{len(told) / replay_s:>8.0f}")
    print(f"\nload {os.getloadavg()[0]:.2f} after")


def _timed(core: Core) -> float:
    since = time.perf_counter()
    checkpoint(core.world)
    return time.perf_counter() - since


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the journal costs.")
    parser.add_argument("--events", type=int, default=50_000, help="in a round (default: 50000)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    options = parser.parse_args()
    trio.run(main, options.events, options.rounds)
