"""The best possible is what trying everything finds, and bounds from below are below it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise, permutations, product
from random import Random

import pytest

from states.core import Core
from states.hindsight import Instance, Job, instance_of, swap_s
from states.lower_bounds import least_loads, least_makespan_s, least_waits_s
from states.measures import waits
from states.optimum import Aim, TooLargeError, best, fewest_loads
from states.settings import GroupSettings, ModelId, ModelSettings, Settings
from states.simulation import Durations, Servers, Simulation
from states.workloads import WORKLOADS

A, B, C = ModelId("a"), ModelId("b"), ModelId("c")
SERVERS = Servers(load=Durations(usual_s=3.0, of={B: 5.0}, between={(C, A): 1.0}), stop=Durations(usual_s=1.0))
SEEDS = pytest.mark.parametrize("seed", range(40))


def drawn(rng: Random, *, size: int, following: bool, seats: int, services: tuple[float, ...]) -> Instance:
    """A few jobs in order of arrival, some of which follow another one."""
    arrivals = sorted(float(rng.randrange(12)) for _ in range(size))
    jobs = []
    for place in range(size):
        after = (rng.randrange(place),) if following and place and rng.random() < 0.6 else ()
        delay = float(rng.randrange(4)) if after else arrivals[place] - arrivals[0]
        jobs.append(Job(rng.choice((A, B, C)), rng.choice(services), after, delay))
    return Instance(tuple(jobs), dict.fromkeys((A, B, C), seats), SERVERS)


def values(found: list[tuple[float, list[float]]]) -> dict[Aim, float]:
    """The best of each aim, from all (makespan, waits)."""
    return {
        Aim.MAKESPAN: min(makespan for makespan, _ in found),
        Aim.MEAN_WAIT: min(sum(each) / len(each) for _, each in found),
        Aim.WORST_WAIT: min(max(each) for _, each in found),
    }


def one_by_one(instance: Instance, *, in_turn: bool = False) -> Iterator[tuple[float, list[float]]]:
    """Serve the jobs in every order there is, or that keeps each model's own: one at a time, as soon as it can be."""
    for places in permutations(range(len(instance.jobs))):
        order = [instance.jobs[place] for place in places]
        if in_turn and any(
            a > b and instance.jobs[a].model == instance.jobs[b].model for a, b in combinations(places, 2)
        ):
            continue
        now, there, found = 0.0, None, []
        for job in order:
            if job.model != there:
                now += swap_s(instance, there, job.model)
                there = job.model
            found.append(max(now, job.delay_s) - job.delay_s)
            now = max(now, job.delay_s) + job.service_s
        yield now, found


def all_visits(instance: Instance) -> Iterator[tuple[float, list[float]]]:
    """Try every row of visits to the end, remembering nothing."""

    def go_on(there: ModelId | None, ends: dict[int, float], found: list[float]) -> Iterator[tuple[float, list[float]]]:
        now = max(ends.values(), default=0.0)
        if len(ends) == len(instance.jobs):
            yield now, found
        for model in {A, B, C} - {there}:
            free = [now + swap_s(instance, there, model)] * instance.seats[model]
            served, longer = dict(ends), list(found)
            while True:
                coming = [
                    (job.delay_s + max((served[each] for each in job.after), default=0.0), place)
                    for place, job in enumerate(instance.jobs)
                    if job.model == model and place not in served and all(each in served for each in job.after)
                ]
                if not coming:
                    break
                arrival, place = min(coming)
                start = max(arrival, min(free))
                free.remove(min(free))
                served[place] = start + instance.jobs[place].service_s
                free.append(served[place])
                longer.append(start - arrival)
                yield from go_on(model, dict(served), list(longer))

    yield from go_on(None, {}, [])


@SEEDS
def test_nothing_is_better_than_the_best_of_all_orders(seed: int) -> None:
    """With one seat and services that are all the same, in whatever order anybody serves them."""
    instance = drawn(Random(seed), size=6, following=False, seats=1, services=(2.0,))
    expected = values(list(one_by_one(instance)))
    assert {aim: best(instance, aim) for aim in Aim} == pytest.approx(expected)


@SEEDS
def test_nothing_is_better_than_the_best_of_all_orders_that_keep_each_models_own(seed: int) -> None:
    """Services of any length; a model's requests are served as they came, as every scheduler here does."""
    instance = drawn(Random(seed), size=6, following=False, seats=1, services=(1.0, 2.0, 7.0))
    expected = values(list(one_by_one(instance, in_turn=True)))
    assert {aim: best(instance, aim) for aim in Aim} == pytest.approx(expected)


@SEEDS
@pytest.mark.parametrize(("following", "seats"), list(product((False, True), (1, 2))))
def test_nothing_is_better_than_the_best_of_all_visits(seed: int, *, following: bool, seats: int) -> None:
    instance = drawn(Random(seed), size=6, following=following, seats=seats, services=(1.0, 2.0, 7.0))
    expected = values(list(all_visits(instance)))
    found = {aim: best(instance, aim) for aim in Aim}
    assert found == pytest.approx(expected)
    assert {aim: best(instance, aim, at_most=found[aim]) for aim in Aim} == pytest.approx(expected)


@SEEDS
def test_no_order_needs_fewer_loads(seed: int) -> None:
    instance = drawn(Random(seed), size=7, following=True, seats=1, services=(1.0,))
    places = range(len(instance.jobs))
    orders = (
        order
        for order in permutations(places)
        if all(order.index(each) < order.index(place) for place in places for each in instance.jobs[place].after)
    )
    models = [job.model for job in instance.jobs]
    changes = min(sum(models[one] != models[other] for one, other in pairwise(order)) for order in orders)
    assert fewest_loads(instance) == changes + 1


@SEEDS
@pytest.mark.parametrize("following", [False, True])
def test_bounds_are_not_above_the_best(seed: int, *, following: bool) -> None:
    instance = drawn(Random(seed), size=7, following=following, seats=2, services=(1.0, 2.0, 7.0))
    loads = fewest_loads(instance)
    mean, worst = least_waits_s(instance)
    assert least_loads(instance) <= loads
    assert least_makespan_s(instance, loads) <= best(instance, Aim.MAKESPAN) + 1e-6
    assert mean <= best(instance, Aim.MEAN_WAIT) + 1e-6
    assert worst <= best(instance, Aim.WORST_WAIT) + 1e-6


@pytest.mark.parametrize("name", ["thread", "lone-agent", "subtasks", "title", "bursty"])
def test_nobody_is_better_than_the_best(name: str) -> None:
    workload = WORKLOADS[name]
    settings = Settings(models={ModelId(role): ModelSettings() for role in workload.roles})
    clients = workload.clients({role: ModelId(role) for role in workload.roles}, Random(0), workload.requests)
    record = Simulation(Core(settings), SERVERS).run(clients)
    instance = instance_of(record, settings, SERVERS)
    assert instance is not None
    found = waits([request.wait_s for request in record.requests])
    assert fewest_loads(instance) <= len(record.loads)
    assert best(instance, Aim.MAKESPAN) <= record.ended_at + 1e-6
    assert best(instance, Aim.MEAN_WAIT) <= found.mean_s + 1e-6
    assert best(instance, Aim.WORST_WAIT) <= found.worst_s + 1e-6


def test_the_threads_queue_needs_three_loads_and_not_six() -> None:
    jobs = tuple(Job(ModelId(name), 4.0, (), 0.1 * place) for place, name in enumerate("aabcbab"))
    instance = Instance(jobs, dict.fromkeys((A, B, C), 10), Servers())
    assert fewest_loads(instance) == 3
    # a, b, c: each is loaded in 10 s and stopped in 1 s, and serves all it has at once, in 4 s
    assert best(instance, Aim.MAKESPAN) == pytest.approx(10 + 4 + 11 + 4 + 11 + 4)


def test_there_is_no_best_where_models_may_be_there_together() -> None:
    settings = Settings(
        models={A: ModelSettings(), B: ModelSettings()},
        groups={"pair": GroupSettings(members=(A, B), swap=False)},
    )
    workload = WORKLOADS["thread"]
    record = Simulation(Core(settings), SERVERS).run(workload.clients({"a": A, "b": B, "c": B}, Random(0), 0))
    assert instance_of(record, settings, SERVERS) is None


def test_what_is_too_large_is_not_guessed() -> None:
    rng = Random(1)
    jobs = tuple(Job(rng.choice((A, B, C)), rng.random(), (), float(place)) for place in range(150))
    with pytest.raises(TooLargeError):
        best(Instance(jobs, dict.fromkeys((A, B, C), 1), SERVERS), Aim.MEAN_WAIT)
