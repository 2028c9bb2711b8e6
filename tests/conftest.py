"""What all tests know."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes on a busy machine, and how many have to be thrown away, is luck.
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="also explore the small worlds that take minutes")
