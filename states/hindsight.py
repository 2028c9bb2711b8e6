"""A simulation's requests as they are known afterwards: what the best possible order for them is measured on.

One place: a single model can be there at a time. A request comes at its time, or so long after the answers without
which it would not have been sent; whoever decides in another order moves what follows. So workloads whose clients look
at each other, such as the polling of `story`, are other requests under every variant, and measured each on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .clients import Fate
from .residency import policy_of
from .settings import ModelId, Settings
from .simulation import Record, Servers

_DIGITS = 6
"""Of seconds: what differs by less is the same."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request."""

    model: ModelId
    service_s: float
    after: tuple[int, ...]
    """Places of the jobs that must be answered before it comes; they are smaller than its own."""
    delay_s: float
    """Seconds after the last of those answers; if there are none, after the first arrival of all."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What was to be done. Nothing is loaded in the beginning."""

    jobs: tuple[Job, ...]
    seats: Mapping[ModelId, int]
    servers: Servers

    @property
    def models(self) -> tuple[ModelId, ...]:
        """Those that somebody asks for, in order of the jobs."""
        return tuple(dict.fromkeys(job.model for job in self.jobs))


def instance_of(record: Record, settings: Settings, servers: Servers) -> Instance | None:
    """Return what the served requests of a record come to; None where two of their models may be there together."""
    served = [request for request in record.requests if request.fate is Fate.SERVED]
    models = {request.model for request in served}
    policy = policy_of(settings)
    if any(not models - {model} <= policy.displaced_by(model) for model in models):
        return None
    places = {request.number: place for place, request in enumerate(served)}
    begin = min((request.arrived_at for request in record.requests), default=0.0)
    jobs = []
    for request in served:
        answered = [record.requests[number].ended_at for number in request.answers]
        after = tuple(sorted(places[number] for number in request.answers if number in places))
        delay = request.arrived_at - (max(answered) if after else begin)
        jobs.append(Job(request.model, request.service_s, after, round(delay, _DIGITS)))
    return Instance(tuple(jobs), {model: settings.models[model].concurrency for model in models}, servers)


def swap_s(instance: Instance, before: ModelId | None, model: ModelId) -> float:
    """How long it takes from the last answer of `before` until `model` can serve; None: nothing is there."""
    stop = 0.0 if before is None else instance.servers.stop.of_model(before)
    return stop + instance.servers.load.of_model(model, before)
