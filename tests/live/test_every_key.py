"""A TOML file with every key in it, served: each new key does through HTTP what it says."""

from __future__ import annotations

import json
import tomllib
import typing
from pathlib import Path

import httpx
import msgspec
import trio

from proxy.config.kinds import unpack
from proxy.config.schema import Table, Tables

from .played_server import answer, open_stage
from .proxy_process import ProxyProcess, demo, error_of, running_proxy, serve_command, serving, try_chat
from .test_reload import reload

FILE = """
[server]
listen = "127.0.0.1:0"
start_port = 21900
shutdown_timeout = "20s"
send_timeout = "1m"
max_body = "1MiB"
api_keys = ["key"]
log_level = "info"
log_format = "text"

[scheduler]
strategy = "fifo+"

[macros]
server = "trio-swap demo-model --name ${MODEL_ID} --port ${PORT} --load 0.05 --service 0"
context = 4096

[defaults]
cmd = "${server}"
cmd_stop = "kill ${PID}"
proxy = "http://127.0.0.1:${PORT}"
check_endpoint = "/health"
load_timeout = "30s"
unload_timeout = "5s"
priority = 0
unload_delay = 0
min_loaded = 0
max_wait = "5m"
concurrency = 4
queue_limit = 100
ttl = 0
env = ["GREETING=hello"]
cwd = "/"
unlisted = false
[defaults.filters]
strip_params = "max_tokens"
set_params."messages.0.content" = "said by ${MODEL_ID}"
set_params_by_id."${MODEL_ID}:quiet"."messages.0.content" = "quiet"
[defaults.timeouts]
connect = 5
response_header = 30
idle = 60
[defaults.capabilities]
in = ["text"]
out = ["text"]
tools = true
reranker = false
context = "${context}"

[models.chat]
cmd = "${server}"
cmd_stop = "kill ${PID}"
proxy = "http://127.0.0.1:${PORT}"
check_endpoint = "/health"
load_timeout = "30s"
unload_timeout = "5s"
priority = 1
unload_delay = 0
min_loaded = 0
max_wait = "5m"
concurrency = 4
queue_limit = 100
ttl = "1h"
env = { GREETING = "hello" }
cwd = "/"
unlisted = false
aliases = ["gpt-4o"]
name = "Chat"
description = "answers"
use_model_name = "org/chat"
metadata = { window = "${context}", exact = 1.0 }
macros = { context = 8192 }
[models.chat.filters]
strip_params = ["max_tokens"]
set_params."messages.0.content" = "set"
set_params_by_id."chat:high"."messages.0.content" = "high ${context}"
[models.chat.timeouts]
connect = 5
response_header = 30
idle = 60
[models.chat.capabilities]
in = ["text", "image"]
out = ["text"]
tools = true
reranker = true
context = "${context}"

[models.embed]
[models.large]

[models.seen]
cmd = ["sleep", "600"]
proxy = "http://127.0.0.1:@SEEN@"
check_endpoint = "none"
use_model_name = "org/seen"
filters = { strip_params = "seed", set_params = { "options.n" = 1 }, set_params_by_id.fast = { effort = "low" } }

[matrix]
vars = { c = "chat", e = "embed" }
evict_costs = { c = 5 }
sets = { usual = "c & e", big = "large & e", one = "seen" }

[hooks.on_startup]
preload = ["embed"]

[selectors.any]
strategy = "warm"
targets = ["large", "chat"]
spillover = 1
name = "Any"
description = "whatever is loaded"
unlisted = false
metadata = { kind = "selector" }

[profiles.night]
description = "nothing large"
pins = { large = "chat", remote = "far/there", off = "" }

[peers.far]
proxy = "@FAR@"
models = ["there"]
api_key = "far-key"
concurrency = 2
filters = { strip_params = "max_tokens", set_params = { "messages.0.content" = "filtered" }, set_params_by_id = {} }
timeouts = { connect = 5, response_header = 30, idle = 60 }
"""
_OF_NAMES = {"models", "groups", "selectors", "profiles", "peers"}


def keys_of(table: type[Table], prefix: str = "") -> set[str]:
    """Every key of a table and of those below it, with its path; `*` is any name."""
    found: set[str] = set()
    for field in msgspec.structs.fields(table):
        path = prefix + field.encode_name
        base, _, _ = unpack(field.type)
        inner = path + "."
        if typing.get_origin(base) is dict and field.encode_name in _OF_NAMES:
            base, _, _ = unpack(typing.get_args(base)[1])
            inner = path + ".*."
        if isinstance(base, type) and issubclass(base, Table):
            found |= keys_of(base, inner)
        else:
            found.add(path)
    return found


def written_in(value: object, known: set[str], path: tuple[str, ...] = ()) -> set[str]:
    """Which of the known keys a file has."""
    shown = ".".join(
        "*" if len(path) > 1 and place == 1 and path[0] in _OF_NAMES else each for place, each in enumerate(path)
    )
    if shown in known or not isinstance(value, dict):
        return {shown}
    return {key for name, inner in value.items() for key in written_in(inner, known, (*path, name))}


def test_the_file_has_every_key_there_is() -> None:
    """But for groups, which a matrix excludes: `tests/proxy/test_config.py` has them."""
    known = keys_of(Tables)
    missing = known - written_in(tomllib.loads(FILE), known)
    assert missing == {key for key in known if key.startswith("groups.")}


async def said(client: httpx.AsyncClient, model: str) -> str:
    """What is answered; a demo model repeats what it was told last."""
    response = await try_chat(client, model, max_tokens=1)
    assert response.status_code == httpx.codes.OK, response.text
    return str(response.json()["choices"][0]["message"]["content"])


async def loaded(client: httpx.AsyncClient) -> set[str]:
    return {each["model"] for each in (await client.get("/running")).json()["running"]}


async def test_each_key_of_a_file_with_all_of_them_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    async with (
        open_stage() as stage,
        running_proxy(tmp_path / "far", demo("there", tokens=50), server='api_keys = ["far-key"]') as far,
    ):
        filled = FILE.replace("@FAR@", far.url).replace("@SEEN@", str(stage.port))
        file = tmp_path / "config.toml"
        file.write_text(filled)
        async with serving(serve_command(file)) as proxy, proxy.client() as client:
            assert error_of(await try_chat(client, "chat"))["code"] == "unauthorized"
            client.headers["authorization"] = "Bearer key"
            await _listing(client)
            await _filters_and_residency(client, proxy)
            await _profile_and_peer(client)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(said_by_stage, client)
                line = await stage.asked()
                assert json.loads(line.body) == {"model": "org/seen", "options": {"n": 1}, "effort": "low"}
                await line.send(answer(b"ok"))
            assert await loaded(client) == {"seen"}


async def said_by_stage(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/completions", json={"model": "fast", "seed": 1})).content == b"ok"


async def _listing(client: httpx.AsyncClient) -> None:
    listed = {entry["id"]: entry for entry in (await client.get("/v1/models")).json()["data"]}
    assert set(listed) == {"chat", "embed", "large", "seen", "any", "far/there"}
    chat, selector = listed["chat"], listed["any"]
    assert (chat["name"], chat["description"], chat["context_length"]) == ("Chat", "answers", 8192)
    assert chat["architecture"]["modality"] == "text+image->text"
    assert chat["capabilities"] == {"vision": True, "function_calling": True, "reranker": True}
    assert chat["meta"]["llamaswap"]["window"] == 8192
    assert listed["large"]["context_length"] == 4096
    assert (selector["name"], selector["description"]) == ("Any", "whatever is loaded")
    assert selector["meta"]["llamaswap"]["kind"] == "selector"


async def _filters_and_residency(client: httpx.AsyncClient, proxy: ProxyProcess) -> None:
    assert "set" in await said(client, "gpt-4o")
    assert await loaded(client) == {"chat", "embed"}
    assert "high 8192" in await said(client, "chat:high")
    assert "said by embed" in await said(client, "embed")
    assert "set" in await said(client, "any")  # chat, the one that is loaded
    assert "quiet" in await said(client, "large:quiet")
    assert await loaded(client) == {"large", "embed"}
    assert "said by large" in await said(client, "any")
    assert proxy.loads == ["embed", "chat", "large"]


async def _profile_and_peer(client: httpx.AsyncClient) -> None:
    assert "filtered" in await said(client, "far/there")
    assert "filtered" in await said(client, "there")
    assert (await client.put("/api/profiles/active", json={"name": "night"})).status_code == httpx.codes.OK
    await reload(client)
    assert (await client.get("/api/profiles")).json()["active"] == "night"
    assert "filtered" in await said(client, "remote")
    assert error_of(await try_chat(client, "off"))["code"] == "model_not_found"
    assert "set" in await said(client, "large")
    assert await loaded(client) == {"chat", "embed"}
