"""The answer of `GET /api/queue` that docs/api.md shows and docs/top.md draws: the whole proxy, in virtual time.

`python -m tests.proxy.shown_queue` prints both, for the pages.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import trio
import trio.testing

from proxy.answers import QueueAnswer
from proxy.top.frame import Sight, frame
from proxy.top.layout import UNICODE
from proxy.top.polling import Look

from .fake_fleet import PROXY_PORT, Behaviour, stage, table

MODELS = (
    table("orchestrator", "priority = 1")
    + table("explorer", "priority = 3\nunload_delay = 5\nconcurrency = 4")
    + table("coder", "priority = 2\nunload_delay = 5\nconcurrency = 4")
    + table("embed", "concurrency = 8")
)
GROUPS = """
[groups.main]
members = ["orchestrator", "explorer", "coder"]

[groups.small]
members = ["embed"]
exclusive = false
persistent = true
"""
BEHAVIOURS = {
    "orchestrator": Behaviour(load_s=8.2, service_s=3.1),
    "explorer": Behaviour(load_s=6.4, service_s=2.5),
    "coder": Behaviour(load_s=7.3, service_s=4.0),
    "embed": Behaviour(load_s=1.6, service_s=0.2),
}
ARRIVALS = ((0.3, "orchestrator"), (1.1, "explorer"), (1.2, "explorer"), (2.0, "coder"), (15.3, "orchestrator"))
"""When who asks, in seconds; the orchestrator plans and delegates, and then it asks how they are doing."""
EMBED_S = 22.0
LOOKED_S = 22.3
WIDTH = 80
_LINE = 80
"""Characters of a line of JSON that can be seen on the site without pushing it sideways, but for its indent."""


async def play(folder: Path) -> dict[str, Any]:
    """Play the scene on a virtual clock, and return what the proxy answers at `LOOKED_S`."""
    async with stage(folder, MODELS, BEHAVIOURS, GROUPS) as scene, trio.open_nursery() as nursery:
        began = trio.current_time()
        for at, model in (*ARRIVALS, (EMBED_S, "embed")):
            await trio.sleep_until(began + at)
            nursery.start_soon(scene.ask, model)
        await trio.sleep_until(began + LOOKED_S)
        async with scene.network.client(PROXY_PORT) as client:
            answer: dict[str, Any] = (await client.get("/api/queue")).raise_for_status().json()
        nursery.cancel_scope.cancel()
    return answer


def as_json(answer: dict[str, Any]) -> str:
    """The answer as the page has it: what is in a list has lines of its own."""
    parts = []
    for name, value in answer.items():
        rows = ",\n".join(f"    {_row(row)}" for row in value) if isinstance(value, list) else ""
        parts.append(f'  "{name}": ' + (f"[\n{rows}\n  ]" if rows else json.dumps(value)))
    return "{\n" + ",\n".join(parts) + "\n}"


def _row(row: dict[str, Any]) -> str:
    lines = [""]
    for piece in re.split(r", (?=\")", json.dumps(row)):
        if lines[-1] and len(f"{lines[-1]}, {piece},") > _LINE:
            lines.append("")
        lines[-1] += f", {piece}" if lines[-1] else piece
    return ",\n     ".join(lines)


def as_drawn(answer: dict[str, Any], width: int = WIDTH) -> str:
    """The answer as `trio-swap top` draws it, without colours."""
    look = Look(queue=msgspec.convert(answer, QueueAnswer), ailment="")
    return "\n".join(
        line.plain.rstrip() for line in frame(Sight(target="http://127.0.0.1:8080", look=look), width, None, UNICODE)
    )


def _print() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = trio.testing.MockClock(autojump_threshold=0)
        answer = trio.run(play, Path(folder), clock=clock)
    sys.stdout.write(f"{as_json(answer)}\n\n{as_drawn(answer)}\n")


if __name__ == "__main__":
    _print()
