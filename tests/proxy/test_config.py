"""config.toml: what it may say, what it means, and how every mistake in it is shown."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from proxy.config import Config, ConfigError, effective, load_config
from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy

ENVIRONMENT = {"KEY": "s3cret", "HOME": "/home/me", "TRAP": "${PORT} ${env.KEY}", "TWO": "two words", "LINE": "a\nb"}
CMD = 'cmd = "server --port ${PORT}"\n'


def load(text: str | bytes, folder: Path) -> Config:
    file = folder / "config.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(file, ENVIRONMENT)


def mistakes(text: str | bytes, folder: Path) -> list[str]:
    """Return `line:column message` of every mistake, in the order shown."""
    with pytest.raises(ConfigError) as caught:
        load(text, folder)
    report = str(caught.value)
    assert all(each.message in report for each in caught.value.mistakes)
    return [f"{each.line}:{each.column} {each.message}" for each in caught.value.mistakes]


def one_mistake(text: str | bytes, folder: Path) -> str:
    [mistake] = mistakes(text, folder)
    return mistake


# --- what is right


def test_a_model_needs_a_command_and_nothing_else(tmp_path: Path) -> None:
    config = load(f"[models.a]\n{CMD}", tmp_path)
    assert config.listen == ("127.0.0.1:8080",)
    assert (config.start_port, config.shutdown_timeout_s, config.max_body_bytes) == (5800, 30, 256 * 2**20)
    assert (config.api_keys, config.log_level, config.log_format, config.preload) == ((), "info", "text", ())
    assert config.settings == Settings(models={ModelId("a"): ModelSettings()})
    model = config.models[ModelId("a")]
    assert (model.check_endpoint, model.load_timeout_s, model.cwd, model.unlisted) == ("/health", 120, None, False)
    assert (model.aliases, model.name, model.description, model.cmd_stop) == ((), None, None, None)
    assert model.command(5801) == ["server", "--port", "5801"]
    assert model.url(5801) == "http://127.0.0.1:5801"
    assert model.stop_command(5801, 7) is None


def test_every_key_has_its_place(tmp_path: Path) -> None:
    config = load(
        """
        [server]
        listen = ["127.0.0.1:0", "[::1]:8080", "unix:/tmp/x.sock"]
        start_port = 6000
        shutdown_timeout = "1m"
        max_body = "1GiB"
        api_keys = ["${env.KEY}", "plain"]
        log_level = "debug"
        log_format = "json"
        [scheduler]
        strategy = "fifo"
        [models."org/a.b"]
        cmd = ["run", "${MODEL_ID}", "${PORT}", "${env.TWO}"]
        cmd_stop = "stop ${PID} ${PORT} '${MODEL_ID}'"
        proxy = "http://localhost:${PORT}/base/"
        check_endpoint = "none"
        load_timeout = "1500ms"
        unload_timeout = 0.5
        priority = -3
        unload_delay = 1
        min_loaded = "2s"
        max_wait = 0
        concurrency = 2
        queue_limit = 3
        ttl = "1h"
        env = { A = "${env.HOME}", P = "${PORT}" }
        cwd = "${env.HOME}/${MODEL_ID}"
        aliases = ["x"]
        name = "X"
        description = "the x"
        unlisted = true
        [groups.main]
        members = ["org/a.b"]
        swap = false
        exclusive = false
        persistent = true
        [hooks.on_startup]
        preload = ["x"]
        """,
        tmp_path,
    )
    name = ModelId("org/a.b")
    assert config.listen == ("127.0.0.1:0", "[::1]:8080", "unix:/tmp/x.sock")
    assert (config.start_port, config.shutdown_timeout_s, config.max_body_bytes) == (6000, 60, 2**30)
    assert (config.api_keys, config.log_level, config.log_format) == (("s3cret", "plain"), "debug", "json")
    assert config.preload == (name,)
    assert config.settings == Settings(
        models={
            name: ModelSettings(
                priority=-3,
                unload_delay_s=1,
                min_loaded_s=2,
                max_wait_s=0,
                concurrency=2,
                queue_limit=3,
                ttl_s=3600,
                unload_timeout_s=0.5,
            )
        },
        groups={"main": GroupSettings(members=(name,), swap=False, exclusive=False, persistent=True)},
        strategy=Strategy.FIFO,
    )
    model = config.models[name]
    assert model.command(1) == ["run", "org/a.b", "1", "two words"]
    assert model.stop_command(1, 2) == ["stop", "2", "1", "org/a.b"]
    assert model.url(1) == "http://localhost:1/base"
    assert model.environment(1) == {"A": "/home/me", "P": "1"}
    assert (model.check_endpoint, model.load_timeout_s, model.cwd) == (None, 1.5, "/home/me/org/a.b")
    assert (model.aliases, model.name, model.description, model.unlisted) == (("x",), "X", "the x", True)


def test_an_alias_is_the_model_that_has_it(tmp_path: Path) -> None:
    config = load(f"[models.a]\n{CMD}aliases = ['b']\n[models.c]\n{CMD}", tmp_path)
    assert [config.resolve(name) for name in ("a", "b", "c", "d", "")] == ["a", "a", "c", None, None]


def test_a_models_own_key_replaces_the_default(tmp_path: Path) -> None:
    config = load(
        f"[defaults]\n{CMD}max_wait = '10s'\nenv = ['A=1']\n[models.a]\n[models.b]\nmax_wait = 0\nenv = ['B=2']\n",
        tmp_path,
    )
    assert [each.max_wait_s for each in config.settings.models.values()] == [10, 0]
    assert [each.env for each in config.models.values()] == [{"A": "1"}, {"B": "2"}]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("5", 5), ("0.25", 0.25), ('"1500ms"', 1.5), ('"5s"', 5), ('"2m"', 120), ('"1h"', 3600), ('"0.5h"', 1800)],
)
def test_a_duration_is_a_number_of_seconds_or_has_a_unit(written: str, seconds: float, tmp_path: Path) -> None:
    config = load(f"[models.a]\n{CMD}load_timeout = {written}\n", tmp_path)
    assert config.models[ModelId("a")].load_timeout_s == seconds


@pytest.mark.parametrize(
    "written", ["nan", "inf", "-1", "true", '""', '"5"', '"5 s"', '"5S"', '"-5s"', '"1e3s"', '"٣s"', "[]"]
)
def test_what_is_no_duration_is_refused(written: str, tmp_path: Path) -> None:
    assert one_mistake(f"[models.a]\n{CMD}max_wait = {written}\n", tmp_path).startswith(
        "3:12 models.a.max_wait: expected a duration"
    )


@pytest.mark.parametrize("written", [f"1{'0' * 400}", f"-1{'0' * 400}", "1e300", '"999999999999999h"'])
def test_a_number_beyond_all_measure_is_refused(written: str, tmp_path: Path) -> None:
    for key in ("max_wait", "priority", "concurrency"):
        assert f"models.a.{key}: expected" in one_mistake(f"[models.a]\n{CMD}{key} = {written}\n", tmp_path)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("a 'b c' \"d e\" f\\ g", ["a", "b c", "d e", "f g"]),
        ("a \\\n  b", ["a", "b"]),
        ("a b\\\nc", ["a", "bc"]),
        ("# first\na\n  # second\n  --b\n", ["a", "--b"]),
        ("a \\\n# not this\n b", ["a", "b"]),
        ("a \\\\\nb", ["a", "\\", "b"]),
        ("a --x=#1 #2", ["a", "--x=#1", "#2"]),
        ("a && b | c > $HOME *", ["a", "&&", "b", "|", "c", ">", "$HOME", "*"]),
        ("a ''", ["a", ""]),
        ("a '\x1e# \u2028# b'", ["a", "\x1e# \u2028# b"]),
    ],
)
def test_a_command_is_split_as_a_shell_splits_it_and_nothing_is_expanded(
    command: str, words: list[str], tmp_path: Path
) -> None:
    text = tomli_w.dumps({"models": {"a": {"cmd": command, "proxy": "http://127.0.0.1:9000"}}})
    assert load(text, tmp_path).models[ModelId("a")].command(1) == words


def test_a_value_that_looks_like_a_placeholder_stays_what_it_is(tmp_path: Path) -> None:
    config = load("[models.'${PORT}']\ncmd = 'x ${PORT} ${MODEL_ID} ${env.TRAP}'\n", tmp_path)
    assert config.models[ModelId("${PORT}")].command(7) == ["x", "7", "${PORT}", "${PORT} ${env.KEY}"]


def test_a_server_with_an_address_of_its_own_needs_no_port(tmp_path: Path) -> None:
    config = load(f"[models.a]\ncmd = 'x'\nproxy = 'http://127.0.0.1:9000'\n[models.b]\n{CMD}", tmp_path)
    assert [model.needs_port for model in config.models.values()] == [False, True]
    assert config.models[ModelId("a")].url(5800) == "http://127.0.0.1:9000"


def test_a_server_may_learn_its_port_from_its_environment(tmp_path: Path) -> None:
    config = load("[models.a]\ncmd = 'x'\nenv = ['HOST=127.0.0.1:${PORT}']\n", tmp_path)
    assert config.models[ModelId("a")].environment(9) == {"HOST": "127.0.0.1:9"}
    assert config.models[ModelId("a")].needs_port


def test_trio_swap_is_found_when_it_is_not_on_the_path(tmp_path: Path) -> None:
    text = "[models.a]\ncmd = 'trio-swap demo-model --port ${PORT}'\nenv = ['PATH=/nowhere']\n"
    first, *rest = load(text, tmp_path).models[ModelId("a")].command(1)
    assert rest[-3:] == ["demo-model", "--port", "1"]
    assert Path(first).is_absolute()
    assert Path(first).parent == Path(sys.executable).parent


def test_trio_swap_on_the_path_is_taken_from_there(tmp_path: Path) -> None:
    program = tmp_path / "trio-swap"
    program.touch(mode=0o755)
    text = f"[models.a]\ncmd = 'trio-swap demo-model --port ${{PORT}}'\nenv = ['PATH={tmp_path}']\n"
    assert load(text, tmp_path).models[ModelId("a")].command(1)[0] == "trio-swap"


def test_addresses_that_others_can_reach_without_a_key_are_told_apart(tmp_path: Path) -> None:
    listen = ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/x", "0.0.0.0:1", "[::]:1", "gpu.lan:1"]
    text = f"server.listen = {listen}\nmodels.a.cmd = 'x ${{PORT}}'\n"
    assert load(text, tmp_path).unprotected == ("0.0.0.0:1", "[::]:1", "gpu.lan:1")
    assert load(f"server.api_keys = ['k']\n{text}", tmp_path).unprotected == ()


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    text = f"[models.a]\n{CMD}".replace("\n", "\r\n")
    assert list(load(b"\xef\xbb\xbf" + text.encode(), tmp_path).models) == ["a"]
    wrong = f"[models.a]\n{CMD}ttl = 'x'\n".replace("\n", "\r\n")
    assert one_mistake(b"\xef\xbb\xbf" + wrong.encode(), tmp_path).startswith("3:7 models.a.ttl: ")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    config = load("server.api_keys = ['${env.KEY}']\n[models.a]\ncmd = 'x ${env.KEY} ${PORT}'\n", tmp_path)
    assert config.api_keys == ("s3cret",)
    assert "s3cret" not in repr(config) + tomli_w.dumps(effective(config))


# --- what is wrong


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("debounce", "did you mean unload_delay?"),
        ("unloadDelay", "did you mean unload_delay?"),
        ("unload-delay", "did you mean unload_delay?"),
        ("cmdStop", "did you mean cmd_stop?"),
        ("checkEndpoint", "did you mean check_endpoint?"),
        ("concurrencyLimit", "did you mean concurrency?"),
        ("unloadTimeout", "did you mean unload_timeout?"),
        ("healthCheckTimeout", "did you mean load_timeout?"),
        ("priorty", "did you mean priority?"),
        ("listen", "listen belongs in [server]"),
        ("persistent", "persistent belongs in [groups.<name>]"),
        ("preload", "preload belongs in [hooks.on_startup]"),
        ("qqq", "known here are aliases, "),
    ],
)
def test_an_unknown_key_names_the_one_that_was_meant(key: str, hint: str, tmp_path: Path) -> None:
    mistake = one_mistake(f"[models.a]\n{CMD}{key} = 1\n", tmp_path)
    assert mistake.startswith(f"3:1 models.a.{key}: unknown key")
    assert hint in mistake


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("healthCheckTimeout = 1", "load_timeout belongs in [defaults] or [models.<id>]"),
        ("globalTTL = 1", "ttl belongs in [defaults] or [models.<id>]"),
        ("apiKeys = []", "api_keys belongs in [server]"),
        ("startPort = 1", "start_port belongs in [server]"),
        ("group = {}", "did you mean groups?"),
        ("routing = {}", "did you mean scheduler?"),
    ],
)
def test_a_key_at_the_top_is_told_where_it_belongs(line: str, hint: str, tmp_path: Path) -> None:
    assert hint in one_mistake(f"{line}\n[models.a]\n{CMD}", tmp_path)


def test_an_id_with_a_dot_is_to_be_quoted_and_is_read_all_the_same(tmp_path: Path) -> None:
    text = f"[models.qwen2.5.coder-7b]\n{CMD}ttll = 1\n[models.b]\n{CMD}[groups.x]\nmembers = ['qwen2.5.coder-7b']\n"
    unquoted, misspelt = mistakes(text, tmp_path)
    assert unquoted == (
        "1:17 models.qwen2.5.coder-7b: a dot separates keys, so this is not one name: quote it,"
        ' [models."qwen2.5.coder-7b"]'
    )
    assert misspelt == "3:1 models.qwen2.5.coder-7b.ttll: unknown key: did you mean ttl?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1 models is missing: expected at least one table [models.<id>] with a cmd"),
        ("[models]\n", "1:2 models: expected at least one table [models.<id>] with a cmd, got a table"),
        ("models = 3\n", "1:10 models: expected at least one table [models.<id>] with a cmd, got the number 3"),
        ("[models]\na = 3\n", "2:5 models.a: expected a table, got the number 3"),
        ("[[models.a]]\n", "1:10 models.a: expected a table, got a list"),
        ("[models.a]\n", "1:9 models.a: cmd is missing: expected the command that starts the server"),
        ("[models.a]\ncmd = ''\n", "2:7 models.a.cmd: expected a command, got no words"),
        ("[models.a]\ncmd = []\n", "2:7 models.a.cmd: expected a command, got no words"),
        ("[models.a]\ncmd = '# only'\n", "2:7 models.a.cmd: expected a command, got no words"),
        ("[models.a]\ncmd = '\"\" x'\n", "2:7 models.a.cmd: the first word, the program, is empty"),
        ('[models.a]\ncmd = "x \'y"\n', "2:7 models.a.cmd: a quote is not closed"),
        ("[models.a]\ncmd = 'x \\'\n", "2:7 models.a.cmd: nothing follows the last backslash"),
        (
            "[models.a]\ncmd = ['x', 8080, '${PORT}']\n",
            "2:13 models.a.cmd[1]: expected a word, a string, got the number",
        ),
        ('[models.a]\ncmd = "x \\u0000 ${PORT}"\n', "2:7 models.a.cmd: a NUL character"),
        ("[models.a]\ncmd = 'x'\n", "2:7 models.a.cmd: neither cmd nor env says ${PORT}"),
        ("[models.a]\ncmd = 'x $PORT'\n", "2:7 models.a.cmd: says $PORT, which stays as it is, as no shell is"),
        ("[models.a]\ncmd = 'x {PORT}'\n", "2:7 models.a.cmd: says {PORT}, which stays as it is, as no shell is"),
        ("[models.a]\ncmd = 'x'\nproxy = 'http://localhost:8080'\n", "3:9 models.a.proxy: trio-swap itself listens"),
        ("[models.a]\ncmd = 'x'\nproxy = 'http://x:${PORT}'\n", "3:9 models.a.proxy: says ${PORT}, but neither"),
        ("[models.a]\ncmd = 'x ${PORT} ${HOME}'\n", "2:7 models.a.cmd: ${HOME} is unknown"),
        ("[models.a]\ncmd = 'x ${PORT} ${}'\n", "2:7 models.a.cmd: ${} is unknown"),
        ("[models.a]\ncmd = 'x ${PORT} ${PID}'\n", "2:7 models.a.cmd: ${PID} is known only to cmd_stop"),
        ("[models.a]\ncmd = 'x ${PORT} ${env.NO}'\n", "2:7 models.a.cmd: ${env.NO}: the environment variable 'NO'"),
        (f"server.api_keys = ['']\n[models.a]\n{CMD}", "1:20 server.api_keys[0]: a key is at least one visible"),
        (f"server.api_keys = ['${{env.LINE}}']\n[models.a]\n{CMD}", "1:20 server.api_keys[0]: a key is at least one"),
        (f"server.listen = '8080'\n[models.a]\n{CMD}", '1:17 server.listen: expected "host:port"'),
        (f"server.listen = 'a:65536'\n[models.a]\n{CMD}", '1:17 server.listen: expected "host:port"'),
        (f"server.listen = '::1:80'\n[models.a]\n{CMD}", '1:17 server.listen: "::1" is not a host'),
        (f"server.listen = 'unix:'\n[models.a]\n{CMD}", '1:17 server.listen: "unix:" needs a path'),
        (f"server.listen = []\n[models.a]\n{CMD}", "1:17 server.listen: expected an address"),
        (f"server.listen = ['a:1', ':2']\n[models.a]\n{CMD}", '1:25 server.listen[1]: no host in ":2"'),
        (f"server.listen = ['a:1', 'b:1', 'a:1']\n[models.a]\n{CMD}", '1:32 server.listen[2]: "a:1" is listened on'),
        (
            f"server.start_port = 65536\n[models.a]\n{CMD}",
            "1:21 server.start_port: expected a port, a whole number from",
        ),
        (f"server.start_port = 0\n[models.a]\n{CMD}", "1:21 server.start_port: expected a port"),
        (f"server.max_body = 0\n[models.a]\n{CMD}", "1:19 server.max_body: expected a size"),
        (f"server.log_level = 'warn'\n[models.a]\n{CMD}", "1:20 server.log_level: expected"),
        (f"scheduler.strategy = 'lifo'\n[models.a]\n{CMD}", '1:22 scheduler.strategy: expected "fifo+"'),
        (
            f"defaults.aliases = []\n[models.a]\n{CMD}",
            "1:10 defaults.aliases: unknown key here: aliases belongs in [models",
        ),
    ],
)
def test_a_file_is_refused_for(text: str, expected: str, tmp_path: Path) -> None:
    assert one_mistake(text, tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("concurrency = 0", "3:15 models.a.concurrency: expected a whole number of at least 1, got the number 0"),
        ("queue_limit = 0", "3:15 models.a.queue_limit: expected a whole number of at least 1, got the number 0"),
        ("ttl = -1", "3:7 models.a.ttl: expected a duration: a number of seconds from 0 to 1e9"),
        ("max_wait = nan", "3:12 models.a.max_wait: expected a duration: a number of seconds from 0 to 1e9"),
        ("load_timeout = '-5s'", "3:16 models.a.load_timeout: expected a duration: a number of seconds from 0 to 1e9"),
        ("ttl = true", "3:7 models.a.ttl: expected a duration: a number of seconds from 0 to 1e9"),
        ("concurrency = 1.0", "3:15 models.a.concurrency: expected a whole number of at least 1, got the number 1.0"),
        ("priority = true", "3:12 models.a.priority: expected a whole number, above or below 0, got true"),
        ("unlisted = 1", "3:12 models.a.unlisted: expected true or false, got the number 1"),
        ("name = 2026-01-01", "3:8 models.a.name: expected a string, got a date or time"),
        ("ttl = 3\nunload_delay = 5", "3:7 models.a.ttl: would unload the model 3 s after its last request"),
        ("proxy = ''", '3:9 models.a.proxy: "" is not a URL'),
        ("proxy = 'ftp://x'", "3:9 models.a.proxy: expected a URL such as"),
        ("proxy = 'http://x:99999'", '3:9 models.a.proxy: "http://x:99999" is not a URL'),
        ("proxy = 'http://[x'", '3:9 models.a.proxy: "http://[x" is not a URL'),
        ("proxy = 'http://u:p@x/'", '3:9 models.a.proxy: "http://u:p@x/" has more than'),
        ("check_endpoint = 'health'", "3:18 models.a.check_endpoint: expected a path that starts with"),
        ("check_endpoint = '/a b'", '3:18 models.a.check_endpoint: "/a b" cannot stand in a request'),
        ("cwd = 3", "3:7 models.a.cwd: expected a folder"),
        ("cwd = ''", "3:7 models.a.cwd: expected a folder"),
        ("env = ['A=1', 'B']", '3:15 models.a.env[1]: expected "NAME=value", got "B"'),
        ("env = ['A=1', 'A=2']", '3:15 models.a.env[1]: the variable "A" is set twice'),
        ("env = ['=1']", '3:8 models.a.env[0]: expected "NAME=value", got "=1"'),
        ("env = { '' = '1' }", '3:9 models.a.env."": "" cannot be the name of an environment variable'),
        ("env = { 'A=' = '1' }", '3:9 models.a.env."A=": "A=" cannot be the name of an environment variable'),
        ("env = { A = 1 }", "3:13 models.a.env.A: expected a word, a string, got the number 1"),
        ("aliases = 'b'", "3:11 models.a.aliases: expected a list of names, got the string"),
        ("aliases = ['a']", '3:12 models.a.aliases[0]: "a" is the id of a model'),
        ("aliases = ['b', 'b']", '3:17 models.a.aliases[1]: "b" is an alias of this model already'),
        ("aliases = ['']", "3:12 models.a.aliases[0]: the name is empty"),
        ("[models.b]\ncmd = 'x ${PORT}'\naliases = ['c']\n[models.d]\ncmd = 'x ${PORT}'\naliases = ['c']",
         '8:12 models.d.aliases[0]: "c" is an alias of the model "b" already'),
        ("[models.'']", '3:9 models."": the name is empty'),
        ('[models."a\\u001b[31m"]', '3:9 models."a\\x1b[31m": the name "a\\x1b[31m" has a character'),
        ("[models.' b']", '3:9 models." b": the name " b" begins or ends with a blank'),
        ("[groups.g]", "3:9 groups.g: members is missing: expected a list of at least one model id"),
        ("[groups.g]\nmembers = []", "4:11 groups.g.members: expected a list of at least one model id, got an empty"),
        ("[groups.g]\nmembers = ['b']", '4:12 groups.g.members[0]: there is no model "b"'),
        ("aliases = ['b']\n[groups.g]\nmembers = ['b']", '5:12 groups.g.members[0]: "b" is an alias: write'),
        ("[groups.g]\nmembers = ['a', 'a']", '4:17 groups.g.members[1]: "a" is in this group already'),
        ("[groups.g]\nmembers = ['a']\n[groups.h]\nmembers = ['a']", '6:12 groups.h.members[0]: "a" is in the'),
        ("[groups.default]\nmembers = ['a']", '3:9 groups.default: "default" is the group of the models'),
        ("[groups.'g/a']\nmembers = ['a']", '3:9 groups."g/a": a slash cannot be in the name of a group'),
        ("[hooks.on_startup]\npreload = ['b']", '4:12 hooks.on_startup.preload[0]: there is no model "b"'),
    ],
)  # fmt: skip
def test_a_model_is_refused_for(lines: str, expected: str, tmp_path: Path) -> None:
    assert one_mistake(f"[models.a]\n{CMD}{lines}\n", tmp_path).startswith(expected)


def test_all_mistakes_are_shown_at_once_in_file_order(tmp_path: Path) -> None:
    text = """\
[groups.main]
members = ["a", 3, "c"]

[server]
listen = 8080
start_prot = 1

[models.a]
cmd = "x ${NO}"
ttl = 1
unload_delay = 2
concurrency = "many"
"""
    found = mistakes(text, tmp_path)
    assert [each.partition(": ")[0] for each in found] == [
        "2:17 groups.main.members[1]",
        "2:20 groups.main.members[2]",
        "5:10 server.listen",
        "6:1 server.start_prot",
        "9:7 models.a.cmd",
        "9:7 models.a.cmd",
        "10:7 models.a.ttl",
        "12:15 models.a.concurrency",
    ]


def test_a_mistake_in_the_defaults_is_shown_once(tmp_path: Path) -> None:
    text = f"[defaults]\n{CMD}ttl = 1\nunload_delay = 2\n[models.a]\n[models.b]\n[models.c]\nttl = 1\n"
    assert [each.partition(": ")[0] for each in mistakes(text, tmp_path)] == ["3:7 defaults.ttl", "8:7 models.c.ttl"]


def test_a_caret_points_at_what_is_meant_whatever_stands_before_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f'[models.a]\n{CMD}name = "模型"\naliases = ["模型", "é", 3]\n\tttl = "x"\n', tmp_path)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/config.toml:4:23: models.a.aliases[2]: expected a name, a string, got the number 3",
        '    4 | aliases = ["模型", "é", 3]',
        "      |                         ^",
        f"{tmp_path}/config.toml:5:8: {caught.value.mistakes[1].message}",
        '    5 |     ttl = "x"',
        "      |           ^^^",
        f"2 mistakes in {tmp_path}/config.toml",
    ]


def test_a_long_line_is_shown_around_its_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"[models.a]\n{CMD}aliases = [{', '.join(repr(f'alias-{n}') for n in range(500))}, 3]\n", tmp_path)
    _, line, caret = str(caught.value).splitlines()
    assert len(line) < 120
    assert line[caret.index("^")] == "3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[models.a]\ncmd 'x'\n", "2:5 not TOML: Expected '=' after a key"),
        ("[models.a]\ncmd = 'x", "2:9 not TOML: "),
        ("[models.a]\n[models.a]\n", "2:10 not TOML: Cannot declare"),
        (f"x = {'9' * 5000}", "None:None not TOML: "),
        (f"x = {'[' * 5000}", "1:45 nested too deeply"),
        ("[models.a]\nmetadata." + ".".join("a" * 5000) + " = 1", "2:1 nested too deeply"),
        ("x = '" + ".".join("a" * 50) + "'\ny = ", "2:5 not TOML"),
        (b"[models.a]\nname = '\xff'\n", "2:9 not UTF-8: byte 0xff cannot stand here"),
        ("[models.a]\n".encode("utf-16"), "1:1 not UTF-8: it is UTF-16; save the file as UTF-8"),
        (b"\x00", "1:1 not TOML: "),
    ],
)
def test_what_is_not_toml_is_refused_with_its_place(text: str | bytes, expected: str, tmp_path: Path) -> None:
    assert one_mistake(text, tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("models:", "2:7 not TOML: Expected '=' after a key in a key/value pair; this looks like YAML or JSON"),
        ('{"models": {}}', "2:1 not TOML: Invalid statement; this looks like YAML or JSON: write `key = value`"),
        ("[models.org/model]", 'needs quotes, as in `[models."org/model:7b"]`'),
        ("cmd = llama-server --port ${PORT}", "2:7 not TOML: Invalid value; a text needs quotes"),
        ("ttl = 5m", "2:8 not TOML: Expected newline or end of document after a statement; a text needs quotes"),
        ("unlisted = True", "2:12 not TOML: Invalid value; write true or false"),
        ("cmd = ", "2:7 not TOML: Invalid value; the value is missing"),
        (
            'cmd = "C:\\models"',
            "2:12 not TOML: Unescaped '\\' in a string; in double quotes a backslash is written twice",
        ),
        ('cwd = "C:\\users"', "2:12 not TOML: Invalid hex value; in double quotes a backslash is written twice"),
        ('cmd = "x', "; a quote is not closed"),
        ('cmd = """x', "; a quote is not closed"),
    ],
)
def test_what_was_meant_is_said_with_what_is_not_toml(line: str, expected: str, tmp_path: Path) -> None:
    assert expected in one_mistake(f"\n{line}\n", tmp_path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("none.toml", "none.toml: there is no such file"),
        ("confg.toml", "config.toml?"),
        ("nowhere/config.toml", "nowhere"),
        ("empty", "there is no .toml, .yaml or .yml file in this folder"),
        ("x\0y", "cannot be read: "),
        ("x" * 5000, "cannot be read: "),
        ("file/below", "cannot be read: a part of this path is a file, not a directory; correct the path"),
        ("large", "larger than 512 KiB: this is no configuration file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(path: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    (tmp_path / "other.toml").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with (tmp_path / "large").open("wb") as large:
        large.truncate(2**24 + 1)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / path)
    assert expected in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_relative_path_that_leads_nowhere_says_where_was_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"none.toml: there is no such file in {tmp_path}"):
        load_config("none.toml")


AS_NOBODY = """
import os, sys
from proxy.config import load_config
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    load_config(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_file_without_the_right_to_read_it_says_whose_right_is_missing(tmp_path: Path) -> None:
    """The rights of a file do not bind root: a child that has dropped them looks."""
    file = tmp_path / "config.toml"
    file.write_text(f"[models.a]\n{CMD}")
    file.chmod(0)
    tmp_path.chmod(0o755)  # the folders above it need not let the child through: it starts in this one
    command = [sys.executable, "-c", AS_NOBODY, file.name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    why = "cannot be read: this user may not; change its rights (chmod), or run as a user who may"
    assert done.stdout == f"ConfigError {file.name}: {why}\n"


def test_a_pipe_that_nobody_writes_to_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="this is a pipe, and nobody has written to it: name a file"):
        load_config(tmp_path / "pipe")


def test_a_pipe_with_a_configuration_in_it_is_read() -> None:
    """`/dev/stdin`, and what a shell makes of `<(...)`."""
    reading, writing = os.pipe()
    try:
        os.write(writing, f"[models.a]\n{CMD}".encode())
        os.close(writing)
        assert list(load_config(f"/dev/fd/{reading}").models) == ["a"]
    finally:
        os.close(reading)


def test_a_mistake_fits_into_eighty_columns_but_for_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"[models.a]\ncmd = 'x ${{PORT}} {'long ' * 40} ${{NO}}'\n", tmp_path)
    _, *shown = str(caught.value).splitlines()
    assert shown
    assert all(len(line) <= 80 for line in shown)


# --- whatever comes

FAST = settings(
    deadline=None,
    # Whole files are drawn, and those whose names clash are thrown away: how many is luck.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
durations = st.one_of(st.integers(0, 10**9), st.floats(0, 1e9), st.sampled_from(["1500ms", "5s", "2m", "1h"]))
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
plain = text.filter(lambda each: "${" not in each)
seen = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
names = st.text(seen, max_size=20).map(str.strip).filter(lambda each: each != "" and "${" not in each)
placeholders = st.sampled_from(["${PORT}", "${MODEL_ID}", "${env.KEY}", "${env.TRAP}", "--port=${PORT}"])
word_lists = st.lists(plain | placeholders, max_size=5).map(lambda words: ["server", "${PORT}", *words])
uses = st.sampled_from(["x ${m-1}", "${m_2} y", "${env.TRAP}"])
macro_names = st.sampled_from(["m-1", "own", "OTHER_2"])
macro_values = st.one_of(
    plain, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
) | st.sampled_from(["${env.TRAP}", "${m-1}", "a ${env.KEY}"]).filter(lambda each: "m-1" not in each)
said = st.recursive(
    plain | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | uses,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
"""Values that JSON can say, and TOML."""
tables_of_values = st.dictionaries(text, said, max_size=3)
paths = (
    st.lists(st.sampled_from(["a", "0", "b\\.c", "\\\\", "é", "model", "set_params_by_id"]), min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda each: each != "model")
)
timeouts = st.fixed_dictionaries({}, optional={"connect": durations, "response_header": durations, "idle": durations})
capabilities = st.fixed_dictionaries(
    {},
    optional={
        "in": st.lists(st.sampled_from(["text", "audio", "image"])),
        "out": st.lists(st.sampled_from(["text", "audio", "image"])),
        "tools": st.booleans(),
        "reranker": st.booleans(),
        "context": st.integers(0, 2**31 - 1),
    },
)
models = st.fixed_dictionaries(
    {"cmd": word_lists | word_lists.map(lambda words: shlex.join(words).replace("\n", " "))},
    optional={
        "cmd_stop": st.just("stop ${PID}") | word_lists,
        "proxy": st.sampled_from(["http://127.0.0.1:${PORT}/x", "https://[::1]:9"]),
        "check_endpoint": st.sampled_from(["none", "/", "/v1/models?x=${MODEL_ID}"]).filter(
            lambda each: "$" not in each
        ),
        "load_timeout": durations,
        "unload_timeout": durations,
        "priority": st.integers(-(2**31) + 1, 2**31 - 1),
        "min_loaded": durations,
        "max_wait": durations,
        "concurrency": st.integers(1, 2**31 - 1),
        "queue_limit": st.integers(1, 2**31 - 1),
        "ttl": durations,
        "env": st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), plain | placeholders, max_size=3),
        "cwd": plain.filter(bool),
        "name": plain | uses,
        "description": plain | st.just("${MODEL_ID} ${m_2}"),
        "use_model_name": plain | uses,
        "unlisted": st.booleans(),
        "timeouts": timeouts,
        "capabilities": capabilities,
        "metadata": tables_of_values,
        "macros": st.dictionaries(macro_names, plain | st.integers(-(2**63), 2**63 - 1) | st.booleans(), max_size=2),
    },
)


def filters(named: list[str]) -> st.SearchStrategy[dict[str, object]]:
    """Filters with settings for some of these names."""
    settings_of = st.dictionaries(paths, said, max_size=3)
    by_id = st.dictionaries(st.sampled_from(named), settings_of, max_size=2) if named else st.just({})
    optional = {"set_params": settings_of, "set_params_by_id": by_id}
    return st.fixed_dictionaries(
        {}, optional={"strip_params": st.lists(paths, max_size=3) | st.just("a, b.c"), **optional}
    )


@st.composite
def elsewhere(draw: st.DrawFn, ids: list[str], fresh: list[str]) -> dict[str, object]:
    """Draw selectors, profiles and peers of a correct file, named by what is `fresh`."""
    peers = {
        name: {
            "proxy": draw(st.sampled_from(["http://127.0.0.1:9", "https://${env.KEY}.example/base/"])),
            "models": draw(st.lists(names, min_size=1, max_size=2)),
            "api_key": draw(st.sampled_from(["k", "${env.KEY}"])),
            "concurrency": draw(st.integers(0, 9)),
            "timeouts": draw(timeouts),
            "filters": draw(filters([f"{name}/x", "y"])),
        }
        for name in fresh[:1]
    }
    remote = [f"{peer}/{model}" for peer, table in peers.items() for model in table["models"]]
    targets = st.lists(st.sampled_from(ids), min_size=1, max_size=3)
    selectors = {
        name: draw(
            st.fixed_dictionaries(
                {"strategy": st.sampled_from(["pin", "warm"]), "targets": targets},
                optional={"name": plain, "description": plain, "unlisted": st.booleans(), "metadata": tables_of_values},
            )
            | st.fixed_dictionaries(
                {
                    "strategy": st.just("spillover"),
                    "targets": st.sampled_from([*ids, *remote]).map(lambda each: [each]),
                    "spillover": st.integers(1, 9),
                }
            )
        )
        for name in fresh[1:3]
    }
    pins = st.dictionaries(names, st.sampled_from([*ids, *remote, *selectors, ""]), min_size=1, max_size=3)
    profiles = {
        name: {"pins": {pin: to for pin, to in draw(pins).items() if pin not in remote} or {"x": ""}}
        for name in draw(st.lists(names, max_size=2, unique=True))
    }
    return {"peers": peers, "selectors": selectors, "profiles": profiles}


@st.composite
def matrices(draw: st.DrawFn, ids: list[str]) -> dict[str, object]:
    """Draw a correct `[matrix]`."""
    short = [f"v{number}" for number in range(len(ids))]
    sets = st.recursive(
        st.sampled_from(short),
        lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("&|"), inner),
        max_leaves=6,
    )
    return {
        "vars": dict(zip(short, ids, strict=True)),
        "evict_costs": draw(st.dictionaries(st.sampled_from([*ids, *short]), st.integers(1, 9), max_size=3)),
        "sets": {"first": draw(sets), "second": f"+first | {draw(sets)}"},
    }


@st.composite
def files(draw: st.DrawFn) -> dict[str, object]:
    """Draw what a correct file says."""
    chosen = draw(st.lists(names, min_size=4, max_size=6, unique=True))
    ids, fresh = chosen[:-3], chosen[-3:]
    groups = draw(st.dictionaries(names.filter(lambda each: each != "default" and "/" not in each), st.booleans()))
    homes = {name: draw(st.sampled_from([None, *groups])) for name in ids}
    members = {group: [name for name in ids if homes[name] == group] for group in groups}
    macros = {name: draw(macro_values) for name in ("m-1", "m_2")}
    written = _file(draw, ids, groups, members)
    tables: dict[str, dict[str, object]] = {name: draw(models) for name in ids}
    for number, table in enumerate(tables.values()):
        table["filters"] = draw(filters([f"{number} of {len(ids)}, a name of its own"]))
    written |= {"macros": macros, "models": tables, **draw(elsewhere(ids, fresh))}
    if draw(st.booleans()):
        del written["groups"]
        written["matrix"] = draw(matrices(ids))
    return written


def _file(draw: st.DrawFn, ids: list[str], groups: dict[str, bool], members: dict[str, list[str]]) -> dict[str, object]:
    return {
        "server": {
            "listen": draw(st.sampled_from(["127.0.0.1:0", ["0.0.0.0:80", "unix:/x"]])),
            "shutdown_timeout": draw(durations),
            "max_body": draw(st.integers(1, 2**53) | st.sampled_from(["1B", "2KiB", "3MB", "4 GiB"])),
            "api_keys": draw(st.lists(st.sampled_from(["a", "${env.KEY}"]))),
        },
        "scheduler": {"strategy": draw(st.sampled_from(["fifo", "fifo+"]))},
        "groups": {
            group: {"members": members[group], "swap": swap, "persistent": draw(st.booleans())}
            for group, swap in groups.items()
            if members[group]
        },
        "hooks": {"on_startup": {"preload": draw(st.lists(st.sampled_from(ids), max_size=2))}},
    }


@FAST
@given(files())
def test_the_effective_configuration_loads_to_the_same_config(tmp_path: Path, file: dict[str, object]) -> None:
    config = load(tomli_w.dumps(file), tmp_path)
    assert list(config.models) == list(file["models"])  # type: ignore[call-overload]
    printed = tomli_w.dumps(effective(config))
    again = load(printed, tmp_path)
    assert again == config
    assert tomli_w.dumps(effective(again)) == printed
    for model in config.models.values():
        assert not any("\0" in each for each in model.command(1))
        assert "${" not in model.url(1)


KEYS = [
    *("server", "scheduler", "defaults", "models", "groups", "hooks", "on_startup", "preload", "members", "swap"),
    *("listen", "start_port", "max_body", "api_keys", "log_level", "strategy", "cmd", "cmd_stop", "proxy", "ttl"),
    *("check_endpoint", "load_timeout", "unload_delay", "priority", "concurrency", "env", "cwd", "aliases", "a", "2.5"),
    *("macros", "filters", "strip_params", "set_params", "set_params_by_id", "timeouts", "capabilities", "metadata"),
    *("matrix", "vars", "sets", "selectors", "strategy", "targets", "profiles", "pins", "peers", "api_key", "model"),
]
values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        text,
        st.dates(),
        st.times(),
        st.datetimes(),
        st.sampled_from(
            [
                "${PORT}",
                "${",
                "${env.}",
                "${a}",
                "x${a}",
                "a & a",
                "+a",
                "a..b",
                "x '",
                "5s",
                "1h",
                "fifo",
                "http://[",
                "http://x:${PORT}",
                "\x1b[2J",
                "a",
            ]
        ),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | text, inner, max_size=6),
    max_leaves=30,
)


def judged(text: str | bytes, folder: Path) -> None:
    """Hold that a file is either a configuration or is refused in words that a terminal can show."""
    try:
        config = load(text, folder)
    except ConfigError as error:
        refusal = error
    else:
        assert load(tomli_w.dumps(effective(config)), folder) == config
        return
    assert refusal.mistakes
    assert all(line.isprintable() for line in str(refusal).split("\n"))
    content = text if isinstance(text, bytes) else text.encode()
    for mistake in refusal.mistakes:
        assert mistake.line is None or 1 <= mistake.line <= content.count(b"\n") + 1
        assert mistake.column is None or mistake.column >= 1
    places = [(mistake.line or 0, mistake.column or 0) for mistake in refusal.mistakes]
    assert places == sorted(places)


@FAST
@given(st.dictionaries(st.sampled_from(KEYS) | text, values, max_size=6))
@example({"models": {"a": {"cmd": "x ${PORT}", "b": {"ttl": 3}}}})
@example({"models": {"a": {"cmd": "x ${PORT}", "ttl": math.nan}}})
@example({"models": {"a": {"b": {}}}, "groups": {"x": {"y": {"members": ["a.b"]}}}})
def test_a_hostile_file_is_refused_in_words(tmp_path: Path, file: dict[str, object]) -> None:
    judged(tomli_w.dumps(file), tmp_path)


@FAST
@given(files(), values, st.data())
def test_a_hostile_value_in_a_good_file_is_refused_in_words(
    tmp_path: Path, file: dict[str, object], value: object, data: st.DataObject
) -> None:
    table: dict[str, object] = file
    while True:
        key = data.draw(st.sampled_from([*table, "new"]))
        inner = table.get(key)
        if not isinstance(inner, dict) or not inner or data.draw(st.integers(0, 3)) == 0:
            break
        table = inner
    table[key] = value
    judged(tomli_w.dumps(file), tmp_path)


@FAST
@given(st.binary(max_size=200) | text.map(str.encode))
def test_bytes_of_any_kind_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    judged(content, tmp_path)


@FAST
@given(files(), st.integers(0, 10**6), st.sampled_from(list("\"'[]{}=.#\n\\\0é")))
def test_a_file_with_one_character_changed_is_refused_in_words(
    tmp_path: Path, file: dict[str, object], where: int, character: str
) -> None:
    written = tomli_w.dumps(file)
    place = where % len(written)
    judged(written[:place] + character + written[place + 1 :], tmp_path)


def test_a_config_is_a_value(tmp_path: Path) -> None:
    config = load(f"[models.a]\n{CMD}", tmp_path)
    assert replace(config, listen=("127.0.0.1:1",)) != config
    assert replace(config) == config
