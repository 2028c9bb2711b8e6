"""The bound of rule 7: how long a ticket waits at most, from settings and from how long things take at most.

`max_wait + (k + 2) * (V + C)`. Of a configuration, before anything has happened: k is how many other models in the same
field have a `max_wait`; V the longest visit with every line as full as `queue_limit` lets it get, in services one after
another; C the longest stop and the longest load there. Failed loads and unloads on request come on top.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .contention import Contention
from .settings import ModelId, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """`wait + visits * (services * S + swap)`, S being the longest service; all times in seconds."""

    wait_s: float
    """From when on, after its arrival, nothing that the ticket outranks is in its way."""
    visits: int
    """k + 2; 1: nobody is ever in its way."""
    services: int
    """V: so many one after another, in a visit."""
    swap_s: float
    """C."""

    def seconds(self, service_s: float) -> float:
        """The bound, where no service takes longer than `service_s`."""
        return self.wait_s + self.visits * (self.services * service_s + self.swap_s)

    @property
    def fixed_s(self) -> float:
        """The part of it that has nothing to do with services."""
        return self.wait_s + self.visits * self.swap_s

    @property
    def all_services(self) -> int:
        """How many services there are in it."""
        return self.visits * self.services


def services_in_a_visit(lines: Iterable[tuple[int, int]]) -> int:
    """V, in services one after another: whoever waits, over the seats, and the rest of what is in flight.

    Args:
        lines: of each model, how many may wait for it and how many seats it has.
    """
    return max(-(-waiting // seats) for waiting, seats in lines) + 1


def worst_wait(
    contention: Contention, model: ModelId, *, load_s: Mapping[ModelId, float], stop_s: Mapping[ModelId, float]
) -> Bound | None:
    """Return the bound on what a ticket for `model` waits, from its arrival until it is served.

    Args:
        contention: of the settings.
        model: whose ticket.
        load_s: of each model, the longest load in seconds.
        stop_s: of each model, the longest stop in seconds.

    Returns:
        None: the rules promise none (no `max_wait`, and it does not go first anyway), or depend on who came before
        (`fifo`: `wait_behind`).
    """
    of = contention.settings.models
    field = contention.field_of(model)
    swap_s = max(stop_s[other] for other in field) + max(load_s[other] for other in field)
    services = services_in_a_visit((of[other].queue_limit, of[other].concurrency) for other in field)
    if len(field) == 1:
        return Bound(wait_s=0.0, visits=1, services=services, swap_s=swap_s)
    if contention.settings.strategy is Strategy.FIFO:
        return None
    if contention.goes_first_at_once(model):
        return Bound(wait_s=0.0, visits=2, services=services, swap_s=swap_s)
    if of[model].max_wait_s <= 0:
        return None
    others = sum(of[other].max_wait_s > 0 for other in field - {model})
    return Bound(wait_s=of[model].max_wait_s, visits=others + 2, services=services, swap_s=swap_s)


def wait_behind(ahead: int, *, service_s: float, swap_s: float) -> float:
    """Return the bound on a wait under `fifo`, in seconds.

    Args:
        ahead: who waited or was served when the ticket arrived.
        service_s: the longest service.
        swap_s: the longest stop and load.
    """
    return (ahead + 1) * (service_s + swap_s)
