"""The workloads that ship, by name: who asks for what, and when. Each is written for roles, which a caller casts.

Times are seconds. A request that does not say how long it takes takes as long as its model's requests usually do
(`Servers.service`). `profiles` has those that others have published figures for, `agent_traffic` the random ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .agent_traffic import agents, mix
from .cast import Cast, Rng, Workload
from .clients import Ask, Client, Join, Launch, Pause, Script, agent, arrivals
from .profiles import PROFILES
from .settings import ModelId

GAP_S: Final = 1.0
"""Between an answer and the agent's next request: a quick tool."""
POLL_S: Final = 5.0
"""Between two looks of an orchestrator at what its agents do."""
READING_S: Final = 20.0
"""Between an answer and the next message of somebody who reads it."""


def _story(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
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


def _lone_agent(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    return [
        Client("orchestrator", agent([Ask(cast["orchestrator"])] * 8, GAP_S)),
        Client("background", agent([Ask(cast["coder"])] * 6, GAP_S)),
    ]


def _subtasks(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    def orchestrator(model: ModelId) -> Script:
        for role in ("explorer", "coder", "explorer"):
            yield Ask(model)
            yield Pause(GAP_S)
            yield from agent([Ask(cast[role])] * 3, GAP_S)
            yield Pause(GAP_S)
        yield Ask(model)

    return [Client("orchestrator", orchestrator(cast["orchestrator"]))]


def _title(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    def chat(name: str) -> Script:
        yield Ask(cast["main"])
        yield Launch([Client(f"{name}, title", agent([Ask(cast["title"], service_s=1.0)], 0.0))])
        for _ in range(3):
            yield Pause(READING_S)
            yield Ask(cast["main"])

    return [Client(name, chat(name)) for name in ("chat 1", "chat 2")]


def _thread(cast: Cast, _rng: Rng, _requests: int) -> list[Client]:
    asked = [(0.1 * place, Ask(cast[role])) for place, role in enumerate("aabcbab")]
    return [Client("thread", arrivals(asked))]


def _endless(cast: Cast, _rng: Rng, requests: int) -> list[Client]:
    def busy(place: int) -> Script:
        """Their first answers come one after the other, and so do all others: some seat is always taken."""
        asks = [Ask(cast["a"])] * (requests // 4 - 1)
        return agent([Ask(cast["a"], service_s=float(place)), *asks], 0.0)

    late = arrivals([(15.0, Ask(cast["b"]))])
    return [*(Client(f"busy {place}", busy(place)) for place in range(1, 5)), Client("late", late)]


_AGENTS: Final = ("explorer", "coder", "orchestrator")

WORKLOADS: Final[Mapping[str, Workload]] = {
    workload.name: workload
    for workload in (
        Workload(
            name="story",
            summary="an orchestrator plans and polls, two explorers and a coder work beside each other",
            roles=_AGENTS,
            clients=_story,
        ),
        Workload(
            name="lone-agent",
            summary="an orchestrator and one agent in the background, each as fast as it is answered",
            roles=("coder", "orchestrator"),
            clients=_lone_agent,
        ),
        Workload(
            name="subtasks",
            summary="an orchestrator gives one task after the other to a sub-agent, and waits for it",
            roles=_AGENTS,
            clients=_subtasks,
        ),
        Workload(
            name="title",
            summary="two chats with a main model, a second model writes their titles",
            roles=("main", "title"),
            clients=_title,
        ),
        Workload(
            name="thread",
            summary="A A B C B A B, all while A loads",
            roles=("a", "b", "c"),
            clients=_thread,
        ),
        Workload(
            name="endless",
            summary="four clients keep one model busy without a break, and one request is for another",
            roles=("a", "b"),
            requests=400,
            clients=_endless,
        ),
        *PROFILES,
        Workload(
            name="agents",
            summary="sessions of coding agents with sub-agents, drawn from the quantiles of TraceLab",
            requests=500,
            clients=agents,
        ),
        Workload(
            name="mix",
            summary="independent requests for all models, the first one the most popular",
            requests=1000,
            clients=mix,
        ),
        Workload(
            name="mix-100",
            summary="the same for a hundred made-up models",
            made_up=100,
            requests=1000,
            clients=mix,
        ),
    )
}
