"""What nobody can do better, for more requests than `optimum` can look at: bounds from below.

Each leaves something out of account: a bound need not be reached. One place, as in `hindsight`.
"""

from __future__ import annotations

from itertools import accumulate

from .hindsight import Instance, swap_s
from .settings import ModelId


def least_loads(instance: Instance) -> int:
    """Every model that somebody asks for is loaded, and every change of model among requests that follow each other."""
    changes: list[int] = []
    for job in instance.jobs:
        before = ((changes[place] + (instance.jobs[place].model != job.model)) for place in job.after)
        changes.append(max(before, default=1))
    return max(len(instance.models), max(changes, default=0))


def least_makespan_s(instance: Instance, loads: int) -> float:
    """As long as the slowest row of requests that follow each other; and as all loads and all services one by one.

    Args:
        instance: what is to be done.
        loads: as few as there must be.
    """
    if not instance.jobs:
        return 0.0
    row = max(time + job.service_s for time, job in zip(_earliest(instance), instance.jobs, strict=True))
    work = sum(_work_s(instance, model) for model in instance.models)
    return max(row, work + _first_load_s(instance) + (loads - 1) * _least_swap_s(instance))


def least_waits_s(instance: Instance) -> tuple[float, float]:
    """Bound the mean and the worst wait: models come one by one, and the first request for each waits for its load."""
    if not instance.jobs:
        return 0.0, 0.0
    first: dict[ModelId, float] = {}
    for time, job in zip(_earliest(instance), instance.jobs, strict=True):
        first[job.model] = min(time, first.get(job.model, time))
    swaps = [_first_load_s(instance)] + [_least_swap_s(instance)] * (len(first) - 1)
    # In order of arrival: no other order has a smaller sum, or a smaller maximum.
    waits = [max(0.0, there - time) for there, time in zip(accumulate(swaps), sorted(first.values()), strict=True)]
    return sum(waits) / len(instance.jobs), max(waits)


def _earliest(instance: Instance) -> list[float]:
    """When each job comes if nobody ever waits, except for the first load."""
    begin = _first_load_s(instance)
    times: list[float] = []
    answered: list[float] = []
    for job in instance.jobs:
        times.append(max((answered[place] for place in job.after), default=0.0) + job.delay_s)
        answered.append(max(times[-1], begin) + job.service_s)
    return times


def _work_s(instance: Instance, model: ModelId) -> float:
    services = [job.service_s for job in instance.jobs if job.model == model]
    return max(*services, sum(services) / instance.seats[model])


def _first_load_s(instance: Instance) -> float:
    return min(swap_s(instance, None, model) for model in instance.models)


def _least_swap_s(instance: Instance) -> float:
    pairs = ((one, other) for one in instance.models for other in instance.models if one != other)
    return min((swap_s(instance, one, other) for one, other in pairs), default=0.0)
