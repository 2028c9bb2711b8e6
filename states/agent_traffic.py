"""Random traffic: agents as they were measured, and a crowd of independent requests.

The quantiles are those of TraceLab (arXiv 2606.30560, data CC BY 4.0): 357,161 steps of coding agents, of 43 people.
Between two published quantiles the logarithm is interpolated linearly; below the median values are uniform from 0 up to
it; above the 99th percentile nothing is made up: it is the largest value. So the long tail, and with it a good part of
the published means, is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import exp, log
from typing import Final

from .cast import Cast, Rng, exponential, pick
from .clients import Ask, Client, Join, Launch, Pause, Script, Send
from .settings import ModelId

GENERATION_S: Final = ((0.5, 4.9), (0.9, 20.2), (0.99, 78.0))
"""Of one step: (quantile, seconds)."""
TOOLS_S: Final = ((0.5, 0.1), (0.9, 10.0), (0.99, 192.0))
"""Between two steps."""
HUMAN_S: Final = ((0.5, 84.0), (0.9, 1236.0), (0.99, 50040.0))
"""Between the last answer and the next message."""
STEPS: Final = ((0.5, 1.0), (0.9, 20.0), (0.99, 86.0))
"""That follow a message."""

SESSIONS: Final = 6
"""People who work at the same time."""
FAN_OUT: Final = (2, 3, 4)
"""Sub-agents that are launched beside each other ..."""
FAN_OUT_SHARE: Final = 0.25
"""... by so many of the messages, for a model other than the session's own."""
RATE: Final = 0.5
"""Requests of `mix` per second, all models together."""


def quantile(points: Sequence[tuple[float, float]], share: float) -> float:
    """Return the value that the share of all values does not exceed, as the module says."""
    first, median = points[0]
    if share < first:
        return median * share / first
    for (below, low), (above, high) in pairwise(points):
        if share < above:
            return exp(log(low) + (log(high) - log(low)) * (share - below) / (above - below))
    return points[-1][1]


def agents(cast: Cast, rng: Rng, requests: int) -> list[Client]:
    """Sessions of people and their agents, side by side, until there are about so many requests."""
    models = list(cast.values())
    messages: list[list[Script]] = [[] for _ in range(SESSIONS)]
    left = requests
    while left > 0:
        for place, session in enumerate(messages):
            if left <= 0:
                break
            others = models[place + 1 :] + models[:place]
            script, asked = _message(models[place % len(models)], others, rng, left)
            session.append(script)
            left -= asked
    gaps = [[quantile(HUMAN_S, rng.random()) for _ in session] for session in messages]
    return [
        Client(f"session {place}", _session(session, gaps_s))
        for place, (session, gaps_s) in enumerate(zip(messages, gaps, strict=True), start=1)
    ]


def _session(messages: Sequence[Script], gaps_s: Sequence[float]) -> Script:
    for message, gap_s in zip(messages, gaps_s, strict=True):
        yield Pause(gap_s)
        yield from message


def _message(model: ModelId, others: Sequence[ModelId], rng: Rng, most: int) -> tuple[Script, int]:
    """Draw everything that one message sets off, and how many requests that is."""
    own = _loop(model, rng, most)
    crew: list[list[tuple[Ask, float]]] = []
    if others and rng.random() < FAN_OUT_SHARE:
        size = FAN_OUT[int(rng.random() * len(FAN_OUT))]
        helper = others[int(rng.random() * len(others))]
        crew = [_loop(helper, rng, most) for _ in range(size)]
    return _delegating(own, crew), len(own) + sum(len(steps) for steps in crew)


def _loop(model: ModelId, rng: Rng, most: int) -> list[tuple[Ask, float]]:
    """Draw an agent's loop: what it asks, and how long it is busy with tools after each answer."""
    steps = min(max(1, round(quantile(STEPS, rng.random()))), most)
    return [
        (Ask(model, service_s=quantile(GENERATION_S, rng.random())), quantile(TOOLS_S, rng.random()))
        for _ in range(steps)
    ]


def _delegating(own: Sequence[tuple[Ask, float]], crew: Sequence[Sequence[tuple[Ask, float]]]) -> Script:
    for place, (ask, gap_s) in enumerate(own):
        yield ask
        if not place and crew:
            helpers = [Client("sub-agent", _steps(steps)) for steps in crew]
            yield Launch(helpers)
            for helper in helpers:
                yield Join(helper)
        if place + 1 < len(own):
            yield Pause(gap_s)


def _steps(steps: Sequence[tuple[Ask, float]]) -> Script:
    for place, (ask, gap_s) in enumerate(steps):
        yield ask
        if place + 1 < len(steps):
            yield Pause(gap_s)


def mix(cast: Cast, rng: Rng, requests: int) -> list[Client]:
    """Independent requests; the n-th model is wanted 1/n as often as the first, arrivals and services are random."""
    models = list(cast.values())
    popularity = list(accumulate(1.0 / place for place in range(1, len(models) + 1)))
    asked = [(exponential(rng, 1.0 / RATE), Ask(models[pick(rng, popularity)])) for _ in range(requests)]

    def crowd() -> Script:
        for gap_s, ask in asked:
            yield Pause(gap_s)
            yield Send(ask)

    return [Client("crowd", crowd())]
