"""Explores the small worlds of a configuration, one after the other, until there are none left, or no time.

Whoever presses Ctrl-C has seen enough: what was found until then is the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from states.exploration import TooLargeError, ViolationError, explore
from states.promises import Starvation, starvation
from states.small_world import SmallWorld

Progress = Callable[[int, int, int], None]
"""Is told now and then: worlds done, worlds in all, states seen."""


@dataclass(slots=True)
class Findings:
    """What exploration has found."""

    worlds: int
    """In all."""
    done: int = 0
    states: int = 0
    """Seen, those of a world that was not finished included."""
    starved: list[tuple[SmallWorld, Starvation]] = field(default_factory=list)
    violations: list[ViolationError] = field(default_factory=list)
    """What the contract rules out: mistakes of trio-swap, not of the configuration."""

    @property
    def is_finished(self) -> bool:
        """Whether every world was explored."""
        return self.done == self.worlds


class _OutOfTimeError(Exception):
    pass


def explore_all(
    worlds: Iterable[SmallWorld], *, most: int, is_late: Callable[[], bool], progress: Progress | None
) -> Findings:
    """Explore worlds until one of the limits is reached.

    Args:
        worlds: each with a client whose wait is watched.
        most: states in all.
        is_late: whether the time is up.
        progress: told now and then; None: nobody is.
    """
    queue = list(worlds)
    findings = Findings(worlds=len(queue))
    for world in queue:
        before = findings.states

        def look(visited: int, _known: int, before: int = before) -> None:
            findings.states = before + visited
            if progress is not None:
                progress(findings.done, findings.worlds, findings.states)
            if is_late():
                raise _OutOfTimeError

        try:
            look(0, 0)
            explored = explore(world, most=max(1, most - before), progress=look)
            findings.states = before + len(explored.states)
            found = starvation(explored)
        except (_OutOfTimeError, TooLargeError, KeyboardInterrupt):
            break
        except ViolationError as violation:
            findings.violations.append(violation)
        else:
            if found is not None:
                findings.starved.append((world, found))
        findings.done += 1
    return findings
