"""The benchmark profiles of llmux, whose figures are published: two models that one GPU cannot hold, or three.

After its `fuzz/benchmark.sh` and, for three models, `tests/policy_sim.rs` (as of February 2026). Where that waits for
answers before it goes on, so does this. Times are seconds.

The costs of two models are those of the published run that did best (`time_slice_v2`): its one swap to B took 7.22 s,
its one swap to A 1.99 s. Services are not published: its 40 requests at once, for 15 tokens each, took less than a
second. There a model had been loaded for a while when a profile began, B before `dominant` and A before the others: a
request more, which waits for nothing, sees to that. The costs of three models are those of its simulation, which has
one seat.
"""

from __future__ import annotations

from itertools import permutations
from typing import Final

from .cast import Cast, Costs, Rng, Workload
from .clients import Ask, Client, Join, Launch, Pause, Script, agent, arrivals
from .settings import ModelId

BETWEEN_S: Final = 0.1
"""Between the two requests of a round of `balanced`."""
STAGGER_S: Final = 0.05
"""Between two requests of `dominant`."""
SETTLED_S: Final = 20.0
"""Between the request that leaves a model loaded and the profile."""

TWO_MODELS: Final = Costs(swap={("a", "b"): 7.22, ("b", "a"): 1.99}, service_s=0.2)
THREE_MODELS: Final = Costs(swap=dict.fromkeys(permutations("abc", 2), 10.0), service_s=0.5)


def _at_once(name: str, asks: list[Ask]) -> list[Client]:
    return [Client(f"{name}.{place}", agent([ask], 0.0)) for place, ask in enumerate(asks, start=1)]


def _settled(model: ModelId) -> Script:
    yield Ask(model)
    yield Pause(SETTLED_S)


def _waves(waves: list[list[Ask]], apart_s: float = 0.0) -> Script:
    """Send the requests of each wave `apart_s` after each other, and wait for all answers before the next wave."""
    yield from _settled(waves[0][0].model)
    for number, asks in enumerate(waves, start=1):
        sent = _at_once(f"wave {number}", asks)
        for place, client in enumerate(sent):
            if place and apart_s:
                yield Pause(apart_s)
            yield Launch([client])
        for client in sent:
            yield Join(client)


def _balanced(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    return [Client("rounds", _waves([[Ask(cast["a"]), Ask(cast["b"])]] * 20, BETWEEN_S))]


def _bursty(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    return [Client("bursts", _waves([[Ask(cast[role])] * 10 for role in "abab"]))]


def _dominant(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    roles = ("b" if place % 5 == 0 else "a" for place in range(1, 51))
    asked = [(STAGGER_S * place, Ask(cast[role])) for place, role in enumerate(roles)]

    def dominant() -> Script:
        yield from _settled(cast["b"])
        yield from arrivals(asked)

    return [Client("dominant", dominant())]


def _interleave(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    return [Client("waves", _waves([[Ask(cast[role]) for role in "ab" * 30]]))]


def _three_models(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    asked = [
        (3.0 * (3 * turn + place) + 0.1 * number, Ask(cast[role]))
        for turn in range(2)
        for place, role in enumerate("abc")
        for number in range(10)
    ]
    return [Client("three models", arrivals(sorted(asked, key=lambda entry: entry[0])))]


PROFILES: Final = (
    Workload(
        name="balanced",
        summary="20 rounds of A and, a moment later, B",
        roles=("a", "b"),
        costs=TWO_MODELS,
        clients=_balanced,
    ),
    Workload(
        name="bursty",
        summary="ten at once for A, then for B, A and B",
        roles=("a", "b"),
        costs=TWO_MODELS,
        clients=_bursty,
    ),
    Workload(
        name="dominant",
        summary="B is there; 50 in 2.5 s, every fifth for B, all others for A",
        roles=("a", "b"),
        costs=TWO_MODELS,
        clients=_dominant,
    ),
    Workload(
        name="interleave",
        summary="30 each for A and B at once",
        roles=("a", "b"),
        costs=TWO_MODELS,
        clients=_interleave,
    ),
    Workload(
        name="three-models",
        summary="ten each for A, B, C, A, B, C, beginning 3 s after each other",
        roles=("a", "b", "c"),
        costs=THREE_MODELS,
        clients=_three_models,
    ),
)
