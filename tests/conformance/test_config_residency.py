"""Groups, the matrix and routing, against sections 2.1, 2.7, 2.8 and 10 of llama-swap's behaviour.

Each docstring begins with its section; where we differ on purpose it says so, and why.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Config
from states.residency import policy_of
from states.settings import ModelId, Strategy

from .config_stage import load, notes, refused, scheduling

ABC = "".join(f"  {name}: {{cmd: 'server --port ${{PORT}}'}}\n" for name in "abcd")
MODELS = f"models:\n{ABC}"


def victims(config: Config, wanted: str, resident: str) -> str:
    """Who leaves for a model."""
    return "".join(policy_of(config.settings).victims(ModelId(wanted), [ModelId(name) for name in resident]))


def test_models_in_no_group_are_a_group_that_swaps(tmp_path: Path) -> None:
    """2.7, 10."""
    config = load(
        tmp_path, MODELS + "groups: {g: {members: [a, b], swap: false, exclusive: false, persistent: true}}\n"
    )
    assert victims(config, "c", "d") == "d"
    assert victims(config, "c", "abd") == "d"
    assert victims(config, "a", "bcd") == ""


def test_a_group_called_default_in_brackets_is_passed_over(tmp_path: Path) -> None:
    """2.7: it is overwritten there. Better: it is said."""
    config = load(tmp_path, MODELS + "groups: {(default): {members: [a, b], swap: false}}\n")
    assert victims(config, "a", "b") == "b"
    assert len(notes(config)) == 1


def test_groups_called_as_something_of_ours_have_another_name_here(tmp_path: Path) -> None:
    """2.7. Different: `default` and slashes have a meaning here."""
    config = load(tmp_path, MODELS + "groups: {default: {members: [a]}, x/y: {members: [b]}}\n")
    assert set(config.settings.groups) == {"default-group", "x-y"}
    assert len(notes(config)) == 2


@pytest.mark.parametrize(
    ("groups", "mistake"),
    [
        ("{g: {members: [a, a]}}", '"a" is in this group already'),
        ("{g: {members: [a]}, h: {members: [a]}}", '"a" is in the group "g" already'),
        ("{g: {members: [nope]}}", 'there is no model "nope"'),
        ("[a]", "groups: expected a mapping"),
    ],
)
def test_members_are_models_each_in_one_group(tmp_path: Path, groups: str, mistake: str) -> None:
    """2.7, 10."""
    assert any(mistake in each for each in refused(tmp_path, f"{MODELS}groups: {groups}\n"))


def test_an_alias_is_no_member(tmp_path: Path) -> None:
    """2.7. Different: there it makes a second process that nobody reaches."""
    text = MODELS.replace("}'}", "}', aliases: [nick]}", 1) + "groups: {g: {members: [nick]}}\n"
    assert '"nick" is an alias: write the id, "a"' in refused(tmp_path, text)[0]


def test_old_and_new_spelling_exclude_each_other(tmp_path: Path) -> None:
    """2.1, 10."""
    for old in ("groups: {g: {members: [a]}}", "matrix: {sets: {s: a}}"):
        said = refused(tmp_path, f"{MODELS}{old}\nrouting: {{router: {{use: group}}}}\n")
        assert said[0].startswith(f"6:1 {old.partition(':')[0]}: there is routing.router too")
    both = f"{MODELS}groups: {{g: {{members: [a]}}}}\nmatrix: {{sets: {{s: a}}}}\n"
    assert "there are groups too" in refused(tmp_path, both)[0]


def test_use_selects_and_the_other_is_not_looked_at(tmp_path: Path) -> None:
    """2.1, 10."""
    settings = "settings: {groups: {g: {members: [a, b], swap: false}}, matrix: {sets: {s: c & d}}}"
    groups = load(tmp_path, f"{MODELS}routing: {{router: {{use: group, {settings}}}}}\n")
    assert (victims(groups, "a", "b"), victims(groups, "c", "d")) == ("", "d")
    matrix = load(tmp_path, f"{MODELS}routing: {{router: {{use: matrix, {settings}}}}}\n")
    assert (victims(matrix, "a", "b"), victims(matrix, "c", "d")) == ("b", "")
    assert (
        "there is no routing.router.settings.matrix"
        in refused(tmp_path, f"{MODELS}routing: {{router: {{use: matrix}}}}\n")[0]
    )
    assert "expected group or matrix" in refused(tmp_path, f"{MODELS}routing: {{router: {{use: roulette}}}}\n")[0]


def test_the_fifo_there_is_fifo_plus_here_with_its_priorities(tmp_path: Path) -> None:
    """2.1, 10. Different: a scheduler that knows priorities is called fifo+, and fifo is strict order of arrival."""
    routing = "routing: {scheduler: {use: fifo, settings: {fifo: {priority: {a: 5, b: -1}}}}}\n"
    config = load(tmp_path, MODELS + routing)
    assert config.settings.strategy is Strategy.FIFO_PLUS
    assert [scheduling(config, name).priority for name in "abc"] == [5, -1, 0]
    assert 'there is no model "nope"' in refused(tmp_path, MODELS + routing.replace("a:", "nope:"))[0]
    assert "expected fifo" in refused(tmp_path, MODELS + routing.replace("use: fifo", "use: lifo"))[0]


def test_a_priority_of_an_alias_has_no_effect(tmp_path: Path) -> None:
    """2.1. Better: it is said."""
    text = MODELS.replace("}'}", "}', aliases: [nick]}", 1)
    config = load(tmp_path, text + "routing: {scheduler: {settings: {fifo: {priority: {nick: 5}}}}}\n")
    assert scheduling(config, "a").priority == 0
    assert "an alias" in notes(config)[0]


@pytest.mark.parametrize(
    ("matrix", "wanted", "resident", "leave"),
    [
        ("sets: {s: a & b}", "a", "b", ""),
        ("sets: {s: a & b}", "a", "bc", "c"),
        ("sets: {s: a | b & c}", "a", "bc", "bc"),  # & binds tighter
        ("sets: {s: (a | b) & c}", "a", "bc", "b"),
        ("sets: {x: a & b, s: +x & c}", "a", "bc", ""),
        ("sets: {s: a & b}", "d", "ab", "ab"),  # in no set: alone
        ("sets: {s: a & b & c}", "a", "c", ""),  # subsets are allowed
        ("sets: {s: a & b, t: a & c}", "a", "bc", "c"),  # the first in order wins
        ("{sets: {s: a & b, t: a & c}, evict_costs: {c: 5}}", "a", "bc", "b"),
        ("{sets: {s: a & v, t: a & c}, vars: {v: b}, evict_costs: {v: 5}}", "a", "bc", "c"),
        ("sets: {t: +s | a & c, s: a & b}", "a", "bc", "c"),  # a set comes after those it refers to
    ],
)
def test_the_matrix_chooses_as_specified(tmp_path: Path, matrix: str, wanted: str, resident: str, leave: str) -> None:
    """2.8, 10."""
    inner = matrix if matrix.startswith("{") else f"{{{matrix}}}"
    assert victims(load(tmp_path, f"{MODELS}matrix: {inner}\n"), wanted, resident) == leave


@pytest.mark.parametrize(
    ("matrix", "mistake"),
    [
        ("{sets: {s: ''}}", "matrix.sets.s: "),
        ("{sets: {s: 'a $ b'}}", "matrix.sets.s: "),
        ("{sets: {s: '(a'}}", "matrix.sets.s: "),
        ("{sets: {s: 'a b'}}", "matrix.sets.s: "),
        ("{sets: {s: nope}}", "matrix.sets.s: "),
        ("{sets: {s: +nope}}", "matrix.sets.s: "),
        ("{sets: {s: +t, t: +s}}", "matrix.sets."),
        ("{sets: {}}", "matrix.sets: expected at least one set"),
        ("{vars: {v: nope}, sets: {s: a}}", 'matrix.vars.v: there is no model "nope"'),
        ("{evict_costs: {a: 0}, sets: {s: a}}", "matrix.evict_costs.a: expected a whole number of at least 1"),
        ("{evict_costs: {nope: 1}, sets: {s: a}}", '"nope" is neither a model nor in vars'),
    ],
)
def test_what_is_wrong_with_a_matrix_has_its_place(tmp_path: Path, matrix: str, mistake: str) -> None:
    """2.8, 10."""
    said = refused(tmp_path, f"{MODELS}matrix: {matrix}\n")
    assert any(mistake in each and each.startswith("6:") for each in said), said


def test_a_million_combinations_are_nothing(tmp_path: Path) -> None:
    """2.8, 10: never expanded; more than 64 models."""
    names = [f"m{number}" for number in range(80)]
    models = "models:\n" + "".join(f"  {name}: {{cmd: 'server --port ${{PORT}}'}}\n" for name in names)
    pairs = " & ".join(f"({first} | {second})" for first, second in zip(names[::2], names[1::2], strict=True))
    config = load(tmp_path, f"{models}matrix: {{sets: {{s: '{pairs}'}}}}\n")
    resident = [ModelId(name) for name in names[1::2]]
    assert policy_of(config.settings).victims(ModelId("m0"), resident) == ("m1",)


def test_any_name_of_a_variable_may_be_used(tmp_path: Path) -> None:
    """2.8. Different: 32 characters of [A-Za-z0-9.-] there; here whatever the language can read."""
    models = MODELS + "  org/x:y: {cmd: 'server --port ${PORT}'}\n"
    config = load(tmp_path, f"{models}matrix: {{vars: {{x_y.1-é: org/x:y}}, sets: {{s: x_y.1-é & a}}}}\n")
    assert victims(config, "a", "b") == "b"
    assert policy_of(config.settings).victims(ModelId("a"), [ModelId("org/x:y")]) == ()
