"""`[matrix]` in a file: which models may be there together."""

from __future__ import annotations

from pathlib import Path

import pytest

from states.residency import policy_of
from states.settings import ModelId

from .test_config import CMD, load, mistakes, one_mistake

MODELS = "".join(f"[models.{name}]\n{CMD}" for name in ("a", "b", "'org/c:7b'"))
"""Six lines."""


def victims(text: str, folder: Path, wanted: str, *resident: str) -> tuple[ModelId, ...]:
    policy = policy_of(load(MODELS + text, folder).settings)
    return policy.victims(ModelId(wanted), [ModelId(each) for each in resident])


def test_a_set_says_what_may_be_there_together(tmp_path: Path) -> None:
    text = "[matrix]\nvars.c = 'org/c:7b'\nsets.usual = '(a | b) & c'\n"
    assert victims(text, tmp_path, "a", "b", "org/c:7b") == ("b",)
    assert victims(text, tmp_path, "org/c:7b", "a") == ()


def test_a_model_in_no_set_is_there_alone(tmp_path: Path) -> None:
    assert victims("[matrix]\nsets.x = 'a & b'\n", tmp_path, "org/c:7b", "a", "b") == ("a", "b")


def test_a_set_may_refer_to_one_that_is_defined_after_it(tmp_path: Path) -> None:
    text = "[matrix]\nvars.c = 'org/c:7b'\nsets.all = '+pair & c'\nsets.pair = 'a & b'\n"
    assert victims(text, tmp_path, "org/c:7b", "a", "b") == ()


@pytest.mark.parametrize("key", ["a", "x"])
def test_costs_are_by_id_or_by_short_name_and_decide(key: str, tmp_path: Path) -> None:
    text = f"[matrix]\nvars = {{ c = 'org/c:7b', x = 'a' }}\nevict_costs.{key} = 2\nsets = {{ p = 'c&b', q = 'c&a' }}\n"
    assert victims(text, tmp_path, "org/c:7b", "a", "b") == ("b",)
    assert victims(text.replace("= 2", "= 1"), tmp_path, "org/c:7b", "a", "b") == ("a",)


def test_a_short_name_goes_before_an_id(tmp_path: Path) -> None:
    assert victims("[matrix]\nvars.a = 'b'\nsets.x = 'a & b'\n", tmp_path, "b", "a") == ("a",)


def test_models_of_a_matrix_are_loaded_each_by_itself(tmp_path: Path) -> None:
    config = load(f"{MODELS}[matrix]\nsets.x = 'a & b'\n", tmp_path)
    assert dict(policy_of(config.settings).group_of) == {model: model for model in config.models}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", '7:2 matrix: sets is missing: expected at least one set, such as all = "(chat | coder) & embed"'),
        ("sets = {}", "8:8 matrix.sets: expected at least one set"),
        ("sets = 'a'", "8:8 matrix.sets: expected at least one set"),
        ("sets.x = ['a']", "8:10 matrix.sets.x: expected a string, got a list"),
        ("sets.x = 'a'\nset.y = 'a'", "9:1 matrix.set: unknown key: did you mean sets?"),
        ("sets.x = 'a'\nvars.v = 'aa'", '9:10 matrix.vars.v: there is no model "aa": did you mean "a"?'),
        ("sets.x = 'a'\nvars.v = 1", "9:10 matrix.vars.v: expected a name, a string, got the number 1"),
        ("sets.x = 'a'\nvars.'' = 'a'", '9:6 matrix.vars."": the name is empty'),
        ("sets.x = 'a'\nevict_costs.v = 2", '9:13 matrix.evict_costs.v: "v" is neither a model nor in vars'),
        ("sets.x = 'a'\nevict_costs.a = 0", "9:17 matrix.evict_costs.a: expected a whole number of at least 1"),
        ("sets.x = 'a'\nevict_costs.a = 1.5", "9:17 matrix.evict_costs.a: expected a whole number of at least 1"),
        ("sets.x = ''", "8:10 matrix.sets.x: a model, a +set or a bracket is expected, and the text ends"),
        ("sets.x = 'a &'", '8:10 matrix.sets.x: after "a &", a model, a +set or a bracket is expected, and the text'),
        ("sets.x = '(a'", "8:10 matrix.sets.x: the bracket is not closed"),
        ("sets.x = 'a)'", '8:10 matrix.sets.x: after "a", ) is not expected here: an & or a | is missing'),
        ("sets.x = 'a b'", '8:10 matrix.sets.x: after "a ", b is not expected here: an & or a | is missing'),
        ("sets.x = 'a | org/c'", "8:10 matrix.sets.x: after"),
        ("sets.x = 'a | nobody'", "8:10 matrix.sets.x: after \"a | \", there is no model 'nobody'"),
        ("sets.x = '+y'", "8:10 matrix.sets.x: after \"+\", there is no set 'y'"),
        ("sets.x = '+x'", "8:10 matrix.sets.x: refers to itself: x -> x"),
        ("sets.x = 'a | +y'\nsets.y = '+x'", ": x -> y -> x"),
        ("sets.x = '${m}'", "8:10 matrix.sets.x: '$' cannot stand here; an id with such a character needs a variable"),
    ],
)
def test_a_matrix_is_refused_for(lines: str, expected: str, tmp_path: Path) -> None:
    assert expected in one_mistake(f"{MODELS}[matrix]\n{lines}\n", tmp_path)


def test_groups_and_a_matrix_exclude_each_other(tmp_path: Path) -> None:
    text = f"{MODELS}[groups.g]\nmembers = ['a']\n[matrix]\nsets.x = 'a'\n"
    assert one_mistake(text, tmp_path) == (
        "9:2 matrix: there are groups too: which models may be there together is said by one of the two"
    )


def test_what_is_wrong_in_short_names_is_said_before_what_follows_from_it(tmp_path: Path) -> None:
    text = f"{MODELS}[matrix]\nvars.v = 'nobody'\nsets.x = 'v & nobody'\n"
    assert [each.partition(": ")[0] for each in mistakes(text, tmp_path)] == ["8:10 matrix.vars.v"]


def test_a_deep_set_is_refused_and_a_wide_one_is_read(tmp_path: Path) -> None:
    deep = f"{MODELS}[matrix]\nsets.x = '{'(' * 500}a{')' * 500}'\n"
    assert "more than 100 brackets within brackets" in one_mistake(deep, tmp_path)
    wide = " & ".join(f"(m{n} | n{n})" for n in range(20))
    models = "".join(f"[models.{letter}{n}]\n{CMD}" for n in range(20) for letter in "mn")
    config = load(f"{models}[matrix]\nsets.x = '{wide}'\n", tmp_path)
    residents = [ModelId(f"n{n}") for n in range(20)]
    assert policy_of(config.settings).victims(ModelId("m7"), residents) == ("n7",)
