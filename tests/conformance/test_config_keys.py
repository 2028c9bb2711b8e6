"""The keys of a file and their values, against sections 2, 2.1, 2.2 and 10 of llama-swap's behaviour.

Each docstring begins with its section; where we differ on purpose it says so, and why.
"""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from proxy.config.routing import Capabilities, Timeouts
from states.settings import Strategy

from .config_stage import MODEL, load, model, notes, refused, scheduling


def test_the_defaults_are_those_of_section_2(tmp_path: Path) -> None:
    """2.1, 2.2. Different: this machine only (see there for --listen), and whoever has waited for 5 minutes is next."""
    config = load(tmp_path, MODEL)
    assert (config.start_port, config.log_level, config.api_keys) == (5800, "info", ())
    assert config.listen == ("127.0.0.1:8080",)
    assert config.settings.strategy is Strategy.FIFO_PLUS
    found = model(config)
    assert (found.load_timeout_s, found.check_endpoint) == (120, "/health")
    assert found.url(5801) == "http://127.0.0.1:5801"
    assert found.timeouts == Timeouts(connect_s=30, response_header_s=inf, idle_s=90)
    assert found.capabilities == Capabilities()
    settings = scheduling(config)
    assert (settings.ttl_s, settings.unload_timeout_s, settings.concurrency, settings.priority) == (0, 10, 10, 0)
    assert settings.max_wait_s == 300


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("healthCheckTimeout: 300", "load_timeout_s", 300),
        ("healthCheckTimeout: 5", "load_timeout_s", 15),
        ("", "load_timeout_s", 120),
    ],
)
def test_the_health_check_timeout_is_at_least_15_s(tmp_path: Path, line: str, attribute: str, value: float) -> None:
    """2.1."""
    assert getattr(model(load(tmp_path, f"{line}\n{MODEL}")), attribute) == value


def test_a_swap_grants_the_unload_timeout_and_not_the_health_check_timeout(tmp_path: Path) -> None:
    """2.1. Different: `unload_timeout` is the grace of every stop; two minutes of one that hangs help nobody."""
    config = load(tmp_path, f"healthCheckTimeout: 300\nunloadTimeout: 7\n{MODEL}")
    assert scheduling(config).unload_timeout_s == 7


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("debug", "debug"),
        ("info", "info"),
        ("warn", "warning"),
        ("error", "error"),
        ("DEBUG", "debug"),
        ("loud", "info"),
    ],
)
def test_the_log_level_is_info_when_it_is_none(tmp_path: Path, written: str, level: str) -> None:
    """2.1. Different: an unknown level is told."""
    config = load(tmp_path, f"logLevel: {written}\n{MODEL}")
    assert config.log_level == level
    assert bool(notes(config)) == (written == "loud")


def test_times_of_unloading_are_inherited(tmp_path: Path) -> None:
    """2.1, 2.2, 10: ttl -1 is the global one, 0 overrides it: never; unloadTimeout 0 inherits, globally it is 10."""
    text = """
        globalTTL: 60
        unloadTimeout: 0
        models:
          a: {cmd: "x ${PORT}", ttl: -1, unloadTimeout: 0}
          b: {cmd: "x ${PORT}", ttl: 0, unloadTimeout: 5}
          c: {cmd: "x ${PORT}"}
    """
    config = load(tmp_path, text)
    assert [scheduling(config, name).ttl_s for name in "abc"] == [60, 0, 60]
    assert [scheduling(config, name).unload_timeout_s for name in "abc"] == [10, 5, 10]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (f"globalTTL: -1\n{MODEL}", "1:12 globalTTL: expected a duration"),
        (f"unloadTimeout: -1\n{MODEL}", "1:16 unloadTimeout: expected a duration"),
        (f"startPort: 0\n{MODEL}", "1:12 startPort: expected a port"),
        (f"startPort: many\n{MODEL}", "1:12 startPort: expected a port"),
        (f"{MODEL}    ttl: -2\n", "4:10 models.m.ttl: expected a duration"),
        (f"{MODEL}    unloadTimeout: -1\n", "4:20 models.m.unloadTimeout: expected a duration"),
        (
            f"{MODEL}    capabilities: {{in: [smell]}}\n",
            '4:25 models.m.capabilities.in[0]: expected "text", "audio" or',
        ),
        (f"{MODEL}    capabilities: {{context: -1}}\n", "4:29 models.m.capabilities.context: expected a whole number"),
        (f"{MODEL}    aliases: one\n", "4:14 models.m.aliases: expected a list of names"),
        ('apiKeys: [""]\n' + MODEL, "1:11 apiKeys[0]: a key is at least one visible"),
        ('apiKeys: [k, "a b"]\n' + MODEL, "1:14 apiKeys[1]: a key is at least one visible"),
        ("models:\n  m:\n", "2:3 models.m: cmd is missing"),
        (MODEL.replace("cmd", "cmd: [1"), "not YAML"),
        (f"{MODEL}{MODEL}", "4:1 models is here a second time"),
        (f"{MODEL}    proxy: ''\n", "4:12 models.m.proxy: "),
        (f"{MODEL}    proxy: 'http://[x'\n", "4:12 models.m.proxy: "),
    ],
)
def test_what_is_wrong_has_its_place(tmp_path: Path, text: str, mistake: str) -> None:
    """2, 2.1, 2.2, 10. Better: all of it at once, with line and column."""
    assert any(each.startswith(mistake) or mistake in each for each in refused(tmp_path, text)), refused(tmp_path, text)


def test_a_file_without_models_is_refused(tmp_path: Path) -> None:
    """2.1. Different: llama-swap serves nothing; nobody means that."""
    assert refused(tmp_path, "logLevel: info\n") == [
        "1:1 models is missing: expected at least one table [models.<id>] with a cmd"
    ]


def test_a_model_without_a_command_is_refused(tmp_path: Path) -> None:
    """2.2. Different: there it is an error of the first request."""
    assert refused(tmp_path, "models:\n  m: {name: x}\n")[0].startswith("2:3 models.m: cmd is missing")


def test_unknown_keys_are_passed_over_and_said(tmp_path: Path) -> None:
    """2. Better: what is passed over is listed; anchors may stand there."""
    config = load(
        tmp_path, "x-args: &args --a 1\nmodels:\n  m:\n    cmd: server --port ${PORT}\n    temprature: *args\n"
    )
    assert [note.partition(":")[0] for note in notes(config)] == ["1 x-args", "5 models.m.temprature"]


def test_commands_are_split_as_a_posix_shell_splits_them(tmp_path: Path) -> None:
    """2.2: quotes, backslashes, comment lines, joined lines; no shell, no variables."""
    text = """
        models:
          m:
            cmd: |
              # which server
              server --port ${PORT} \\
                "a b" 'c d' e\\ f $HOME
                # and this
                -m x
            cmdStop: kill -9 ${PID}
    """
    found = model(load(tmp_path, text))
    assert found.command(1) == ["server", "--port", "1", "a b", "c d", "e f", "$HOME", "-m", "x"]
    assert found.stop_command(1, 77) == ["kill", "-9", "77"]


@pytest.mark.parametrize(
    ("written", "path"),
    [("/v1/models", "/v1/models"), ("http://elsewhere:1/up", "/up"), ("none", None), ("up", "/up"), ('""', "/health")],
)
def test_of_a_check_endpoint_the_path_counts(tmp_path: Path, written: str, path: str | None) -> None:
    """2.2."""
    assert model(load(tmp_path, f"{MODEL}    checkEndpoint: {written}\n")).check_endpoint == path


def test_names_and_words_are_trimmed_and_empty_ones_are_none(tmp_path: Path) -> None:
    """2.2."""
    found = model(
        load(tmp_path, f"{MODEL}    name: '  N  '\n    description: ''\n    useModelName: ''\n    unlisted: yes\n")
    )
    assert (found.name, found.description, found.use_model_name, found.unlisted) == ("N", None, None, True)


def test_numbers_may_stand_where_strings_are_meant(tmp_path: Path) -> None:
    """2: as Go reads YAML."""
    text = "models:\n  7b:\n    cmd: server --port ${PORT}\n    aliases: [1.50, true]\n    name: 5\n    env: [A=1]\n"
    found = model(load(tmp_path, text), "7b")
    assert (found.aliases, found.name, found.env) == (("1.50", "true"), "5", {"A": "1"})


def test_capabilities_timeouts_and_metadata_are_carried(tmp_path: Path) -> None:
    """2.2. Different: three timeouts are of Go's client only, and said so."""
    lines = """\
    capabilities: {in: [text, image], out: [text], tools: true, reranker: false, context: 4096}
    timeouts: {connect: 5, keepalive: 1, responseHeader: 60, tlsHandshake: 2, expectContinue: 3, idleConn: 9}
    metadata: {a: 1, b: {c: [x, 2.5]}}
"""
    config = load(tmp_path, MODEL + lines)
    found = model(config)
    assert found.capabilities == Capabilities(inputs=("text", "image"), outputs=("text",), tools=True, context=4096)
    assert found.timeouts == Timeouts(connect_s=5, response_header_s=60, idle_s=9)
    assert found.metadata == {"a": 1, "b": {"c": ["x", 2.5]}}
    assert len(notes(config)) == 3


def test_concurrency_waits_and_does_not_refuse(tmp_path: Path) -> None:
    """2.2. Different: `concurrencyLimit` is how many are served at once; more wait, up to queue_limit."""
    config = load(tmp_path, f"{MODEL}    concurrencyLimit: 3\n")
    assert (scheduling(config).concurrency, scheduling(config).queue_limit) == (3, 1000)
    assert scheduling(load(tmp_path, f"{MODEL}    concurrencyLimit: 0\n")).concurrency == 10


def test_filters_in_both_spellings(tmp_path: Path) -> None:
    """2.2, 2.5, 10: sorted, each once, never the model; names with settings of their own become aliases."""
    lines = """\
    filters:
      strip_params: "old"
      stripParams: "b, a, model, a"
      setParams: {x: 1, model: other}
      setParamsByID: {"m:high": {effort: high}, m: {effort: low}}
"""
    config = load(tmp_path, MODEL + lines)
    found = model(config).filters
    assert found.strip == ("a", "b")
    assert found.set == {"x": 1}
    assert found.set_by_name == {"m:high": {"effort": "high"}, "m": {"effort": "low"}}
    assert config.resolve("m:high") == "m"
    assert any("setParams.model" in note for note in notes(config))
    assert model(load(tmp_path, f"{MODEL}    filters: {{strip_params: 'old'}}\n")).filters.strip == ("old",)


def test_a_name_with_settings_of_its_own_is_no_other_models(tmp_path: Path) -> None:
    """2.2, 10."""
    other = "  n:\n    cmd: server --port ${PORT}\n    aliases: [nick]\n"
    for name, owner in (("n", "n"), ("nick", "n")):
        text = f"{MODEL}    filters: {{setParamsByID: {{{name}: {{a: 1}}}}}}\n{other}"
        assert any(f'is a name of the model "{owner}" already' in each for each in refused(tmp_path, text))


def test_the_seeds_keys_are_read(tmp_path: Path) -> None:
    """The change that was proposed there: a model's priority and its unload delay."""
    settings = scheduling(load(tmp_path, f"{MODEL}    priority: 7\n    unloadDelay: 5\n"))
    assert (settings.priority, settings.unload_delay_s) == (7, 5)


def test_what_is_preloaded_has_to_be_there(tmp_path: Path) -> None:
    """2.1: blanks and unknown names are dropped, aliases resolved. Better: it is said."""
    text = f"{MODEL}    aliases: [nick]\nhooks: {{on_startup: {{preload: [nick, ' ', nobody, m]}}}}\n"
    config = load(tmp_path, text)
    assert config.preload == ("m",)
    assert [note.split(":")[0] for note in notes(config)] == [
        "5 hooks.on_startup.preload[1]",
        "5 hooks.on_startup.preload[2]",
    ]


def test_an_alias_twice_is_refused_and_one_that_is_an_id_too(tmp_path: Path) -> None:
    """2.2, 10. Different: an alias that is an id is dead there; here its author is told."""
    other = "  n:\n    cmd: server --port ${PORT}\n    aliases: [nick, m]\n"
    said = refused(tmp_path, f"{MODEL}    aliases: [nick]\n{other}")
    assert said == [
        '7:15 models.n.aliases[0]: "nick" is an alias of the model "m" already',
        '7:21 models.n.aliases[1]: "m" is the id of a model: the alias would never be used',
    ]


@pytest.mark.parametrize(
    "line",
    [
        "logTimeFormat: kitchen",
        "logToStdout: none",
        "logRequests: true",
        "metricsMaxInMemory: 5",
        "captureBuffer: 0",
        "store: {path: x}",
        "ui: {}",
        "performance: {disabled: true}",
        "sendLoadingState: true",
        "includeAliasesInList: true",
        "upstream: {ignorePaths: ['[']}",
    ],
)
def test_what_nothing_here_answers_to_is_said_with_its_line(tmp_path: Path, line: str) -> None:
    """2.1. Different: there is no web page, no capture, no /upstream; each is said by check and in the log."""
    [note] = notes(load(tmp_path, f"{line}\n{MODEL}"))
    assert note.startswith(f"1 {line.partition(':')[0]}: ")
