"""Macros, placeholders and the environment, against sections 2.3 and 10 of llama-swap's behaviour.

Each docstring begins with its section; where we differ on purpose it says so, and why.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .config_stage import MODEL, load, model, refused, scheduling


def test_macros_use_those_before_them_three_levels_deep(tmp_path: Path) -> None:
    """2.3, 10."""
    text = """
        macros:
          a: x
          b: "${a}y"
          c: "${b}z"
        models:
          m: {cmd: "server --port ${PORT} ${c}"}
    """
    assert model(load(tmp_path, text)).command(1)[-1] == "xyz"


def test_a_models_macro_is_in_place_of_a_global_one_even_within_another(tmp_path: Path) -> None:
    """2.3, 10: and it does not leak to another model."""
    text = """
        macros:
          ctx: 1
          args: "-c ${ctx}"
        models:
          m: {cmd: "server --port ${PORT} ${args}", macros: {ctx: 2, own: 3}}
          n: {cmd: "server --port ${PORT} ${args}"}
    """
    config = load(tmp_path, text)
    assert [model(config, name).command(1)[-1] for name in "mn"] == ["2", "1"]
    assert refused(tmp_path, text.replace('n: {cmd: "', 'n: {cmd: "${own} '))[0].startswith(
        "7:12 models.n.cmd: ${own} is unknown"
    )


@pytest.mark.parametrize(
    ("macros", "mistake"),
    [
        ('a: "${b}"\n  b: 1', "2:6 macros.a: uses ${b}, which is declared after it"),
        ('a: "x${a}"', "2:6 macros.a: ${a} stands for itself"),
        ("PORT: 1", "2:3 macros.PORT: ${PORT} has a meaning of its own"),
        ("'a b': 1", '2:3 macros."a b": the name'),
        (f"{'a' * 64}: 1", f"2:3 macros.{'a' * 64}: the name"),
        ("a: [1]", "2:6 macros.a: expected a string, a number, true or false"),
        ("a: {b: 1}", "2:6 macros.a: expected a string, a number, true or false"),
    ],
)
def test_what_no_macro_can_be_is_refused(tmp_path: Path, macros: str, mistake: str) -> None:
    """2.3, 10."""
    said = refused(tmp_path, f"macros:\n  {macros}\n{MODEL}")
    assert any(each.startswith(mistake) for each in said), said


def test_an_unknown_macro_is_named_with_its_model_and_key(tmp_path: Path) -> None:
    """2.3, 10."""
    text = f"{MODEL}    metadata: {{a: '${{nope}}'}}\n    name: '${{no}}'\n"
    said = refused(tmp_path, text)
    assert [each.partition(" is unknown")[0] for each in said] == [
        "4:15 models.m.metadata: ${nope}",
        "5:11 models.m.name: ${no}",
    ]


def test_a_string_that_is_a_macro_takes_its_type(tmp_path: Path) -> None:
    """2.3, 10: quoted or not; in a longer string it is text; flags are written as Go writes them."""
    text = """
        macros: {n: 5, f: 2.5, t: true, s: word}
        models:
          m:
            cmd: server --port ${PORT} -a ${n} -b ${t}
            ttl: ${n}
            metadata: {n: "${n}", f: '${f}', t: "${t}", s: "${s}", mixed: "${n}-${f}"}
    """
    config = load(tmp_path, text)
    assert model(config).metadata == {"n": 5, "f": 2.5, "t": True, "s": "word", "mixed": "5-2.5"}
    assert model(config).command(1)[-3:] == ["5", "-b", "true"]
    assert scheduling(config).ttl_s == 5


def test_a_comment_in_a_command_uses_nothing(tmp_path: Path) -> None:
    """2.3, 10."""
    text = "models:\n  m:\n    cmd: |\n      # ${nothing} ${env.NOTHING}\n      server --port ${PORT}\n"
    assert model(load(tmp_path, text)).command(1) == ["server", "--port", "1"]


def test_keys_stay_literal_but_for_names_with_settings(tmp_path: Path) -> None:
    """2.3, 10."""
    text = f"""
macros: {{k: v}}
{MODEL}    metadata: {{"${{k}}": 1}}
    filters: {{setParamsByID: {{"${{MODEL_ID}}:${{k}}": {{"${{k}}": 2}}}}}}
"""
    found = model(load(tmp_path, text))
    assert found.metadata == {"${k}": 1}
    assert found.filters.set_by_name == {"m:v": {"${k}": 2}}


def test_the_models_id_is_known_in_macros_too(tmp_path: Path) -> None:
    """2.3."""
    text = (
        "macros: {file: '/models/${MODEL_ID}.gguf'}\n"
        + MODEL.replace("${PORT}", "${PORT} ${file}")
        + "    name: '${file}'\n"
    )
    found = model(load(tmp_path, text))
    assert found.command(1)[-1] == "/models/m.gguf"
    assert found.name == "/models/m.gguf"


@pytest.mark.parametrize(
    "line", ["    aliases: ['m-${PORT}']\n", "    metadata: {p: '${PORT}'}\n", "    checkEndpoint: /${PORT}\n"]
)
def test_the_port_is_known_only_when_a_server_starts(tmp_path: Path, line: str) -> None:
    """2.3, 10. Different: a port is chosen at each start, one that is free; nothing else can know it."""
    assert "${PORT} is unknown" in refused(tmp_path, MODEL + line)[0]


def test_ports_are_for_models_that_say_so(tmp_path: Path) -> None:
    """2.3, 10: a proxy that says ${PORT} needs a command that does."""
    assert "so the server cannot know where to answer" in refused(tmp_path, "models:\n  m: {cmd: server}\n")[0]
    said = refused(tmp_path, "models:\n  m: {cmd: server, proxy: 'http://localhost:${PORT}/v'}\n")
    assert "says ${PORT}, but neither cmd nor env does" in said[0]
    assert not model(load(tmp_path, "models:\n  m: {cmd: server, proxy: 'http://localhost:9000'}\n")).needs_port


def test_the_process_id_is_known_when_a_server_is_stopped(tmp_path: Path) -> None:
    """2.3."""
    assert "${PID} is known only to cmd_stop" in refused(tmp_path, MODEL.replace("server", "server ${PID}"))[0]


def test_the_environment_is_asked_for_wherever_yaml_has_a_value(tmp_path: Path) -> None:
    """2.3, 10: in lists without quotes, for numbers, in macros; an empty one is fine."""
    text = """
        apiKeys: [${env.KEY}]
        startPort: ${env.START}
        macros: {home: "${env.HOME}/models"}
        models:
          m:
            cmd: server --port ${PORT} ${home} "${env.EMPTY}"
            ttl: ${env.TTL}
            aliases: [${env.NICK}]
    """
    environment = {"KEY": "secret", "START": "6000", "HOME": "/home/me", "EMPTY": "", "TTL": "30", "NICK": "gpt"}
    config = load(tmp_path, text, environment)
    assert (config.api_keys, config.start_port) == (("secret",), 6000)
    assert model(config).command(1)[-2:] == ["/home/me/models", ""]
    assert (scheduling(config).ttl_s, model(config).aliases) == (30, ("gpt",))


@pytest.mark.parametrize(
    "text",
    [
        MODEL.replace("server", "${env.NOPE}"),
        f"{MODEL}    metadata: {{a: '${{env.NOPE}}'}}\n",
        f"{MODEL}    aliases: ['${{env.NOPE}}']\n",
        f"{MODEL}    ttl: ${{env.NOPE}}\n",
        "macros: {a: '${env.NOPE}'}\n" + MODEL.replace("server", "${a}"),
        "apiKeys: ['${env.NOPE}']\n" + MODEL,
    ],
)
def test_a_variable_that_is_not_set_is_a_mistake(tmp_path: Path, text: str) -> None:
    """2.3, 10."""
    assert any("the environment variable 'NOPE' is not set" in each for each in refused(tmp_path, text))


def test_a_variable_in_a_comment_is_not_asked_for(tmp_path: Path) -> None:
    """2.3, 10: whole lines, indented ones, and behind a value."""
    load(tmp_path, f"# ${{env.A}}\n{MODEL}    # ${{env.B}}\n    ttl: 5 # ${{env.C}}\n")


@pytest.mark.parametrize("value", ['a "quoted" \\ word', "two\nlines", "${PORT}", "${env.OTHER}", "a # b: c"])
def test_what_the_environment_says_is_never_looked_at_again(tmp_path: Path, value: str) -> None:
    """2.3, 10. Different: line ends are no mistake, nothing is escaped: it is one word, whatever it says."""
    text = MODEL.replace("${PORT}", "${PORT} ${env.WORD}")
    assert model(load(tmp_path, text, {"WORD": value})).command(1)[-1] == value


def test_anchors_and_merge_keys_come_before_macros(tmp_path: Path) -> None:
    """2: materialised before macros are expanded."""
    text = """
        macros: {n: 3}
        base: &base
          cmd: server --port ${PORT} ${MODEL_ID} ${n}
          ttl: 5
        models:
          a: *base
          b:
            <<: *base
            ttl: 6
    """
    config = load(tmp_path, text)
    assert [model(config, name).command(1)[-2:] for name in "ab"] == [["a", "3"], ["b", "3"]]
    assert [scheduling(config, name).ttl_s for name in "ab"] == [5, 6]
