"""The JSON Schema of the configuration file: it says what the loader says, as far as a schema can say it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError, validators

from proxy.cli import main
from proxy.config.json_schema import json_schema
from proxy.config.reading import Reader
from proxy.config.schema import Tables

from . import test_config as loader

FAST = loader.FAST

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = msgspec.json.decode(msgspec.json.encode(json_schema()))


def in_python(pattern: str) -> str:
    """A pattern of JavaScript: there `$` is the end, not a place before a last line feed."""
    return re.sub(r"\$$", r"\\Z", pattern)


def fits(_: object, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    if isinstance(value, str) and not re.search(in_python(pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern}")


VALIDATOR = validators.extend(Draft202012Validator, {"pattern": fits})(SCHEMA)

BEYOND = (
    # What is inside a text.
    r"expected a command, got no words",
    r"the first word, the program, is empty",
    r"a quote is not closed",
    r"nothing follows the last backslash",
    r"a NUL character",
    r"cannot be the name of an environment variable",
    r"is set twice",
    r"has a character that cannot be seen",
    r'expected "host:port" with a port from 0',
    r"is not a host",
    r"(has an empty step|ends with a backslash)",
    r"is not for filters",
    r"has a meaning of its own",
    r"a date or time cannot stand in JSON",
    r"is no number that JSON can say",
    r'"unix:" needs a path',
    # Numbers that JSON does not have, or does not tell apart, and numbers in a text.
    r"got the number (nan|-?inf|-?[0-9.]+\.0|-?[0-9.]+e\+[0-9]+)$",
    r'expected a duration: .*got the string "[0-9.]+(ms|s|m|h)"',
    r'expected a size: .*got the string "[0-9]+ ?[KMGiB]*"',
)
"""What is refused of one value by itself and a schema cannot say. What contradicts another value is beyond it too."""


def is_beyond(message: str) -> bool:
    return any(re.search(pattern, message) for pattern in BEYOND)


MORE_LINES = (
    'ttl = "999999999999999h"',
    'env = { "A\\u0000" = "x" }',
    'proxy = "http://x:0"',
    '[server]\nmax_body = "0MiB"',
    '[server]\nlisten = "[x]:80"',
    '[server]\nlisten = "unix:/\\u0001"',
    'filters.strip_params = ["model"]',
    'filters.set_params = { "a..b" = 1 }',
    "macros = { PORT = 1 }",
    "metadata = { since = 2020-01-01 }",
    "metadata = { share = nan }",
)


def cases() -> list[str]:
    """Every wrong file of the loader's own tests, and some that only a schema finds hard."""
    framed = '[models.a]\ncmd = "server --port ${{PORT}}"\n{}\n'
    return [
        *(text for text, _ in loader.test_a_file_is_refused_for.pytestmark[0].args[1]),
        *(framed.format(lines) for lines, _ in loader.test_a_model_is_refused_for.pytestmark[0].args[1]),
        *(framed.format(f"ttl = {each}") for each in loader.test_what_is_no_duration_is_refused.pytestmark[0].args[1]),
        *map(framed.format, MORE_LINES),
    ]


def refusals(text: str) -> list[str]:
    """What the loader says against the values of a file, each by itself."""
    reader = Reader()
    reader.read_table(Tables, tomllib.loads(text), ())
    return [finding.message for finding in reader.findings]


def judged(text: str) -> None:
    """Hold loader and schema together on one file, right or wrong."""
    said = refusals(text)
    if VALIDATOR.is_valid(tomllib.loads(text)):
        assert [message for message in said if not is_beyond(message)] == []
    else:
        assert said


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert SCHEMA["title"]


def test_the_verb_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def test_the_example_configuration_is_valid() -> None:
    VALIDATOR.validate(tomllib.loads((ROOT / "config.toml").read_text()))


def described(schema: dict[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Every key of every table, with what is said of it."""
    properties = schema.get("properties", {})
    assert isinstance(properties, dict)
    for key, inner in properties.items():
        yield f"{path}{key}", inner.get("description")
        yield from described(inner, f"{path}{key}.")
        if isinstance(inner.get("additionalProperties"), dict):
            yield from described(inner["additionalProperties"], f"{path}{key}.<>.")


def test_every_key_has_words() -> None:
    keys = dict(described(SCHEMA))
    assert {"server.listen", "models.<>.unload_delay", "groups.<>.members", "hooks.on_startup.preload"} <= keys.keys()
    assert [key for key, words in keys.items() if not words] == []
    assert "stays so long after its last request" in str(keys["models.<>.unload_delay"])
    assert 'such as "1500ms"' in str(keys["models.<>.unload_delay"])


def test_a_default_is_what_a_file_may_say() -> None:
    models = SCHEMA["properties"]["models"]["additionalProperties"]["properties"]
    assert models["proxy"]["default"] == "http://127.0.0.1:${PORT}"
    assert [models[key]["default"] for key in ("max_wait", "concurrency", "aliases")] == [300, 10, []]
    without = [key for key, said in models.items() if "default" not in said]
    tables = ["filters", "timeouts", "capabilities"]
    assert without == ["cmd", "cmd_stop", "cwd", *tables, "name", "description", "use_model_name"]
    for said in models.values():
        Draft202012Validator(said).validate(said.get("default", {} if said["type"] == "object" else "x"))


@pytest.mark.parametrize("text", cases())
def test_the_schema_refuses_what_the_loader_refuses_unless_it_cannot_know(text: str) -> None:
    judged(text)


def test_nothing_is_said_to_be_beyond_a_schema_that_no_case_needs() -> None:
    said = [message for text in cases() if VALIDATOR.is_valid(tomllib.loads(text)) for message in refusals(text)]
    assert [pattern for pattern in BEYOND if not any(re.search(pattern, message) for message in said)] == []


@FAST
@given(loader.files())
def test_what_loads_is_valid(file: dict[str, object]) -> None:
    VALIDATOR.validate(tomllib.loads(tomli_w.dumps(file)))


@FAST
@given(loader.files(), loader.values, st.data())
def test_schema_and_loader_agree_on_a_hostile_value(
    file: dict[str, object], value: object, data: st.DataObject
) -> None:
    table: dict[str, object] = file
    while True:
        key = data.draw(st.sampled_from(sorted(table)))
        inner = table[key]
        if not isinstance(inner, dict) or not inner or data.draw(st.integers(0, 3)) == 0:
            break
        table = inner
    table[key] = value
    judged(tomli_w.dumps(file))


def drawn_from(schema: dict[str, object]) -> st.SearchStrategy[object]:
    """Values that are valid under a schema of ours: a strategy for each keyword that ours have."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([drawn_from(each) for each in schema["anyOf"]])
    if "type" not in schema:
        return OF_JSON
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([OF_TYPE[kind](schema) for kind in kinds])


def _texts(schema: dict[str, object]) -> st.SearchStrategy[str]:
    texts = st.from_regex(in_python(schema["pattern"])) if "pattern" in schema else st.text()
    return texts.filter(lambda each: len(each) >= schema.get("minLength", 0) and not re.search("[\ud800-\udfff]", each))


def _objects(schema: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    properties = {key: drawn_from(inner) for key, inner in schema.get("properties", {}).items()}
    required = {key: properties.pop(key) for key in schema.get("required", ())}
    if schema.get("additionalProperties"):
        names = drawn_from(schema["propertyNames"])
        entries = drawn_from(schema["additionalProperties"])
        return st.dictionaries(names, entries, min_size=schema.get("minProperties", 0), max_size=3)
    return st.fixed_dictionaries(required, optional=properties)


LARGEST = 2**53
OF_JSON = st.recursive(
    st.text(st.characters(codec="utf-8")) | st.integers(-LARGEST, LARGEST) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=2)
    ),
    max_leaves=4,
)
OF_TYPE = {
    "string": _texts,
    "number": lambda schema: st.floats(schema.get("minimum", -1e9), schema.get("maximum", 1e9)) | st.integers(0, 100),
    "integer": lambda schema: st.integers(schema.get("minimum", -LARGEST), schema.get("maximum", LARGEST)),
    "boolean": lambda _: st.booleans(),
    "array": lambda schema: st.lists(drawn_from(schema["items"]), min_size=schema.get("minItems", 0), max_size=3),
    "object": _objects,
}


@FAST
@given(drawn_from(SCHEMA))
def test_what_is_valid_loads_or_is_refused_for_what_a_schema_cannot_say(file: dict[str, object]) -> None:
    VALIDATOR.validate(file)
    judged(tomli_w.dumps(file))
