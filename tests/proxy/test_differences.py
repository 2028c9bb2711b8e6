"""What a reload starts anew, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Config, load_config
from proxy.config.differences import Differences, differences

ENVIRONMENT = {"KEY": "secret"}
BASE = """
macros.context = 4096
[defaults]
env = ["LEVEL=1"]
[models.a]
cmd = "server --port ${PORT} --ctx ${context}"
[models.b]
cmd = "server --port ${PORT}"
"""


def read(folder: Path, text: str) -> Config:
    file = folder / "config.toml"
    file.write_text(text)
    return load_config(file, ENVIRONMENT)


def between(folder: Path, old: str, new: str) -> Differences:
    return differences(read(folder, old), read(folder, new))


@pytest.mark.parametrize(
    "lines",
    [
        "filters = { strip_params = 'x', set_params.y = 1, set_params_by_id.v.z = 2 }",
        "use_model_name = 'other'",
        "timeouts = { connect = 1, response_header = 2, idle = 3 }",
        "capabilities = { in = ['text'], out = ['text'], tools = true, reranker = true, context = 1 }",
        "metadata = { a = 1 }",
        "macros.nobody = 'uses this'",
        "aliases = ['x']\nname = 'B'\ndescription = 'b'\nunlisted = true",
        "cmd_stop = 'kill ${PID}'\nunload_timeout = 1\nload_timeout = 1\ncheck_endpoint = '/'",
        "priority = 1\nunload_delay = 1\nmin_loaded = 1\nmax_wait = 1\nconcurrency = 1\nqueue_limit = 1\nttl = 9",
        "proxy = 'http://127.0.0.1:${PORT}/'",
        "[selectors.s]\nstrategy = 'warm'\ntargets = ['a', 'b']",
        "[profiles.p]\npins.x = 'a'",
        "[peers.p]\nproxy = 'http://127.0.0.1:9'\nmodels = ['m']",
        "[matrix]\nsets.both = 'a & b'",
        "[groups.g]\nmembers = ['a', 'b']\nswap = false",
        "[scheduler]\nstrategy = 'fifo'",
        "[hooks.on_startup]\npreload = ['a']",
    ],
)
def test_what_a_server_does_not_have_to_know_restarts_none(lines: str, tmp_path: Path) -> None:
    assert between(tmp_path, BASE, f"{BASE}{lines}\n") == Differences(added=(), removed=(), restarted=(), fixed=())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--ctx ${context}", "--ctx 4096"),
        ("context = 4096", "context = '4096'"),
        ("--ctx ${context}", "--ctx   '4096'"),
        ('cmd = "server --port ${PORT}"\n', "cmd = ['server', '--port', '${PORT}']\nenv = ['LEVEL=1']\n"),
    ],
)
def test_the_same_words_written_in_another_way_restart_none(old: str, new: str, tmp_path: Path) -> None:
    assert old in BASE
    assert between(tmp_path, BASE, BASE.replace(old, new)).restarted == ()


@pytest.mark.parametrize(
    ("old", "new", "restarted"),
    [
        ("context = 4096", "context = 8192", ("a",)),
        ("--ctx ${context}", "--ctx ${MODEL_ID}", ("a",)),
        ("LEVEL=1", "LEVEL=2", ("a", "b")),
        ("LEVEL=1", "LEVEL=${context}", ("a", "b")),
        ("[models.b]\n", "[models.b]\ncwd = '/tmp'\n", ("b",)),
        ("[models.b]\n", "[models.b]\nproxy = 'http://127.0.0.1:${PORT}/v1'\n", ("b",)),
        ("[models.b]\n", "[models.b]\nproxy = 'http://127.0.0.1:1'\n", ("b",)),
        ("[models.a]\n", "[models.a]\nmacros.context = 1\n", ("a",)),
        ("[models.b]\n", "[models.b]\nmacros.context = 1\n", ()),
    ],
)
def test_what_a_server_was_started_with_restarts_it_macros_and_defaults_included(
    old: str, new: str, restarted: tuple[str, ...], tmp_path: Path
) -> None:
    assert between(tmp_path, BASE, BASE.replace(old, new)).restarted == restarted


def test_a_port_of_its_own_is_not_one_that_is_written_down(tmp_path: Path) -> None:
    text = "[models.a]\ncmd = 'x {port} {other}'\nenv = ['P=${{PORT}}']\n"
    old, new = text.format(port="${PORT}", other=1), text.format(port=0, other=1)
    assert between(tmp_path, old, new).restarted == ("a",)


def test_models_come_and_go_by_their_ids(tmp_path: Path) -> None:
    found = between(tmp_path, BASE, BASE.replace("[models.b]", "[models.c]"))
    assert (found.added, found.removed, found.restarted) == (("c",), ("b",), ())
    assert str(found) == "new: c; gone: b"


def test_what_needs_a_new_start_of_the_proxy_is_named(tmp_path: Path) -> None:
    found = between(tmp_path, BASE, f"{BASE}[server]\nlisten = '127.0.0.1:1'\nstart_port = 1\nlog_format = 'json'\n")
    assert found.fixed == ("server.listen", "server.start_port", "server.log_format")
    assert between(tmp_path, BASE, f"{BASE}[server]\nlog_level = 'debug'\nmax_body = 1\napi_keys = ['k']\n").fixed == ()
