"""A state of a small world, read: everything that a core is made of, without times; and what can run out in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from .group import GroupState, Pressure
from .settings import GroupId, ModelId, Settings

INSTANT_S: Final = 1.0
"""From the time of a state, 0, to the instant at which its next timers end."""
NONE: Final = 0
RUNS: Final = 1
PASSED: Final = 2
"""Of a deadline: there is none, it is to come, or it was the first (the second, …) of those that have passed."""
SLOTS: Final = 16
"""Ids of tickets: the crowd's number times this, and a number in the crowd."""


class TimerKind(Enum):
    """What runs out."""

    DEADLINE = "a ticket becomes overdue"
    IDLE = "the unload delay or the ttl of an idle model ends"
    MIN_LOADED = "the min_loaded of a model ends"
    GRACE = "the grace of an unload ends"
    PAUSE = "a pause after failures ends"


class Timer(NamedTuple):
    """Something that runs out: of a waiting ticket (its place), a group, or a model (their numbers)."""

    kind: TimerKind
    of: int


class GroupFrame(NamedTuple):
    """A group's record without times."""

    state: GroupState
    resident: ModelId | None
    server: ModelId | None
    awaiting: frozenset[GroupId]
    pressure: Pressure
    closing: bool
    idle_phase: int
    """Of an idle loaded model: how many of its unload delay and ttl are over."""
    settled: bool
    """Whether its min_loaded is over, or does not matter."""


class Place(NamedTuple):
    """A ticket that is not served yet."""

    crowd: int
    seated: bool
    deadline: int
    boost: int


@dataclass(slots=True)
class Frame:
    """A state, read: everything that a core is made of, without times."""

    beyond: bytes
    """What is not the core's: clients still to come, operations left, models that came before whoever is observed."""
    shutting_down: bool
    settings: Settings
    """In force."""
    leaving: frozenset[ModelId]
    preloads: tuple[ModelId, ...]
    unloads: tuple[frozenset[ModelId], ...]
    groups: list[GroupFrame]
    failures: list[int]
    paused: list[bool]
    served: list[int]
    """Of each crowd, how many have a seat that they can use."""
    places: list[Place]
