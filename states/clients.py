"""Clients of a simulated proxy: what they do is a generator that yields steps, and is resumed when a step is over.

    def agent(model: ModelId, times: int, gap_s: float) -> Script:
        for _ in range(times):
            yield Ask(model)
            yield Pause(gap_s)

A script is used up by one run. It draws its random numbers before it starts: then it asks for the same whoever decides,
and two runs can be compared.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from .settings import ModelId


class Fate(Enum):
    """How a request ended."""

    SERVED = "served"
    GAVE_UP = "gave up"
    """It had no seat when its client's patience was over."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request and wait until it has ended; the script is sent its `Fate`."""

    model: ModelId
    service_s: float | None = None
    """How long it takes once it has a seat, seconds; None: as long as the model's requests usually do."""
    patience_s: float = inf
    """The client gives up when it has no seat after so long, seconds."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and go on at once."""

    request: Ask


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while: think, run a tool, sleep."""

    seconds: float


@dataclass(eq=False, slots=True)
class Client:
    """Somebody with a script. `eq=False`: every client is one of its kind."""

    name: str
    script: Script
    done: bool = False
    """The script has ended. Other scripts may look."""
    answers: frozenset[int] = frozenset()
    """Kept by the simulation: the requests without whose answers it would not be where it is."""
    awaited_by: list[Client] = field(default_factory=list)
    """Kept by the simulation: who joins it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Let other clients start now, before this one takes its next step."""

    clients: Sequence[Client]


@dataclass(frozen=True, slots=True)
class Join:
    """Wait until another client's script has ended."""

    client: Client


Step = Ask | Send | Pause | Launch | Join
Script = Generator[Step, Fate | None, None]


def agent(asks: Iterable[Ask], gap_s: float) -> Script:
    """Ask one thing after the other, each so long after the last answer."""
    for place, ask in enumerate(asks):
        if place:
            yield Pause(gap_s)
        yield ask


def arrivals(requests: Iterable[tuple[float, Ask]]) -> Script:
    """Send every request at its time, seconds since this client started; whatever becomes of the others."""
    now = 0.0
    for time, ask in requests:
        if time > now:
            yield Pause(time - now)
            now = time
        yield Send(ask)
