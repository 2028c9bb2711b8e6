"""`import`: a llama-swap file becomes a TOML file with the same settings, whatever is in it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from json import dumps
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.cli import main
from proxy.config import Config, ConfigError, load_config
from proxy.config.yaml_tree import read_yaml

EVERY_KEY = Path(__file__).with_name("every_key.yaml")
EVERYTHING = read_yaml(EVERY_KEY.read_text()).value
ENVIRONMENT = {"SWAP_KEY": "secret", "PEER_KEY": "other"}


def said(config: Config) -> Config:
    """A configuration without the name of its file."""
    return replace(config, path=Path(), files=(), notes=())


def imported(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[Config, Config, str]:
    """A file as it is and as it was imported, and what was said about it."""
    source, target = folder / "source.yaml", folder / "target.toml"
    source.write_text(text, encoding="utf-8")
    target.unlink(missing_ok=True)
    assert main(["import", str(source), "-o", str(target)]) == 0, capsys.readouterr().err
    return load_config(source), load_config(target), capsys.readouterr().err


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_a_file_with_every_key_means_the_same_as_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after, err = imported(tmp_path, EVERY_KEY.read_text(), capsys)
    assert said(before) == said(after)
    for key in ("logTimeFormat", "captureBuffer", "sendLoadingState", "compat"):
        assert key in err
    assert "Better here:" in err


def test_secrets_and_macros_stay_what_they_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path, EVERY_KEY.read_text(), capsys)
    text = (tmp_path / "target.toml").read_text()
    assert "secret" not in text
    assert tomllib.loads(text)["server"]["api_keys"] == ["${env.SWAP_KEY}"]
    assert text.count('cmd = "${server}"') == 2


def test_it_goes_to_standard_output_and_never_over_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source.yaml"
    source.write_text("models: {m: {cmd: 'server --port ${PORT}'}}\n")
    assert main(["import", str(source)]) == 0
    assert tomllib.loads(capsys.readouterr().out)["models"] == {"m": {"cmd": "server --port ${PORT}"}}
    assert main(["import", str(source), "-o", str(source)]) == 2
    assert "is there already, and is not overwritten" in capsys.readouterr().err
    assert main(["import", str(source), "-o", str(tmp_path / "no" / "where.toml")]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err
    source.write_text("models: {m: {cmd: ''}}\n")
    assert main(["import", str(source)]) == 2
    assert "1:10: models.m: cmd is missing" in capsys.readouterr().err


def test_several_files_become_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("macros: {server: 'server --port ${PORT}'}\n")
    (tmp_path / "b.yaml").write_text("models: {m: {cmd: '${server}'}}\n")
    assert main(["import", str(tmp_path)]) == 0
    assert set(tomllib.loads(capsys.readouterr().out)) == {"macros", "models"}


def command(words: list[str]) -> str:
    """Words as a command that a shell would split into them."""
    quoted = ["'" + word.replace("'", "'\\''") + "'" for word in words if "${" not in word]
    return " ".join(["server", "--port", "${PORT}", *quoted])


names = st.text("abxyz-_.:/ é", min_size=1, max_size=6).map(str.strip).filter(bool)
scalars = (
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text("ab\"'\\\n\t #é{}[]:", max_size=12)
)
said_in_json = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
paths = st.text("abc", min_size=1, max_size=3)
model = st.fixed_dictionaries(
    {"cmd": st.lists(st.text("ab-='\"$\\#é", max_size=8), max_size=4).map(command)},
    optional={
        "ttl": st.integers(-1, 0) | st.integers(50, 10**6),  # not shorter than unloadDelay
        "unloadTimeout": st.integers(0, 100),
        "name": st.text("ab é\n", max_size=8),
        "description": st.text('ab #"', max_size=8),
        "unlisted": st.booleans(),
        "env": st.lists(st.sampled_from(["A=1", "B=x y", "C=", "D='\"\\"]), unique=True),
        "useModelName": st.text("ab/", max_size=5),
        "checkEndpoint": st.sampled_from(["/up", "none", "http://x/up?a=1", "up"]),
        "concurrencyLimit": st.integers(0, 50),
        "priority": st.integers(-5, 5),
        "unloadDelay": st.integers(0, 50),
        "metadata": st.dictionaries(names, said_in_json, max_size=3),
        "capabilities": st.fixed_dictionaries(
            {}, optional={"in": st.just(["text", "image"]), "tools": st.booleans(), "context": st.integers(0, 10**6)}
        ),
        "timeouts": st.fixed_dictionaries(
            {}, optional={"connect": st.integers(0, 9), "responseHeader": st.integers(0, 9), "keepalive": st.just(1)}
        ),
        "filters": st.fixed_dictionaries(
            {},
            optional={
                "stripParams": st.lists(paths, max_size=3).map(", ".join),
                "setParams": st.dictionaries(paths, said_in_json, max_size=3),
            },
        ),
    },
)
files = st.fixed_dictionaries(
    {"models": st.dictionaries(names, model, min_size=1, max_size=4)},
    optional={
        "healthCheckTimeout": st.integers(0, 500),
        "logLevel": st.sampled_from(["debug", "info", "warn", "error", "loud"]),
        "globalTTL": st.just(0) | st.integers(50, 500),
        "unloadTimeout": st.integers(0, 500),
        "startPort": st.integers(1, 65535),
        "apiKeys": st.lists(st.sampled_from(["k1", "${env.SWAP_KEY}"])),
        "unknown": said_in_json,
    },
)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=40)
@given(files)
def test_any_file_means_the_same_as_toml(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: dict[str, object]
) -> None:
    # JSON is YAML, and is written by something that is not read by itself.
    before, after, _ = imported(tmp_path, dumps(file, ensure_ascii=False), capsys)
    assert said(before) == said(after)


ODD = [
    *(None, True, 0, -1, 5.5, "", "x", "a b", "\x1b", "${n", "${PORT}", "${context}", "${env.NOBODY}", 10**400, 1e300),
    *([], {}, [None], [[1]], [1, 1], ["${server}"], {"": 1}, {"a": None}, {"a": {"b": [1, {}]}}, {"${env.NOBODY}": 1}),
]


def odd(value: object, draw: st.DataObject) -> object:
    """A value with something else somewhere in it."""
    if isinstance(value, dict | list) and value and draw.draw(st.integers(0, 5)):
        keys = sorted(value) if isinstance(value, dict) else range(len(value))
        key = draw.draw(st.sampled_from(keys))
        changed = value.copy()
        changed[key] = odd(value[key], draw)  # type: ignore[call-overload, index]
        return changed
    return draw.draw(st.sampled_from(ODD))


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=100)
@given(st.data())
def test_whatever_stands_anywhere_is_read_or_refused_with_a_place(tmp_path: Path, data: st.DataObject) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(dumps(odd(EVERYTHING, data)))
    mistakes = []
    try:
        load_config(file)
    except ConfigError as error:
        mistakes = list(error.mistakes)
    assert all(mistake.line and mistake.column and mistake.message.isprintable() for mistake in mistakes)


def test_a_router_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("models: {m: {cmd: 'x ${PORT}'}}\nrouting: {router: {use: []}}\n")
    with pytest.raises(ConfigError, match=r"routing\.router\.use: expected group or matrix"):
        load_config(tmp_path / "odd.yaml")
