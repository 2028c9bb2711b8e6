"""What is played: a workload with models in its roles, or a trace; how long servers take; under which settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from proxy.config import Config
from states.cast import Workload
from states.clients import Client
from states.settings import ModelId, Settings
from states.simulation import Servers
from states.workloads import WORKLOADS

from .casting import cast_of
from .timing import durations
from .traces import read_trace


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything but who decides."""

    name: str
    """What is played, in words."""
    clients: Callable[[], list[Client]]
    """Makes the clients of one run."""
    servers: Servers
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a command line says about it; see the help of `trio-swap simulate`."""

    workload: str
    trace: Path | None = None
    roles: Mapping[str, str]
    requests: int | None = None
    seed: int = 0
    load: Sequence[str] = ()
    stop: Sequence[str] = ()
    service: Sequence[str] = ()


def stage(wishes: Wishes, config: Config) -> Stage:
    """Set everything up.

    Raises:
        ValueError: in words for whoever wished it.
    """
    if wishes.trace is not None:
        trace = read_trace(wishes.trace, config.resolve)
        return Stage(
            f"trace {wishes.trace}", trace.clients, _servers(wishes, Servers(), config.resolve), config.settings
        )
    workload = WORKLOADS.get(wishes.workload)
    if workload is None:
        raise ValueError(f"there is no workload {wishes.workload!r}: expected one of {', '.join(WORKLOADS)}")
    if workload.made_up:
        settings = made_up(config.settings, workload.made_up)
        return _workload(workload, {str(model): model for model in settings.models}, settings, wishes, config.resolve)
    return _workload(workload, cast_of(workload, config, wishes.roles), config.settings, wishes, config.resolve)


def made_up(settings: Settings, count: int) -> Settings:
    """Return settings for so many models, one at a time; each has those of one that there is, in turn."""
    patterns = list(settings.models.values())
    models = {ModelId(f"model-{place + 1}"): patterns[place % len(patterns)] for place in range(count)}
    return replace(settings, models=models, groups={}, matrix=None)


def _workload(
    workload: Workload,
    cast: Mapping[str, ModelId],
    settings: Settings,
    wishes: Wishes,
    resolve: Callable[[str], ModelId | None],
) -> Stage:
    usual = Servers() if workload.costs is None else workload.costs.servers(cast)
    requests = wishes.requests or workload.requests

    def clients() -> list[Client]:
        return workload.clients(cast, Random(wishes.seed), requests)  # noqa: S311 (a simulation keeps no secrets)

    return Stage(f"workload {workload.name}", clients, _servers(wishes, usual, resolve), settings)


def _servers(wishes: Wishes, usual: Servers, resolve: Callable[[str], ModelId | None]) -> Servers:
    return Servers(
        load=durations(wishes.load, usual.load, resolve),
        stop=durations(wishes.stop, usual.stop, resolve),
        service=durations(wishes.service, usual.service, resolve),
    )
