"""What workloads are written with: roles that models play, random numbers, and what a workload is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol

from .clients import Client
from .settings import ModelId
from .simulation import Durations, Servers

Cast = Mapping[str, ModelId]
"""Which model plays each role. In a workload without roles of its own, every model plays itself."""


class Rng(Protocol):
    """A source of random numbers: `random.Random` is one."""

    def random(self) -> float:
        """A number from 0 up to 1, 1 excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """How long servers take, where that belongs to a workload: seconds. What is loaded first is there at once."""

    swap: Mapping[tuple[str, str], float]
    """From the last answer of the one role's model until the other's can serve."""
    service_s: float

    def servers(self, cast: Cast) -> Servers:
        """Return them for the models that play."""
        between = {(cast[one], cast[other]): seconds for (one, other), seconds in self.swap.items()}
        return Servers(
            load=Durations(usual_s=0.0, between=between),
            stop=Durations(usual_s=0.0),
            service=Durations(usual_s=self.service_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A workload by name."""

    name: str
    summary: str
    roles: tuple[str, ...] = ()
    """Who takes part, the most urgent first; none: every model there is."""
    made_up: int = 0
    """So many models that are made up take part, and none of the configuration's."""
    costs: Costs | None = None
    """None: nothing is known about its servers."""
    requests: int = 0
    """How many there are, about, if nothing else is said; 0: it has as many as it has."""
    clients: Callable[[Cast, Rng, int], list[Client]]
    """New clients, for one run, with about so many requests; their scripts draw before they start."""


def exponential(rng: Rng, mean: float) -> float:
    """Draw from the exponential distribution."""
    return -mean * log(1.0 - rng.random())


def pick(rng: Rng, cumulated: Sequence[float]) -> int:
    """Draw a place; `cumulated` are the sums of the weights up to each place, the last one included."""
    drawn = rng.random() * cumulated[-1]
    return next(place for place, upper in enumerate(cumulated) if drawn < upper)
