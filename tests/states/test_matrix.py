"""The sets of models that may be there together: reading them, and what must leave."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from states.matrix import DEEPEST, Either, Expression, Matrix, Member, Reference, SetError, Together, read_sets
from states.settings import ModelId

LETTERS = "abcdef"


def matrix(costs: Mapping[str, int] | None = None, **texts: str) -> Matrix:
    sets = read_sets(texts, lambda name: ModelId(name) if len(name) == 1 else None)
    return Matrix(sets=sets, costs={ModelId(model): cost for model, cost in (costs or {}).items()})


def models(text: Iterable[str]) -> tuple[ModelId, ...]:
    return tuple(ModelId(letter) for letter in text)


def victims(chosen: Matrix, wanted: str, resident: str) -> str:
    return "".join(chosen.victims(ModelId(wanted), models(resident)))


def test_and_binds_tighter_than_or() -> None:
    chosen = matrix(s="a & b | c")
    assert chosen.sets["s"] == Either((Together((Member(ModelId("a")), Member(ModelId("b")))), Member(ModelId("c"))))


def test_every_part_of_a_combination_is_allowed() -> None:
    chosen = matrix(s="a & b & c | d")
    assert [chosen.allows(models(each)) for each in ("abc", "ac", "a", "ad", "d", "e", "ae")] == [
        True, True, True, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "wanted", "resident", "gone"),
    [
        ({"s": "a & b"}, "a", "b", ""),
        ({"s": "a | b"}, "a", "b", "b"),
        ({"s": "a & b | a & c"}, "a", "bc", "c"),
        ({"s": "a & c | a & b"}, "a", "bc", "b"),
        ({"s": "(a | b) & (c | d)"}, "a", "bc", "b"),
        ({"s": "(a | b) & (c | d)"}, "d", "ac", "c"),
        ({"s": "a & b"}, "e", "ab", "ab"),
        ({"s": "a & b", "t": "a & c"}, "a", "cb", "c"),
        ({"s": "+t | a & b", "t": "a & c"}, "a", "cb", "b"),
        ({"s": "a & a & b"}, "a", "b", ""),
    ],
)
def test_whoever_is_in_no_combination_with_the_wanted_model_leaves(
    texts: Mapping[str, str], wanted: str, resident: str, gone: str
) -> None:
    assert victims(matrix(**texts), wanted, resident) == gone


def test_what_is_dear_stays() -> None:
    assert victims(matrix({"c": 3}, s="a & b | a & c"), "a", "bc") == "b"
    assert victims(matrix({"d": 5}, s="a & b & c | a & d"), "a", "bcd") == "bc"
    assert victims(matrix({"d": 2}, s="a & b & c | a & d"), "a", "bcd") == "d"


@pytest.mark.parametrize("side", ["(x{0} | y{0})", "(y{0} | x{0})"])
def test_a_million_combinations_are_not_written_out(side: str) -> None:
    sets = read_sets({"all": " & ".join(side.format(n) for n in range(20))}, ModelId)
    chosen = Matrix(sets=sets, costs={})
    resident = [ModelId(f"x{n}") for n in range(20)]
    assert chosen.victims(ModelId("y7"), resident) == ("x7",)
    assert chosen.allows([*resident[:7], ModelId("y7"), *resident[8:]])
    assert not chosen.allows([*resident, ModelId("y7")])


def test_a_tie_among_a_million_combinations_goes_to_the_first() -> None:
    pairs = " & ".join(f"(y{n} | x{n})" for n in range(20))
    chosen = Matrix(sets=read_sets({"all": f"{pairs} & (z & x0 | z & y0)"}, ModelId), costs={})
    assert chosen.victims(ModelId("z"), [ModelId(f"{side}{n}") for n in range(20) for side in "xy"][:3]) == ()
    torn = Matrix(sets=read_sets({"all": f"z & ({pairs})"}, ModelId), costs={})
    assert torn.victims(ModelId("z"), models(("x0", "y0", "x1"))) == ("x0",)


def test_a_chain_of_references_is_read_until_it_is_too_long() -> None:
    texts = {f"s{n}": f"+s{n + 1}" for n in range(DEEPEST - 1)}
    sets = read_sets({**texts, f"s{DEEPEST - 1}": "a"}, ModelId)
    assert list(sets)[:2] == [f"s{DEEPEST - 1}", f"s{DEEPEST - 2}"]
    assert Matrix(sets=sets, costs={}).victims(ModelId("a"), models("b")) == ("b",)
    with pytest.raises(SetError, match="more than 100 levels of brackets and sets"):
        read_sets({"s": "+s0", **texts, f"s{DEEPEST - 1}": "a"}, ModelId)
    with pytest.raises(SetError, match="refers to itself"):
        read_sets({**{f"s{n}": f"+s{n + 1}" for n in range(5000)}, "s5000": "+s0"}, ModelId)


@pytest.mark.parametrize(
    ("texts", "place", "message"),
    [
        ({"s": ""}, ("s", 0), "the text ends"),
        ({"s": "  "}, ("s", 2), "the text ends"),
        ({"s": "a &"}, ("s", 3), "the text ends"),
        ({"s": "a & | b"}, ("s", 4), "a model, a +set or a bracket is expected, and | is there"),
        ({"s": "a b"}, ("s", 2), "b is not expected here"),
        ({"s": "a )"}, ("s", 2), ") is not expected here"),
        ({"s": "b & (a | c"}, ("s", 4), "the bracket is not closed"),
        ({"s": "a & org/model"}, ("s", 4), "there is no model 'org'"),
        ({"s": "a /"}, ("s", 2), "'/' cannot stand here; an id with such a character needs a variable"),
        ({"s": "a:b"}, ("s", 1), "':' cannot stand here"),
        ({"s": "+", "t": "a"}, ("s", 1), "the name of a set is expected"),
        ({"s": "+ &", "t": "a"}, ("s", 2), "the name of a set is expected"),
        ({"s": "+nothing"}, ("s", 1), "there is no set 'nothing'"),
        ({"s": "big | a", "big": "a"}, ("s", 0), "there is no model 'big'; +big is the set of that name"),
        ({"s": "a | +s"}, ("s", 4), "refers to itself: s -> s"),
        ({"s": "+t", "t": "a & +u", "u": "+t"}, ("u", 0), "refers to itself: t -> u -> t"),
        ({"s": "(" * (DEEPEST + 1) + "a"}, ("s", DEEPEST), "brackets within brackets"),
    ],
)
def test_a_set_is_refused_at_its_place(texts: Mapping[str, str], place: tuple[str, int], message: str) -> None:
    with pytest.raises(SetError) as caught:
        matrix(**texts)
    assert (caught.value.name, caught.value.offset) == place
    assert message in str(caught.value)


def expressions() -> st.SearchStrategy[Expression]:
    leaves = st.sampled_from([Member(ModelId(letter)) for letter in LETTERS])

    def inner(of: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        several = st.lists(of, min_size=2, max_size=3).map(tuple)
        return st.builds(Either, several) | st.builds(Together, several)

    return st.recursive(leaves, inner, max_leaves=8)


def combinations(expression: Expression, sets: Mapping[str, Expression]) -> Iterator[frozenset[ModelId]]:
    """Every combination, written out in order."""
    match expression:
        case Member(model=model):
            yield frozenset({model})
        case Reference(name=name):
            yield from combinations(sets[name], sets)
        case Either(choices=choices):
            for choice in choices:
                yield from combinations(choice, sets)
        case Together(parts=parts):
            for each in itertools.product(*(combinations(part, sets) for part in parts)):
                yield frozenset().union(*each)


@given(
    first=expressions(),
    second=expressions(),
    wanted=st.sampled_from(LETTERS),
    resident=st.permutations(LETTERS).flatmap(lambda order: st.integers(0, 5).map(lambda n: order[:n])),
    costs=st.dictionaries(st.sampled_from(LETTERS), st.integers(1, 3)),
)
def test_the_solver_agrees_with_the_combinations_written_out(
    first: Expression, second: Expression, wanted: str, resident: list[str], costs: dict[str, int]
) -> None:
    sets = {"first": first, "second": Either((second, Together((Reference("first"), Member(ModelId("a"))))))}
    chosen = Matrix(sets=sets, costs={ModelId(model): cost for model, cost in costs.items()})
    others = [ModelId(each) for each in resident if each != wanted]
    everything = [each for name in sets for each in combinations(sets[name], sets)]
    fitting = [each for each in everything if wanted in each]

    def cost(kept: frozenset[ModelId]) -> int:
        return sum(costs.get(model, 1) for model in others if model not in kept)

    best = min(fitting, key=cost, default=frozenset[ModelId]())
    assert list(chosen.victims(ModelId(wanted), others)) == [model for model in others if model not in best]
    together = {*others, ModelId(wanted)}
    assert chosen.allows(together) == (len(together) == 1 or any(together <= each for each in everything))


def test_combinations_are_counted_without_making_them() -> None:
    sets = {"one": "(a | b) & (c | d)", "two": "a | +one & (b | c)", "three": " & ".join(["(a | b)"] * 200)}
    for name, number in (("one", 4), ("two", 4 + 1 + 4 * 2), ("three", 4 + 1 + 4 * 2 + 2**200)):
        chosen = dict(list(sets.items())[: list(sets).index(name) + 1])
        matrix = Matrix(sets=read_sets(chosen, ModelId), costs={})
        assert matrix.combinations() == number
