"""How a selector picks one of its targets: a pure function of what it says and of how its targets stand.

| strategy | picks |
| --- | --- |
| pin | the first |
| warm | the first that is loaded, else the first that loads, else the first that could |
| spillover | the least busy of those in use, until each has `spillover` requests; then one more is put to use |

Of a selector's requests only its own count as busy: whoever asks for a model by its name is not held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from states.group import LOADED, GroupState

from .config.routing import SelectorConfig, SelectorStrategy


class Standing(Enum):
    """What a target could do for a request now."""

    LOADED = "loaded"
    LOADING = "loading"
    """Or the next to load."""
    COLD = "cold"
    """Not loaded; of a peer: nothing of this selector's is there."""
    LEAVING = "leaving"
    """Being unloaded; a peer: down. A request for it would wait, or be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which target, and why."""

    place: int
    """In the selector's list."""
    why: str


def standing_of(state: GroupState | None) -> Standing:
    """Return how a model of ours stands whose group is in `state`; None: it has no server and none is coming."""
    if state is None or state is GroupState.IDLE:
        return Standing.COLD
    if state in LOADED:
        return Standing.LOADED
    return Standing.LOADING if state is GroupState.LOADING else Standing.LEAVING


def choose(selector: SelectorConfig, standings: Sequence[Standing], busy: Sequence[int], last: int) -> Choice:
    """Pick a target.

    Args:
        selector: what is wanted.
        standings: how each target stands.
        busy: how many requests each serves that this selector sent there.
        last: the place of the target that was picked last; -1: none was.
    """
    match selector.strategy:
        case SelectorStrategy.PIN:
            return Choice(place=0, why="it is pinned")
        case SelectorStrategy.WARM:
            return _warm(standings)
        case SelectorStrategy.SPILLOVER:
            return _spillover(selector.spillover, standings, busy, last)
        case _:
            assert_never(selector.strategy)


_BEST_FIRST: Final = (
    (Standing.LOADED, "it is loaded"),
    (Standing.LOADING, "it loads already"),
    (Standing.COLD, "none is loaded, and it is the first that could be"),
)


def _warm(standings: Sequence[Standing]) -> Choice:
    for wanted, why in _BEST_FIRST:
        if wanted in standings:
            return Choice(place=standings.index(wanted), why=why)
    return Choice(place=0, why="all of them are leaving, and it is the first")


def _spillover(limit: int, standings: Sequence[Standing], busy: Sequence[int], last: int) -> Choice:
    def places(holds: Callable[[int], bool]) -> list[int]:
        return [place for place in range(len(standings)) if standings[place] is not Standing.LEAVING and holds(place)]

    in_use = places(lambda place: bool(busy[place]) or standings[place] is not Standing.COLD)
    unused = places(lambda place: place not in in_use)
    least = min((busy[place] for place in in_use), default=limit)
    if least >= limit and unused:
        why = f"those in use have {least} requests each, or more" if in_use else "none is in use"
        return Choice(place=unused[0], why=why)
    if not in_use:
        return Choice(place=0, why="all of them are leaving, and it is the first")
    # By turns between equals: the next one behind the last.
    idlest = [place for place in in_use if busy[place] == least]
    place = next((place for place in idlest if place > last), idlest[0])
    return Choice(place=place, why=f"it is in use, with {least} requests")
