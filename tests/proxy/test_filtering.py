"""What is changed of a body, and that nothing else is."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.json_paths import item_of, parse_path
from proxy.config.routing import Filters
from proxy.filtering import changes_of, rewritten
from proxy.replies import Problem


def filtered(body: bytes, filters: Filters, *, model: str = "m", name: str = "m") -> bytes:
    return rewritten(body, "m", model, changes_of(filters, name))


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        ("temperature", ("temperature",)),
        ("a.b.0", ("a", "b", "0")),
        (r"a\.b", ("a.b",)),
        (r"a\\.b", ("a\\", "b")),
        ("größe.ß", ("größe", "ß")),
    ],
)
def test_a_path_is_steps_between_dots(written: str, steps: tuple[str, ...]) -> None:
    assert parse_path(written) == steps


@pytest.mark.parametrize("written", ["", ".", "a.", ".a", "a..b", "a\\", "a" + 64 * ".a", 500_000 * "a."])
def test_a_path_without_a_step_somewhere_or_with_too_many_is_a_mistake(written: str) -> None:
    with pytest.raises(ValueError, match=r"empty step|backslash|more than 64 steps"):
        parse_path(written)


@pytest.mark.parametrize(
    ("step", "item"), [("0", 0), ("12", 12), ("-1", None), ("a", None), ("9" * 5000, None), ("²", None)]
)
def test_only_plain_numbers_are_items(step: str, item: int | None) -> None:
    assert item_of(step) == item


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","temperature":0.70,"x":1}',
        b' { "model" : "m" ,\n "x" : 1E2 } ',
        b'{"x":1,"model":"no","model":"m","x":2}',
        b'{"model":"m","text":"\\u00e9\xff"}',
    ],
)
def test_a_body_that_nothing_is_changed_of_stays_as_it_came(body: bytes) -> None:
    assert filtered(body, Filters(strip=("top_k", "x.y", "text.0", "model", "model.x"), set={"model": "other"})) is body


def test_what_is_not_changed_keeps_its_bytes_and_its_place() -> None:
    body = (
        b'{"big": 98765432109876543210, "model": "m","e":1E-2, "s": "\\u00e9\\/", "o": { "k" : [1.0, 2.50] }, "z": 1}'
    )
    assert filtered(body, Filters(strip=("z",)), model="n") == (
        b'{"big":98765432109876543210,"model":"n","e":1E-2,"s":"\\u00e9\\/","o":{ "k" : [1.0, 2.50] }}'
    )


def test_of_keys_with_one_name_the_last_counts_and_is_left() -> None:
    body = b'{"model":"x","a":1,"mod\\u0065l":"m","a":2}'
    assert filtered(body, Filters(set={"b": 3})) == b'{"model":"m","a":2,"b":3}'


def test_setting_comes_behind_stripping_and_what_the_name_says_wins() -> None:
    filters = Filters(
        strip=("temperature", "top_p"),
        set={"temperature": 0.5, "seed": 1, "stop": ["a"]},
        set_by_name={"high": {"temperature": 1, "reasoning.effort": "high"}, "low": {"temperature": 0}},
    )
    body = b'{"model":"m","temperature":2,"top_p":1}'
    assert json.loads(filtered(body, filters)) == {"model": "m", "seed": 1, "stop": ["a"], "temperature": 0.5}
    assert json.loads(filtered(body, filters, name="high")) == {
        "model": "m",
        "seed": 1,
        "stop": ["a"],
        "temperature": 1,
        "reasoning": {"effort": "high"},
    }


@pytest.mark.parametrize(
    ("filters", "before", "after"),
    [
        (Filters(set={"a.b": 1}), {}, {"a": {"b": 1}}),
        (Filters(set={"a.b": 1}), {"a": {"c": 2}}, {"a": {"c": 2, "b": 1}}),
        (Filters(set={"a.b": 1}), {"a": 7}, {"a": {"b": 1}}),
        (Filters(set={"a.b": 1}), {"a": None}, {"a": {"b": 1}}),
        (Filters(set={"a": {"b": 1}}), {"a": {"c": 2}}, {"a": {"b": 1}}),
        (Filters(set={"a": {"b": 1}, "a.c": 2}), {}, {"a": {"b": 1, "c": 2}}),
        (Filters(set={r"a\.b": 1}), {}, {"a.b": 1}),
        (Filters(set={"l.0.x": 1}), {"l": [{}, 2]}, {"l": [{"x": 1}, 2]}),
        (Filters(set={"l.1": 1}), {"l": [0]}, {"l": [0, 1]}),
        (Filters(set={"l.2": 1}), {"l": [0]}, {"l": [0]}),
        (Filters(set={"l.2.x": 1}), {"l": [0]}, {"l": [0]}),
        (Filters(set={"l.x": 1, "l.x.y": 1}), {"l": [0]}, {"l": [0]}),
        (Filters(set={"logit_bias.15": -100}), {}, {"logit_bias": {"15": -100}}),
        (Filters(set={"logit_bias.15": -100}), {"logit_bias": {"7": 1}}, {"logit_bias": {"7": 1, "15": -100}}),
        (Filters(strip=("a.b", "a.c.0", "d.x")), {"a": {"b": 1, "c": [1, 2]}, "d": 3}, {"a": {"c": [2]}, "d": 3}),
        (Filters(strip=("l.5", "l.x")), {"l": [0]}, {"l": [0]}),
    ],
)  # fmt: skip
def test_a_path_leads_through_objects_and_lists(filters: Filters, before: object, after: object) -> None:
    body = json.dumps({"model": "m", **before}).encode()  # type: ignore[dict-item]
    assert json.loads(filtered(body, filters)) == {"model": "m", **after}  # type: ignore[dict-item]


def test_a_key_that_cannot_be_read_is_the_clients_mistake() -> None:
    with pytest.raises(Problem) as caught:
        filtered(b'{"model":"m","\xff":1}', Filters(set={"a": 1}))
    assert caught.value.status == 400


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(fields=st.dictionaries(st.text(max_size=6), JSON, max_size=5), value=JSON, is_ascii=st.booleans())
def test_whatever_the_body_only_what_is_named_differs(
    *, fields: dict[str, object], value: object, is_ascii: bool
) -> None:
    body = json.dumps({**fields, "model": "m", "cut": 1}, ensure_ascii=is_ascii).encode()
    expected = {**{key: each for key, each in fields.items() if key != "cut"}, "model": "n", "put": value}
    filters = Filters(strip=("cut",), set={"put": value})  # type: ignore[dict-item]
    result = json.loads(filtered(body, filters, model="n"))
    assert result == json.loads(json.dumps(expected))
    assert [key for key in result if key != "put"] == [key for key in json.loads(body) if key not in {"cut", "put"}]
    assert msgspec.json.decode(filtered(body, filters, model="n")) is not None
