"""Learned durations: how long a model takes to load, to stop and to serve, from what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_WEIGHT: Final = 0.3
"""Weight of the newest observation: three of them make up about two thirds of the mean."""


@dataclass(slots=True)
class Duration:
    """An exponentially weighted mean of durations, in seconds; None until one was seen."""

    mean_s: float | None = None

    def observe(self, seconds: float) -> None:
        """Take one more duration into account."""
        self.mean_s = seconds if self.mean_s is None else self.mean_s + _WEIGHT * (seconds - self.mean_s)

    @property
    def expected_s(self) -> float:
        """What the next one is expected to be; 0 when none was seen."""
        return self.mean_s or 0.0


@dataclass(slots=True)
class Estimates:
    """What was learned about one model."""

    load: Duration = field(default_factory=Duration)
    stop: Duration = field(default_factory=Duration)
    service: Duration = field(default_factory=Duration)
