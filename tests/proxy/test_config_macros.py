"""`${NAME}` of a file's own making: where it is expanded, to what, and what no macro can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from states.settings import ModelId

from .test_config import CMD, load, mistakes, one_mistake

A, B = ModelId("a"), ModelId("b")
MODEL = f"[models.a]\n{CMD}"


# --- what is right


@pytest.mark.parametrize(
    ("written", "value"), [("3", 3), ("-0.5", -0.5), ("true", True), ("'3'", "3"), ("''", ""), ("'a b'", "a b")]
)
def test_a_string_that_is_one_macro_becomes_what_the_macro_is(written: str, value: object, tmp_path: Path) -> None:
    text = f"macros.m = {written}\n{MODEL}metadata = {{ one = '${{m}}', many = ['${{m}}'], deep.er = '${{m}}' }}\n"
    metadata = load(text, tmp_path).models[A].metadata
    assert metadata == {"one": value, "many": [value], "deep": {"er": value}}
    assert type(metadata["one"]) is type(value)


def test_a_macro_may_be_any_value_that_is_no_table(tmp_path: Path) -> None:
    text = """
        [macros]
        port = 6000
        many = 7
        hidden = true
        short = "1500ms"
        [server]
        start_port = "${port}"
        [models.a]
        cmd = "server --port ${PORT}"
        concurrency = "${many}"
        unlisted = "${hidden}"
        load_timeout = "${short}"
        capabilities.context = "${many}"
        timeouts.connect = "${many}"
    """
    config = load(text, tmp_path)
    model = config.models[A]
    assert (config.start_port, config.settings.models[A].concurrency) == (6000, 7)
    assert (model.unlisted, model.load_timeout_s) == (True, 1.5)
    assert (model.capabilities.context, model.timeouts.connect_s) == (7, 7)


def test_in_a_longer_string_a_macro_becomes_text(tmp_path: Path) -> None:
    text = f"macros = {{ i = 3, f = 0.5, t = true, s = 'x y' }}\n{MODEL}name = '${{i}}|${{f}}|${{t}}|${{s}}|${{i}}'\n"
    assert load(text, tmp_path).models[A].name == "3|0.5|true|x y|3"


def test_in_a_command_that_is_a_list_a_macro_stays_one_word_and_in_a_string_it_is_split(tmp_path: Path) -> None:
    text = """
        macros.m = "x y"
        [models.a]
        cmd = ["server", "${PORT}", "--${m}"]
        [models.b]
        cmd = "server ${PORT} --${m} '${m}'"
    """
    config = load(text, tmp_path)
    assert config.models[A].command(1) == ["server", "1", "--x y"]
    assert config.models[B].command(1) == ["server", "1", "--x", "y", "x y"]


def test_a_macro_uses_those_declared_before_it_three_levels_deep(tmp_path: Path) -> None:
    macros = "[macros]\na = 1\nb = 'b${a}'\nc = 'c${b}${a}'\nd = '${a}'\n"
    text = f"{macros}{MODEL}metadata = {{ c = '${{c}}', d = '${{d}}' }}\n"
    assert load(text, tmp_path).models[A].metadata == {"c": "cb11", "d": 1}


def test_a_models_macro_is_in_place_of_a_global_one_even_within_another(tmp_path: Path) -> None:
    text = """
        [macros]
        context = 4096
        server = "server --port ${PORT} --ctx ${context}"
        [models.a]
        cmd = "${server}"
        [models.b]
        cmd = "${server}"
        macros = { context = 8192, more = "${context}" }
        metadata.more = "${more}"
    """
    config = load(text, tmp_path)
    assert config.models[A].command(1)[-1] == "4096"
    assert config.models[B].command(1)[-1] == "8192"
    assert config.models[B].metadata == {"more": 8192}


def test_what_defaults_say_is_meant_for_each_model(tmp_path: Path) -> None:
    text = """
        [macros]
        context = 1
        server = "server --port ${PORT} --ctx ${context}"
        [defaults]
        cmd = \"\"\"
        # ${context} ${nothing}
        ${server} ${MODEL_ID}\"\"\"
        concurrency = "${context}"
        [defaults.filters]
        set_params = { n = "${context}", who = "${MODEL_ID}" }
        set_params_by_id."${MODEL_ID}:high".effort = "high"
        [models.a]
        [models.b]
        macros.context = 2
    """
    config = load(text, tmp_path)
    for name, context in ((A, 1), (B, 2)):
        assert config.models[name].command(9) == ["server", "--port", "9", "--ctx", str(context), name]
        assert config.settings.models[name].concurrency == context
        assert config.models[name].filters.set == {"n": context, "who": name}
        assert config.resolve(f"{name}:high") == name


def test_a_comment_in_a_command_uses_nothing(tmp_path: Path) -> None:
    text = """
        macros.lines = "x\\n--danger"
        [models.a]
        cmd = \"\"\"
        # ${nothing} ${env.NOT_SET} ${PID} ${lines}
          # '${lines}
        server --port ${PORT}\"\"\"
        cmd_stop = \"\"\"
        # ${nothing}
        kill ${PID}\"\"\"
    """
    model = load(text, tmp_path).models[A]
    assert model.command(1) == ["server", "--port", "1"]
    assert model.stop_command(1, 2) == ["kill", "2"]


def test_what_is_known_when_a_server_starts_may_stand_in_a_macro(tmp_path: Path) -> None:
    text = """
        [macros]
        port = "--port ${PORT}"
        stop = "kill ${PID}"
        who = "${MODEL_ID}"
        home = "${env.HOME}/${MODEL_ID}"
        [models.a]
        cmd = "server ${port} ${who} ${home}"
        cmd_stop = "${stop}"
        cwd = "${home}"
        name = "${who}!"
        description = "${home}"
        aliases = ["${who}-alias"]
        metadata = { who = "${who}", id = "${MODEL_ID}" }
    """
    model = load(text, tmp_path).models[A]
    assert model.command(1) == ["server", "--port", "1", "a", "/home/me/a"]
    assert model.stop_command(1, 2) == ["kill", "2"]
    assert (model.cwd, model.name, model.description) == ("/home/me/a", "a!", "/home/me/a")
    assert (model.aliases, model.metadata) == (("a-alias",), {"who": "a", "id": "a"})


def test_what_the_environment_says_is_never_looked_at_again(tmp_path: Path) -> None:
    """`TRAP` says `${PORT} ${env.KEY}`."""
    text = """
        [macros]
        trap = "${env.TRAP}"
        KEY = "no"
        [server]
        api_keys = ["x-${env.KEY}"]
        [models.a]
        cmd = ["server", "${PORT}", "${trap}"]
        name = "${trap}"
        use_model_name = "${env.TRAP}"
        metadata.x = ["${trap}"]
        filters.set_params.x = "${trap}"
        filters.set_params_by_id.v.x = "${trap}"
        [selectors.s]
        strategy = "pin"
        targets = ["a"]
        name = "${trap}"
        metadata.x = "${trap}"
        [profiles.p]
        pins.x = "a"
        description = "${trap}"
        [peers.p]
        proxy = "http://127.0.0.1:9000"
        models = ["m"]
        filters.set_params.x = "${trap}"
    """
    config = load(text, tmp_path)
    trap = "${PORT} ${env.KEY}"
    model = config.models[A]
    assert model.command(1) == ["server", "1", trap]
    assert (model.name, model.use_model_name, model.metadata) == (trap, trap, {"x": [trap]})
    assert (model.filters.set, model.filters.set_by_name) == ({"x": trap}, {"v": {"x": trap}})
    assert (config.selectors["s"].name, config.selectors["s"].metadata) == (trap, {"x": trap})
    assert (config.profiles["p"].description, config.peers["p"].filters.set) == (trap, {"x": trap})
    assert config.api_keys == ("x-s3cret",)


def test_keys_stay_as_they_are_but_for_names_with_settings_of_their_own(tmp_path: Path) -> None:
    text = f"""
        macros = {{ m = "x", n = 3 }}
        {MODEL}
        env = {{ "${{m}}" = "${{m}}" }}
        metadata = {{ "${{m}}" = "${{m}}" }}
        filters.set_params = {{ "${{m}}" = "${{m}}" }}
        filters.set_params_by_id."a:${{m}}".y = "${{m}}"
        filters.set_params_by_id."${{n}}"."${{m}}" = 1
    """
    model = load(text, tmp_path).models[A]
    assert model.environment(1) == {"${m}": "x"}
    assert model.metadata == {"${m}": "x"}
    assert model.filters.set == {"${m}": "x"}
    assert model.filters.set_by_name == {"a:x": {"y": "x"}, "3": {"${m}": 1}}


def test_macros_are_expanded_in_every_table(tmp_path: Path) -> None:
    text = f"""
        macros = {{ url = "http://127.0.0.1:9", a = "a", m = "m" }}
        {MODEL}
        [hooks.on_startup]
        preload = ["${{a}}"]
        [selectors.s]
        strategy = "pin"
        targets = ["${{a}}"]
        [profiles.p]
        pins.x = "${{a}}"
        [peers.p]
        proxy = "${{url}}"
        models = ["${{m}}"]
        [matrix]
        sets.all = "${{a}}"
    """
    config = load(text, tmp_path)
    assert (config.preload, config.selectors["s"].targets, config.profiles["p"].pins) == ((A,), ("a",), {"x": "a"})
    assert (config.peers["p"].url, config.peers["p"].models) == ("http://127.0.0.1:9", ("m",))
    assert config.settings.matrix is not None
    assert config.settings.matrix.members() == {A}


# --- what is wrong


@pytest.mark.parametrize(
    ("macros", "expected"),
    [
        ("m = 'x ${m}'", "1:12 macros.m: ${m} stands for itself"),
        ("m = '${n}'\nmacros.n = 1", "1:12 macros.m: uses ${n}, which is declared after it or is wrong: declare that"),
        ("'a b' = 1", '1:8 macros."a b": the name "a b" of a macro is not of 1 to 63 letters, digits, - and _'),
        ("'' = 1", '1:8 macros."": the name "" of a macro is not of 1 to 63'),
        (f"{'a' * 64} = 1", f"1:8 macros.{'a' * 64}: the name"),
        ("'env.X' = 1", '1:8 macros."env.X": the name "env.X" of a macro is not'),
        ("PORT = 1", "1:8 macros.PORT: ${PORT} has a meaning of its own: choose another name"),
        ("PID = 1", "1:8 macros.PID: ${PID} has a meaning of its own"),
        ("MODEL_ID = 1", "1:8 macros.MODEL_ID: ${MODEL_ID} has a meaning of its own"),
        ("m = [1]", "1:12 macros.m: expected a string, a number, true or false, got a list"),
        ("m = {}", "1:12 macros.m: expected a string, a number, true or false, got a table"),
        ("m = 2026-01-01", "1:12 macros.m: a date or time cannot stand"),
        ("m = nan", "1:12 macros.m: nan is no number"),
    ],
)
def test_what_no_macro_can_be(macros: str, expected: str, tmp_path: Path) -> None:
    assert one_mistake(f"macros.{macros}\n{MODEL}", tmp_path).startswith(expected)
    assert (
        one_mistake(f"{MODEL}macros.{macros}\n", tmp_path)
        .partition(" ")[2]
        .startswith(f"models.a.{expected.partition(' ')[2]}")
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "cmd = 'x ${PORT} ${m}'",
            "2:7 models.a.cmd: ${m} is unknown, known here are ${MODEL_ID}, ${PORT}, ${env.NAME}",
        ),
        ("cmd_stop = '${m}'", "2:12 models.a.cmd_stop: ${m} is unknown, known here are ${MODEL_ID}, ${PORT}, ${PID}"),
        ("proxy = 'http://x:${m}'", "2:9 models.a.proxy: ${m} is unknown"),
        ("check_endpoint = '/${m}'", "2:18 models.a.check_endpoint: ${m} is unknown, known here are ${MODEL_ID}"),
        ("env = ['A=${m}']", "2:7 models.a.env: ${m} is unknown"),
        ("cwd = '/${m}'", "2:7 models.a.cwd: ${m} is unknown"),
        ("name = '${m}'", "2:8 models.a.name: ${m} is unknown, known here are ${env.NAME}"),
        ("description = '${PORT}'", "2:15 models.a.description: ${PORT} is unknown"),
        ("use_model_name = '${m}'", "2:18 models.a.use_model_name: ${m} is unknown"),
        ("metadata.x.y = ['${m}']", "2:1 models.a.metadata: ${m} is unknown"),
        ("filters.set_params.x = '${m}'", "2:9 models.a.filters.set_params: ${m} is unknown"),
        ("filters.set_params_by_id.b.x = '${m}'", "2:9 models.a.filters.set_params_by_id: ${m} is unknown"),
        ("aliases = ['b', '${m}']", "2:17 models.a.aliases[1]: ${m} is unknown here: nothing but macros can be"),
        ("aliases = ['${env.KEY}']", "2:12 models.a.aliases[0]: ${env.KEY} is unknown here: nothing but macros"),
        ("filters.strip_params = ['${m}']", "2:25 models.a.filters.strip_params[0]: ${m} is unknown here"),
        (
            "filters.set_params_by_id.'a${m}'.x = 1",
            '2:26 models.a.filters.set_params_by_id."a${m}": ${m} is unknown here',
        ),
        (
            "concurrency = '${m}'",
            '2:15 models.a.concurrency: expected a whole number of at least 1, got the string "${m}"',
        ),
    ],
)
def test_a_macro_that_there_is_not_is_named_with_its_place(line: str, expected: str, tmp_path: Path) -> None:
    text = f"[models.a]\n{line}\n" + ("" if line.startswith("cmd =") else CMD)
    assert one_mistake(text, tmp_path).startswith(expected)


def test_a_models_macro_is_unknown_to_other_models(tmp_path: Path) -> None:
    text = f"{MODEL}macros.m = 1\n[models.b]\n{CMD}name = '${{m}}'\n"
    assert one_mistake(text, tmp_path).startswith("6:8 models.b.name: ${m} is unknown")


def test_what_a_macro_becomes_has_to_fit_where_it_is_used(tmp_path: Path) -> None:
    text = f"macros.m = 'many'\n{MODEL}concurrency = '${{m}}'\n"
    assert one_mistake(text, tmp_path) == (
        '4:15 models.a.concurrency: expected a whole number of at least 1, got the string "many"'
    )


def test_a_global_macro_that_is_wrong_is_told_once(tmp_path: Path) -> None:
    text = f"macros.m = '${{m}}'\n{MODEL}macros.n = 1\n[models.b]\n{CMD}macros.n = 1\n"
    assert [each.partition(": ")[0] for each in mistakes(text, tmp_path)] == ["1:12 macros.m"]


def test_two_names_with_settings_must_not_become_one(tmp_path: Path) -> None:
    text = f"macros.v = 'b'\n{MODEL}[models.a.filters.set_params_by_id]\n'${{v}}' = {{ x = 1 }}\nb = {{ x = 2 }}\n"
    assert one_mistake(text, tmp_path) == (
        '6:1 models.a.filters.set_params_by_id.b: stands for "b", which is here already: a name has its settings once'
    )


def test_what_defaults_mean_for_one_model_is_told_of_that_model(tmp_path: Path) -> None:
    text = "macros.n = 1\n[defaults]\ncmd = 'x ${PORT}'\nconcurrency = '${n}'\n[models.a]\n[models.b]\nmacros.n = 0\n"
    assert one_mistake(text, tmp_path).startswith(
        "6:9 models.b.concurrency: expected a whole number of at least 1, got the number 0"
    )
