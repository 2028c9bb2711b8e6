"""How long 100,000 simulated requests take, on this machine.

Run it from the project's root: `python -m tests.benchmarks.simulated`. The scheduler is the real one, with the settings
of `config.toml`; a plain loop beside it says how busy, or how slow, the machine is.
"""

# ruff: noqa: T201 (it is a program)

from __future__ import annotations

from pathlib import Path
from time import perf_counter, process_time

from proxy.config import load_config
from proxy.simulating.running import play
from proxy.simulating.staging import Wishes, stage
from proxy.simulating.variants import variant

REQUESTS = 100_000
LOOP = 20_000_000

if __name__ == "__main__":
    config = load_config(Path(__file__).parents[2] / "config.toml")
    for workload in ("agents", "mix", "mix-100"):
        chosen = stage(Wishes(workload=workload, roles={}, requests=REQUESTS), config)
        begun, worked = perf_counter(), process_time()
        outcome = play([variant("fifo+", chosen.settings)], chosen.clients, chosen.servers, chosen.settings)[0].outcome
        wall, cpu = perf_counter() - begun, process_time() - worked
        told = f"{outcome.all_waits.count:,} requests, {len(outcome.loads):,} loads, {outcome.makespan_s / 3600:.0f} h"
        print(f"{workload:<8} {told:<44} in {wall:5.1f} s, of which {cpu:.1f} s on a processor")
    worked = process_time()
    for _ in range(LOOP):
        pass
    print(f"{'a loop':<8} {LOOP:,} times nothing{'':<21} in {process_time() - worked:.1f} s on a processor")
