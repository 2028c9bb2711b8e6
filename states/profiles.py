"""The benchmark profiles of llmux, whose figures are published: two models that one GPU cannot hold, or three.

After its `fuzz/benchmark.sh` and, for three models, `tests/policy_sim.rs` (as of February 2026). Where that waits for
answers before it goes on, so does this. Times are seconds; its requests ask for 10 or 15 tokens, which take a fraction
of a second each: as long as the servers here say.
"""

from __future__ import annotations

from typing import Final

from .cast import Cast, Rng, Workload
from .clients import Ask, Client, Join, Launch, Pause, Script, agent, arrivals

BETWEEN_S: Final = 0.1
"""Between the two requests of a round of `balanced`."""
STAGGER_S: Final = 0.05
"""Between two requests of `dominant`."""


def _at_once(name: str, asks: list[Ask]) -> list[Client]:
    return [Client(f"{name}.{place}", agent([ask], 0.0)) for place, ask in enumerate(asks, start=1)]


def _waves(waves: list[list[Ask]], apart_s: float = 0.0) -> Script:
    """Send the requests of each wave `apart_s` after each other, and wait for all answers before the next wave."""
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
    return [Client("dominant", arrivals(asked))]


def _interleave(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    return _at_once("request", [Ask(cast[role]) for role in "ab" * 30])


def _three_models(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    asked = [
        (3.0 * (3 * turn + place) + 0.1 * number, Ask(cast[role]))
        for turn in range(2)
        for place, role in enumerate("abc")
        for number in range(10)
    ]
    return [Client("three models", arrivals(sorted(asked, key=lambda entry: entry[0])))]


PROFILES: Final = (
    Workload(name="balanced", summary="20 rounds of A and, a moment later, B", roles=("a", "b"), clients=_balanced),
    Workload(name="bursty", summary="ten at once for A, then for B, A and B", roles=("a", "b"), clients=_bursty),
    Workload(name="dominant", summary="50 in 2.5 s, every fifth for B", roles=("a", "b"), clients=_dominant),
    Workload(name="interleave", summary="30 each for A and B at once", roles=("a", "b"), clients=_interleave),
    Workload(
        name="three-models",
        summary="ten each for A, B, C, A, B, C, beginning 3 s after each other",
        roles=("a", "b", "c"),
        clients=_three_models,
    ),
)
