"""Learned durations."""

from __future__ import annotations

import pytest

from states.estimates import Duration


def test_before_anything_was_seen_nothing_is_known_and_nothing_is_expected() -> None:
    duration = Duration()
    assert duration.mean_s is None
    assert duration.expected_s == 0


def test_the_first_observation_is_the_mean() -> None:
    duration = Duration()
    duration.observe(8.0)
    assert duration.expected_s == 8


def test_newer_observations_count_more() -> None:
    duration = Duration()
    for seconds in (10.0, 20.0):
        duration.observe(seconds)
    assert duration.expected_s == pytest.approx(13.0)
    for _ in range(20):
        duration.observe(20.0)
    assert duration.expected_s == pytest.approx(20.0, abs=0.01)
