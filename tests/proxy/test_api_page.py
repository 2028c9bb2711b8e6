"""The page about the HTTP API names every route that there is and every field that is sent, and no other."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import trio.testing

from proxy.answers import CountsAnswer, GroupAnswer, QueueAnswer, SwapAnswer, TicketAnswer
from proxy.app import Proxy
from proxy.config import load_config
from proxy.config.differences import Differences
from proxy.history import Outcome
from proxy.reload import Reloaded
from proxy.routes import _OPEN_PATHS, _RELAYED
from proxy.status import _RUNNING_STATES, _reason, reload_view
from states.group import GroupState
from states.reasons import Reason
from states.settings import ModelId, Strategy
from tests.memory_network import MemoryNetwork

from . import shown_queue
from .fake_fleet import PROXY_PORT, Behaviour, FakeFleet, stage, table

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
STRUCTS = {
    "The queue": QueueAnswer,
    "Groups": GroupAnswer,
    "Who waits": TicketAnswer,
    "Swaps": SwapAnswer,
    "Counts": CountsAnswer,
}


def section(title: str) -> str:
    """What stands below a heading, up to the next one."""
    (found,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def rows(title: str) -> dict[str, str]:
    """The tables below a heading: the code in their first column, and the rest of the row."""
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", section(title), re.MULTILINE))


def block(title: str) -> str:
    (found,) = re.findall(r"^```json\n(.*?)\n```$", section(title), re.DOTALL | re.MULTILINE)
    return str(found)


def codes(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


async def test_every_route_is_on_the_page_and_nothing_else_is(nursery: trio.Nursery, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(table("a"))
    routes = Proxy(load_config(file), FakeFleet(MemoryNetwork(nursery), {}).launch).routes
    below = {f"{beginning}{{id}}": answers for beginning, answers in routes._below.items()}
    served = {f"{method} {path}" for path, answers in {**routes._own, **below}.items() for method in answers}
    told = set(rows("What the proxy answers itself"))
    missing, extra = sorted(served - told), sorted(told - served)
    assert not missing, f"docs/api.md: `What the proxy answers itself` lacks a row for {', '.join(missing)}"
    assert not extra, f"docs/api.md has a row for {', '.join(extra)}, which the proxy does not serve"


def test_every_path_that_is_relayed_is_on_the_page() -> None:
    assert set(rows("What is relayed")) == {"POST /v1/…", *(f"POST {path}" for path in _RELAYED)}


def test_what_is_open_without_a_key_is_on_the_page() -> None:
    (said,) = re.findall(r"everything but (.*?) wants one of them", PAGE)
    assert codes(said) == _OPEN_PATHS


@pytest.mark.parametrize("title", STRUCTS)
def test_every_field_of_the_queue_is_on_the_page_in_its_order(title: str) -> None:
    assert list(rows(title)) == [field.name for field in msgspec.structs.fields(STRUCTS[title])]


def test_every_word_for_a_state_is_on_the_page() -> None:
    assert {state.value for state in GroupState} <= codes(rows("Groups")["state"])
    assert {outcome.value for outcome in Outcome} <= codes(rows("Swaps")["outcome"])
    assert {strategy.value for strategy in Strategy} <= codes(rows("The queue")["strategy"])
    assert set(_RUNNING_STATES.values()) <= codes(section("Running").rpartition("```")[2])


def test_every_reason_is_on_the_page_with_its_fields() -> None:
    told = {kind: codes(rest.partition(" | ")[0]) for kind, rest in rows("Reasons").items()}
    reasons = [kind(**{field.name: 1.0 for field in fields(kind)}) for kind in get_args(Reason)]
    sent = [_reason(reason, 0.0) for reason in reasons]
    assert told == {str(each.pop("kind")): set(each) for each in sent}


def test_every_field_of_a_reload_is_on_the_page() -> None:
    found = Differences(added=(ModelId("title"),), removed=(), restarted=(ModelId("coder"),), fixed=())
    sent = reload_view(Reloaded(at=0.0, cause="asked to reload", differences=found, report=str(found)), 0.0)
    assert list(rows("Reloading")) == list(sent)
    assert json.loads(block("Reloading")) == json.loads(msgspec.json.encode(sent))
    refused = reload_view(Reloaded(at=0.0, cause="SIGHUP", differences=None, report="x"), 0.0)
    assert set(sent) - set(refused) == {"added", "removed", "restarted", "fixed"}


async def test_the_list_of_models_is_what_the_page_shows(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    coder = table("coder", 'name = "Coder"\ndescription = "Writes code."')
    async with (
        stage(tmp_path, coder, {"coder": Behaviour()}) as scene,
        scene.network.client(PROXY_PORT) as client,
    ):
        sent, one = (await client.get("/v1/models")).json(), (await client.get("/v1/models/coder")).json()
    shown = json.loads(block("Models"))
    when = {name: sent["data"][0][name] for name in ("created", "created_at")}
    shown["data"] = [{**shown["data"][0], **when}]
    assert sent == shown
    assert one == shown["data"][0]


async def test_the_queue_on_the_page_is_what_the_proxy_answered(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    # `python -m tests.proxy.shown_queue` prints it.
    assert block("The queue") == shown_queue.as_json(await shown_queue.play(tmp_path))
