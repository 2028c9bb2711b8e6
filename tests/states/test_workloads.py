"""The workloads that ship: each can be played under every rule, and shows what it is there to show."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from states.agent_traffic import GENERATION_S, HUMAN_S, STEPS, TOOLS_S, quantile
from states.cast import exponential, pick
from states.clients import Client, Fate
from states.core import Core
from states.measures import Outcome, measure
from states.quick_core import QuickCore
from states.settings import ModelId, ModelSettings, Settings, Strategy
from states.simulation import Record, Scheduler, Servers, Simulation
from states.workloads import WORKLOADS
from states.yardsticks import CollatingQueue, DrainFirst
from tests.benchmarks import profiles

SMALL = 60
every_workload = pytest.mark.parametrize("name", WORKLOADS)

RULES: dict[str, Callable[[Settings], Scheduler]] = {
    "core": QuickCore,
    "core, the machine itself": Core,
    "collating queue": CollatingQueue,
    "drain first": DrainFirst,
}


def settings_for(name: str, **everybody: float) -> Settings:
    workload = WORKLOADS[name]
    made_up = tuple(f"m{place}" for place in range(workload.made_up or 4))
    models = {ModelId(role): ModelSettings(**everybody) for role in workload.roles or made_up}  # type: ignore[arg-type]
    return Settings(models=models)


def clients_of(name: str, settings: Settings, seed: int = 0) -> list[Client]:
    workload = WORKLOADS[name]
    cast = {str(model): model for model in settings.models}
    return workload.clients(cast, Random(seed), min(SMALL, workload.requests))


def play(name: str, settings: Settings, seed: int = 0, rule: str = "core") -> Record:
    return Simulation(RULES[rule](settings), Servers()).run(clients_of(name, settings, seed))


def outcome(name: str, settings: Settings) -> Outcome:
    return measure(play(name, settings), settings.models, dict.fromkeys(settings.models, 600.0))


@every_workload
@pytest.mark.parametrize("rule", RULES)
def test_everybody_is_answered_or_told_that_they_are_not(name: str, rule: str) -> None:
    record = play(name, settings_for(name, concurrency=30), rule=rule)
    assert len(record.requests) > 5
    assert {request.fate for request in record.requests} <= {Fate.SERVED, Fate.REFUSED}


@every_workload
def test_the_same_seed_asks_the_same(name: str) -> None:
    settings = settings_for(name)
    first, second = play(name, settings), play(name, settings)
    assert first.requests == second.requests
    assert first.visits == second.visits


@every_workload
@pytest.mark.parametrize("hold_s", [0.0, 2.0])
def test_a_simulation_makes_the_moves_that_the_machine_makes(name: str, hold_s: float) -> None:
    settings = settings_for(name, unload_delay_s=hold_s, max_wait_s=30.0, ttl_s=40.0)
    quick, itself = (play(name, settings, rule=rule) for rule in ("core", "core, the machine itself"))
    assert (quick.requests, quick.visits) == (itself.requests, itself.visits)


@pytest.mark.parametrize("name", [name for name, workload in WORKLOADS.items() if workload.requests])
def test_an_open_ended_workload_has_about_as_many_requests_as_wanted(name: str) -> None:
    record = play(name, settings_for(name))
    assert 0.9 * SMALL <= len(record.requests) <= 1.5 * SMALL


@pytest.mark.parametrize("name", ["agents", "mix", "mix-100"])
def test_another_seed_asks_something_else(name: str) -> None:
    settings = settings_for(name)
    assert [each.arrived_at for each in play(name, settings, 0).requests] != [
        each.arrived_at for each in play(name, settings, 1).requests
    ]


def test_whoever_decides_a_script_draws_the_same() -> None:
    settings = settings_for("agents")
    served = [sorted(each.service_s for each in play("agents", settings, rule=rule).requests) for rule in RULES]
    assert all(each == served[0] for each in served)


def test_the_story_costs_four_loads_and_thirteen_in_order_of_arrival() -> None:
    models = {
        ModelId("explorer"): ModelSettings(priority=3, unload_delay_s=5.0),
        ModelId("coder"): ModelSettings(priority=2, unload_delay_s=5.0),
        ModelId("orchestrator"): ModelSettings(priority=1),
    }
    assert outcome("story", Settings(models=models)).loads == ("orchestrator", "explorer", "coder", "orchestrator")
    assert len(outcome("story", Settings(models=models, strategy=Strategy.FIFO)).loads) == 13


def test_the_threads_queue_is_collated() -> None:
    assert outcome("thread", settings_for("thread")).loads == ("a", "b", "c")


def test_an_endless_crowd_does_not_keep_one_request_out() -> None:
    found = outcome("endless", settings_for("endless", max_wait_s=20.0))
    assert found.waits[ModelId("b")].worst_s <= 20.0 + 2 * (4.0 + 11.0)
    assert outcome("endless", settings_for("endless", max_wait_s=0.0)).waits[ModelId("b")].worst_s > 40.0


@pytest.mark.parametrize("name", profiles.PUBLISHED)
def test_drain_first_is_beaten_as_it_is_published_and_as_it_is_simulated(name: str) -> None:
    played, (_, least) = profiles.simulate(name)
    theirs, ours = (profiles.mean_wait_s(each) for each in played)
    published = profiles.PUBLISHED[name][2].mean_wait_s
    assert least <= ours < published
    assert ours < theirs
    assert theirs == pytest.approx(published, rel=0.15)  # or it would be no model of theirs


def test_drain_first_is_beaten_with_three_models() -> None:
    (theirs, ours), _ = profiles.simulate("three-models")
    assert profiles.mean_wait_s(ours) < profiles.mean_wait_s(theirs)


@pytest.mark.parametrize("points", [GENERATION_S, TOOLS_S, HUMAN_S, STEPS])
def test_quantiles_are_the_published_ones(points: tuple[tuple[float, float], ...]) -> None:
    for share, value in points:
        assert quantile(points, share) == pytest.approx(value)
    drawn = [quantile(points, place / 1000) for place in range(1000)]
    assert drawn == sorted(drawn)
    assert (drawn[0], drawn[-1]) == (0.0, pytest.approx(points[-1][1]))


def test_random_numbers_have_the_distribution_that_they_are_drawn_for() -> None:
    rng = Random(0)
    drawn = [exponential(rng, 2.0) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(2.0, rel=0.05)
    counts = [0, 0, 0]
    for _ in range(20_000):
        counts[pick(rng, (1.0, 1.5, 2.0))] += 1
    assert [count / 20_000 for count in counts] == pytest.approx([0.5, 0.25, 0.25], abs=0.02)
