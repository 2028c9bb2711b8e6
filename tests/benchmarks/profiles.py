"""The benchmark profiles of llmux, in virtual time: its published figures, a model of its best rule, and `fifo+`.

Run it from the project's root: `python -m tests.benchmarks.profiles`. What it prints is in docs/simulation.md. The
published figures are those of its `reports/switching-efficiency.md` and `fuzz/benchmark_results` (February 2026, one
L40 with a 20B and a 12B model); swaps take as long as they did there, see `states/profiles.py`.
"""

# ruff: noqa: T201 (it is a program)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from proxy.simulating.judging import judge
from proxy.simulating.running import Played, play
from proxy.simulating.variants import variant
from states.profiles import PROFILES
from states.settings import ModelId, ModelSettings, Settings
from states.workloads import WORKLOADS

A, B, C = ModelId("a"), ModelId("b"), ModelId("c")
HOLD_S: Final = 0.3
"""Longer than B's requests of a round, or of a crowd, are apart."""


@dataclass(frozen=True, slots=True)
class Published:
    """What llmux measured: swaps, and the mean wait in seconds."""

    swaps: int
    mean_wait_s: float

    def __str__(self) -> str:
        return f"{self.swaps}, {self.mean_wait_s:.2f} s"


PUBLISHED: Final = {
    "balanced": (Published(37, 11.42), Published(20, 8.78), Published(20, 4.60)),
    "bursty": (Published(4, 8.64), Published(3, 8.15), Published(3, 6.61)),
    "dominant": (Published(3, 7.48), Published(5, 9.20), Published(1, 3.39)),
    "interleave": (Published(2, 11.39), Published(2, 10.68), Published(1, 3.73)),
}
"""In order of arrival, by cost, drain-first. For three models nothing is published but its simulation."""


def settings(name: str) -> Settings:
    """B takes longer to come back than A: it is held for a moment, A is not. Three models are all alike."""
    seats = 1 if name == "three-models" else 30
    plain = ModelSettings(concurrency=seats)
    return Settings(models={A: plain, B: ModelSettings(concurrency=seats, unload_delay_s=HOLD_S), C: plain})


def simulate(name: str) -> tuple[list[Played], tuple[int, float]]:
    """Play a profile by drain-first and by fifo+; and find the fewest swaps and the shortest mean wait of anybody."""
    workload, chosen = WORKLOADS[name], settings(name)
    cast = {"a": A, "b": B, "c": C}
    servers = workload.costs.servers(cast) if workload.costs else None
    assert servers is not None
    variants = [variant(each, chosen) for each in ("drain-first", "fifo+")]
    played = play(variants, lambda: workload.clients(cast, Random(0), 0), servers, chosen)
    loads, _, mean_wait, _ = judge(played, chosen, servers)[-1].bounds
    assert mean_wait.exact
    return played, (round(loads.value) - 1, mean_wait.value * _counted(played[-1]))


def lines() -> Iterator[str]:
    """The table, in Markdown."""
    yield "| profile | FIFO | cost-aware | drain-first | drain-first, simulated | **fifo+** | best possible |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for profile in PROFILES:
        (theirs, ours), (swaps, mean_wait_s) = simulate(profile.name)
        published = [str(each) for each in PUBLISHED.get(profile.name, ("-",) * 3)]
        best = f"{swaps}, {mean_wait_s:.2f} s"
        yield f"| {' | '.join([profile.name, *published, _figures(theirs), f'**{_figures(ours)}**', best])} |"


def _figures(played: Played) -> str:
    found = played.outcome
    return f"{len(found.loads) - 1}, {mean_wait_s(played):.2f} s"


def mean_wait_s(played: Played) -> float:
    """Of all requests but the one that left a model loaded."""
    return played.outcome.all_waits.mean_s * _counted(played)


def _counted(played: Played) -> float:
    """What to multiply a mean with, so that the request that left a model loaded does not count; it did not wait."""
    count = played.outcome.all_waits.count
    return 1.0 if count % 10 == 0 else count / (count - 1)


if __name__ == "__main__":
    print("\n".join(lines()))
