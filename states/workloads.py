"""The workloads that ship: who asks for what, and when. Each is written for roles, which a caller gives models.

Times are seconds. A request that does not say how long it takes takes as long as its model's requests usually do
(`Servers.service`). Randomness comes from the `rng` that is handed in, all of it before anything happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from .clients import Ask, Client, Join, Launch, Pause, Script, agent
from .settings import ModelId

Cast = Mapping[str, ModelId]
"""Which model plays each role."""


class Rng(Protocol):
    """A source of random numbers: `random.Random` is one."""

    def random(self) -> float:
        """A number from 0 up to 1, 1 excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A workload by name."""

    name: str
    summary: str
    roles: tuple[str, ...]
    """Who takes part, the most urgent first."""
    clients: Callable[[Cast, Rng], list[Client]]
    """New clients, for one run; their scripts draw from the generator before they start."""


GAP_S: Final = 1.0
"""Between an answer and the agent's next request: a quick tool."""
POLL_S: Final = 5.0
"""Between two looks of an orchestrator at what its agents do."""


def _story(cast: Cast, _rng: Rng) -> list[Client]:
    explorer, coder = cast["explorer"], cast["coder"]

    def orchestrator(model: ModelId) -> Script:
        yield Ask(model)
        crew = [
            Client("explorer 1", agent([Ask(explorer)] * 4, GAP_S)),
            Client("explorer 2", agent([Ask(explorer)] * 4, GAP_S)),
            Client("coder", agent([Ask(coder)] * 4, GAP_S)),
        ]
        yield Launch(crew)
        while not all(each.done for each in crew):
            yield Pause(POLL_S)
            yield Ask(model)
        for each in crew:
            yield Join(each)
        yield Ask(model)

    return [Client("orchestrator", orchestrator(cast["orchestrator"]))]


WORKLOADS: Final[Mapping[str, Workload]] = {
    workload.name: workload
    for workload in (
        Workload(
            name="story",
            summary="an orchestrator plans, two explorers and a coder work, it polls meanwhile and wraps up",
            roles=("explorer", "coder", "orchestrator"),
            clients=_story,
        ),
    )
}
