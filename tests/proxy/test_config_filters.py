"""What a file says of bodies, of patience and of listings: filters, timeouts, capabilities, metadata."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
import tomli_w

from proxy.config import Config, effective
from proxy.config.configuration import ModelConfig
from proxy.config.routing import Capabilities, Filters, Timeouts
from states.settings import ModelId

from .test_config import CMD, load, one_mistake


def model(config: Config, name: str = "a") -> ModelConfig:
    return config.models[ModelId(name)]


def said(lines: str, folder: Path) -> ModelConfig:
    return model(load(f"[models.a]\n{CMD}{lines}\n", folder))


def test_nothing_is_changed_and_nothing_is_listed_unless_it_is_said(tmp_path: Path) -> None:
    found = said("", tmp_path)
    assert (found.filters, found.use_model_name, found.metadata) == (Filters(), None, {})
    assert (found.timeouts, found.capabilities) == (Timeouts(), Capabilities())
    assert (found.timeouts.connect_s, found.timeouts.response_header_s, found.timeouts.idle_s) == (30, inf, 90)


@pytest.mark.parametrize("written", ["'a, b.c ,, d\\.e'", "['a', 'b.c', 'd\\.e']"])
def test_what_is_stripped_is_a_list_or_separated_by_commas(written: str, tmp_path: Path) -> None:
    assert said(f"filters.strip_params = {written}", tmp_path).filters.strip == ("a", "b.c", "d\\.e")


def test_settings_have_any_value_that_json_can_say(tmp_path: Path) -> None:
    found = said(
        """
        [models.a.filters.set_params]
        n = -1
        f = 0.5
        t = true
        s = "x"
        "messages.0.role" = "user"
        list = [1, "two", [3], { four = 4 }]
        table = { a.b = "${env.KEY}" }
        """,
        tmp_path,
    )
    assert found.filters.set == {
        "n": -1,
        "f": 0.5,
        "t": True,
        "s": "x",
        "messages.0.role": "user",
        "list": [1, "two", [3], {"four": 4}],
        "table": {"a": {"b": "s3cret"}},
    }


def test_a_models_filters_replace_those_of_the_defaults_whole(tmp_path: Path) -> None:
    text = f"""
        [defaults]
        filters = {{ strip_params = "x", set_params.y = 1 }}
        timeouts.connect = 5
        capabilities = {{ tools = true, context = 3 }}
        [models.a]
        {CMD}
        [models.b]
        {CMD}
        filters.set_params.z = 2
        timeouts.idle = 7
        capabilities.in = ["image"]
    """
    config = load(text, tmp_path)
    a, b = model(config), model(config, "b")
    assert (a.filters.strip, a.filters.set) == (("x",), {"y": 1})
    assert (b.filters.strip, b.filters.set) == ((), {"z": 2})
    assert (a.timeouts, b.timeouts) == (Timeouts(connect_s=5), Timeouts(idle_s=7))
    assert (a.capabilities, b.capabilities) == (Capabilities(tools=True, context=3), Capabilities(inputs=("image",)))


def test_zero_is_patience_without_end(tmp_path: Path) -> None:
    found = said("timeouts = { connect = 0, response_header = '0s', idle = 0 }", tmp_path)
    assert found.timeouts == Timeouts(connect_s=inf, response_header_s=inf, idle_s=inf)


def test_listings_have_what_is_said(tmp_path: Path) -> None:
    found = said(
        "use_model_name = 'org/${env.KEY}'\nmetadata = { a = { b = [1, '${env.KEY}'] } }\n"
        "capabilities = { in = ['text', 'image'], out = ['audio'], tools = true, reranker = true, context = 4096 }",
        tmp_path,
    )
    assert (found.use_model_name, found.metadata) == ("org/s3cret", {"a": {"b": [1, "s3cret"]}})
    assert found.capabilities == Capabilities(
        inputs=("text", "image"), outputs=("audio",), tools=True, reranker=True, context=4096
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("filters = 1", "3:11 models.a.filters: expected a table, got the number 1"),
        ("filters.strip = 'x'", "3:9 models.a.filters.strip: unknown key: known here are set_params, set_"),
        ("filters.stripParams = 'x'", "3:9 models.a.filters.stripParams: unknown key: did you mean strip_params?"),
        ("filters.strip_params = 1", "3:24 models.a.filters.strip_params: expected a list of paths into the body"),
        ("filters.strip_params = [1]", "3:25 models.a.filters.strip_params[0]: expected a path into the body"),
        ("filters.strip_params = 'a, model'", "3:24 models.a.filters.strip_params: the model of a request is not for"),
        ("filters.strip_params = ['a', 'mo\\del']", "3:30 models.a.filters.strip_params[1]: the model of a request is"),
        ("filters.strip_params = ['a..b']", '3:25 models.a.filters.strip_params[0]: "a..b" has an empty step'),
        ("filters.strip_params = ['']", '3:25 models.a.filters.strip_params[0]: "" has an empty step'),
        ("filters.strip_params = ['a\\']", '3:25 models.a.filters.strip_params[0]: "a\\\\" ends with a backslash'),
        (f"filters.strip_params = ['{'a.' * 64}a']", "3:25 models.a.filters.strip_params[0]: "),
        ("filters.set_params = []", "3:22 models.a.filters.set_params: expected a table from paths into the body to"),
        ("filters.set_params.model = 'x'", "3:20 models.a.filters.set_params.model: the model of a request is not for"),
        ("filters.set_params.'.a' = 1", '3:20 models.a.filters.set_params.".a": ".a" has an empty step'),
        (
            "filters.set_params.a = 2026-01-01",
            "3:24 models.a.filters.set_params.a: a date or time cannot stand in JSON",
        ),
        ("filters.set_params.a = [1, [nan]]", "3:29 models.a.filters.set_params.a[1][0]: nan is no number that JSON"),
        ("filters.set_params.a = '${PORT}'", "3:9 models.a.filters.set_params: ${PORT} is unknown"),
        ("filters.set_params_by_id = 'x'", "3:28 models.a.filters.set_params_by_id: expected a table from names to"),
        ("filters.set_params_by_id.v = 1", "3:30 models.a.filters.set_params_by_id.v: expected a table from paths"),
        ("filters.set_params_by_id.v.model = 1", "3:28 models.a.filters.set_params_by_id.v.model: the model of a"),
        ("filters.set_params_by_id.v.a.b = inf", "3:34 models.a.filters.set_params_by_id.v.a.b: inf is no number"),
        ("filters.set_params_by_id.' v'.a = 1", '3:26 models.a.filters.set_params_by_id." v": the name " v" begins or'),
        ("use_model_name = 3", "3:18 models.a.use_model_name: expected a string, got the number 3"),
        ("timeouts.connect = -1", "3:20 models.a.timeouts.connect: expected a duration"),
        ("timeouts.keepalive = 1", "3:10 models.a.timeouts.keepalive: unknown key: known here are connect, idle, resp"),
        ("timeouts = 3", "3:12 models.a.timeouts: expected a table, got the number 3"),
        ("capabilities.in = ['smell']", '3:20 models.a.capabilities.in[0]: expected "text", "audio" or "image", got'),
        ("capabilities.in = 'text'", '3:19 models.a.capabilities.in: expected a list of "text", "audio" and "image"'),
        ("capabilities.inputs = []", "3:14 models.a.capabilities.inputs: unknown key: known here are context, in, out"),
        ("capabilities.tools = 1", "3:22 models.a.capabilities.tools: expected true or false, got the number 1"),
        ("capabilities.context = -1", "3:24 models.a.capabilities.context: expected a whole number of at least 0, got"),
        ("metadata = 'x'", "3:12 models.a.metadata: expected a table of values that JSON can say"),
        ("metadata.a.b = [2026-01-01]", "3:17 models.a.metadata.a.b[0]: a date or time cannot stand in JSON"),
        ("metadata.a = '${env.NO}'", "3:1 models.a.metadata: ${env.NO}: the environment variable 'NO' is not set"),
    ],
)
def test_a_model_is_refused_for(line: str, expected: str, tmp_path: Path) -> None:
    assert one_mistake(f"[models.a]\n{CMD}{line}\n", tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("key", "home"),
    [
        ("strip_params", "[models.<id>.filters]"),
        ("response_header", "[models.<id>.timeouts]"),
        ("targets", "[selectors.<name>]"),
        ("evict_costs", "[matrix]"),
        ("api_key", "[peers.<name>]"),
    ],
)
def test_a_new_key_in_the_wrong_place_is_told_where_it_belongs(key: str, home: str, tmp_path: Path) -> None:
    assert home in one_mistake(f"[server]\n{key} = 1\n[models.a]\n{CMD}", tmp_path)


def test_what_is_for_others_is_printed_as_it_is(tmp_path: Path) -> None:
    """To a program 1.0 need not be 1, and an empty table says something."""
    lines = "metadata = { f = 1.0, none = {}, many = [{}, 2.0] }\nfilters.set_params = { a = {}, b = 3.0 }\n"
    config = load(f"[models.a]\n{CMD}{lines}[models.metadata]\n{CMD}ttl = 5.0\n", tmp_path)
    printed = tomli_w.dumps(effective(config))
    again = model(load(printed, tmp_path))
    assert repr(sorted(again.metadata.items())) == "[('f', 1.0), ('many', [{}, 2.0]), ('none', {})]"
    assert repr(sorted(again.filters.set.items())) == "[('a', {}), ('b', 3.0)]"
    assert "ttl = 5\n" in printed
