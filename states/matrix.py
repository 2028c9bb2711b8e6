"""Which models may be there together: named sets, in a small language, with costs of eviction.

    standard = "(llama | qwen) & embed"      one of the two, and embed
    big      = "llama70b | +standard"        alone, or what `standard` says

`&` binds tighter than `|`; `+name` stands for another set. A combination is one choice at every `|`; whatever is part
of one may be there together. Combinations are never written out: all that matters of one is which of a few models it
has, and whatever has less than another is left out on the way.

Order, for ties: sets as defined, but a set that another one refers to comes before it; within a set from left to right,
the choice on the left of `&` varying most slowly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import or_
from typing import Final

from .settings import ModelId

DEEPEST: Final = 100
"""Brackets within brackets that are read: more were made by a mistake, or by a machine."""
_WORD: Final = re.compile(r"\s*(?:(?P<name>[\w.-]+)|(?P<sign>[&|+()]))")


class SetError(ValueError):
    """A set cannot be understood: which, where in its text, and why, as a clause."""

    def __init__(self, name: str, offset: int, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.offset = offset
        """Characters of its text before what is meant."""


@dataclass(frozen=True, slots=True)
class Member:
    """A model."""

    model: ModelId


@dataclass(frozen=True, slots=True)
class Reference:
    """Another set."""

    name: str


@dataclass(frozen=True, slots=True)
class Either:
    """One of several; two or more."""

    choices: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """All of several; two or more."""

    parts: tuple[Expression, ...]


Expression = Member | Reference | Either | Together


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Sets that were understood, and what evicting each model costs."""

    sets: Mapping[str, Expression]
    """In rank order: a set comes after those it refers to."""
    costs: Mapping[ModelId, int]
    """At least 1 each; a model that is not here costs 1."""

    def members(self) -> frozenset[ModelId]:
        """The models that some set names."""
        todo: list[Expression] = list(self.sets.values())
        found: set[ModelId] = set()
        while todo:
            match todo.pop():
                case Member(model=model):
                    found.add(model)
                case Either(choices=inner) | Together(parts=inner):
                    todo += inner
                case Reference():
                    pass
        return frozenset(found)

    def combinations(self) -> int:
        """How many combinations there are, one that two sets have counted twice; they are counted, not made."""
        number: dict[str, int] = {}

        def of(expression: Expression) -> int:
            match expression:
                case Member():
                    return 1
                case Reference(name=name):
                    return number[name]
                case Either(choices=inner):
                    return sum(map(of, inner))
                case Together(parts=parts):
                    return prod(map(of, parts))

        for name, expression in self.sets.items():
            number[name] = of(expression)
        return sum(number.values())

    def victims(self, wanted: ModelId, resident: Iterable[ModelId]) -> tuple[ModelId, ...]:
        """Those of the `resident` models that must leave for `wanted`, in the order given.

        The combination with `wanted` in it that costs least, the first of several; everybody, when there is none.
        """
        others = [model for model in resident if model != wanted]
        bits = {model: 1 << place for place, model in enumerate([*others, wanted])}
        walk = _Walk(self.sets, bits)
        fitting = [choice for choice in walk.largest() if choice & bits[wanted]]

        def cost(choice: int) -> int:
            return sum(self.costs.get(model, 1) for model in others if not choice & bits[model])

        least = min(map(cost, fitting), default=0)
        best = [choice for choice in fitting if cost(choice) == least]
        stays = min(best, key=walk.place) if len(best) > 1 else sum(best)
        return tuple(model for model in others if not stays & bits[model])

    def allows(self, models: Iterable[ModelId]) -> bool:
        """Whether all of them may be there together. One alone always may."""
        bits = {model: 1 << place for place, model in enumerate(dict.fromkeys(models))}
        return len(bits) <= 1 or (1 << len(bits)) - 1 in _Walk(self.sets, bits).largest()


class _Walk:
    """The combinations of all sets, each seen as the bits of those few models that matter."""

    def __init__(self, sets: Mapping[str, Expression], bits: Mapping[ModelId, int]) -> None:
        self._sets = sets
        self._bits = bits
        self._largest_of: dict[str, list[int]] = {}

    def largest(self) -> list[int]:
        """The choices that are part of no other, in no order. Whatever costs least is among them."""
        for name, expression in self._sets.items():
            self._largest_of[name] = self._largest(expression)
        return _largest(choice for choices in self._largest_of.values() for choice in choices)

    def _largest(self, expression: Expression) -> list[int]:
        match expression:
            case Member(model=model):
                return [self._bits.get(model, 0)]
            case Reference(name=name):
                return self._largest_of[name]
            case Either(choices=inner):
                return _largest(choice for each in inner for choice in self._largest(each))
            case Together(parts=parts):
                kept = [0]
                for part in parts:
                    more = self._largest(part)
                    kept = _largest(one | other for one in kept for other in more)
                return kept

    def place(self, choice: int) -> tuple[int, tuple[object, ...]]:
        """Where the first combination that has all of `choice`, one of the largest, stands in the order."""
        for number, expression in enumerate(self._sets.values()):
            for path, has in self._ordered(expression, choice, is_whole=True):
                if has == choice:
                    return number, path
        raise LookupError(choice)

    def _ordered(self, expression: Expression, choice: int, *, is_whole: bool) -> list[_Placed]:
        """What combinations have of `choice`, in order; `is_whole`: those that lack some of it do not matter."""
        match expression:
            case Member(model=model):
                return [((), self._bits.get(model, 0) & choice)]
            case Reference(name=name):
                return self._ordered(self._sets[name], choice, is_whole=is_whole)
            case Either(choices=inner):
                return _first_of_each(
                    ((number, *path), has)
                    for number, each in enumerate(inner)
                    for path, has in self._ordered(each, choice, is_whole=is_whole)
                )
            case Together(parts=parts):
                kept: list[_Placed] = [((), 0)]
                for number, part in enumerate(parts):
                    more = self._ordered(part, choice, is_whole=False)
                    kept = _first_of_each(((*path, end), has | also) for path, has in kept for end, also in more)
                    if is_whole:
                        lacking = choice & ~reduce(or_, map(self._every, parts[number + 1 :]), 0)
                        kept = [(path, has) for path, has in kept if not lacking & ~has]
                return kept

    def _every(self, expression: Expression) -> int:
        return reduce(or_, self._largest(expression))


_Placed = tuple[tuple[object, ...], int]
"""Which choice was made at every `|`, comparable by order, and what that combination has."""


def _largest(choices: Iterable[int]) -> list[int]:
    """Leave out what is part of another choice."""
    kept: list[int] = []
    for choice in choices:
        if not any(choice | each == each for each in kept):
            kept = [each for each in kept if each | choice != choice]
            kept.append(choice)
    return kept


def _first_of_each(placed: Iterable[_Placed]) -> list[_Placed]:
    """Leave out what an earlier one has as well."""
    kept: list[_Placed] = []
    for path, choice in placed:
        if not any(choice | each == each for _, each in kept):
            kept.append((path, choice))
    return kept


# Reading


def read_sets(texts: Mapping[str, str], resolve: Callable[[str], ModelId | None]) -> Mapping[str, Expression]:
    """Return the sets in rank order.

    Args:
        texts: each set in the language, in the order of their definition.
        resolve: the model that a name in a set stands for; None: it stands for none.

    Raises:
        SetError: one cannot be understood, names what is not there, or refers to itself in the end.
    """
    read = {name: _Reader(name, text, texts, resolve).read() for name, text in texts.items()}
    ranked = {name: read[name] for name in _ranked(read, texts)}
    depths: dict[str, int] = {}
    for name, expression in ranked.items():
        depths[name] = _depth(expression, depths)
        if depths[name] > DEEPEST:
            raise SetError(name, 0, f"more than {DEEPEST} levels of brackets and sets within each other")
    return ranked


def _references(expression: Expression) -> Iterator[str]:
    match expression:
        case Reference(name=name):
            yield name
        case Either(choices=inner) | Together(parts=inner):
            for each in inner:
                yield from _references(each)
        case Member():
            pass


def _ranked(read: Mapping[str, Expression], texts: Mapping[str, str]) -> list[str]:
    ranked: dict[str, None] = {}
    for start in read:
        # By hand: a chain of references may be longer than Python's stack.
        path = {start: _references(read[start])}
        while path:
            name, following = next(reversed(path.items()))
            inner = next((each for each in following if each not in ranked), None)
            if inner is None:
                path.popitem()
                ranked[name] = None
            elif inner in path:
                circle = [*list(path)[list(path).index(inner) :], inner]
                raise SetError(name, max(texts[name].find(f"+{inner}"), 0), f"refers to itself: {' -> '.join(circle)}")
            else:
                path[inner] = _references(read[inner])
    return list(ranked)


def _depth(expression: Expression, of_sets: Mapping[str, int]) -> int:
    match expression:
        case Member():
            return 1
        case Reference(name=name):
            return 1 + of_sets[name]
        case Either(choices=inner) | Together(parts=inner):
            return 1 + max(_depth(each, of_sets) for each in inner)


class _Reader:
    """Reads one set: alternatives of unions of names, sets and bracketed expressions."""

    def __init__(self, name: str, text: str, sets: Iterable[str], resolve: Callable[[str], ModelId | None]) -> None:
        self._name = name
        self._text = text
        self._sets = frozenset(sets)
        self._resolve = resolve
        self._offset = 0
        self._next_at = 0
        self._depth = 0
        self._word = ""
        self._is_name = False

    def read(self) -> Expression:
        """Return what the text says."""
        self._step()
        expression = self._either()
        if self._word:
            raise self._error(f"{self._word} is not expected here: an & or a | is missing")
        return expression

    def _either(self) -> Expression:
        choices = [self._together()]
        while self._word == "|":
            self._step()
            choices.append(self._together())
        return choices[0] if len(choices) == 1 else Either(tuple(choices))

    def _together(self) -> Expression:
        parts = [self._one()]
        while self._word == "&":
            self._step()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Together(tuple(parts))

    def _one(self) -> Expression:
        if self._is_name:
            return Member(self._model())
        if self._word == "+":
            return self._reference()
        if self._word != "(":
            found = f"{self._word} is there" if self._word else "the text ends"
            raise self._error(f"a model, a +set or a bracket is expected, and {found}")
        return self._bracket()

    def _bracket(self) -> Expression:
        opened_at = self._offset
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} brackets within brackets")
        self._step()
        inner = self._either()
        if self._word != ")":
            raise SetError(self._name, opened_at, "the bracket is not closed")
        self._depth -= 1
        self._step()
        return inner

    def _model(self) -> ModelId:
        model = self._resolve(self._word)
        if model is None:
            hint = f"; +{self._word} is the set of that name" if self._word in self._sets else ""
            raise self._error(f"there is no model {self._word!r}{hint}")
        self._step()
        return model

    def _reference(self) -> Reference:
        self._step()
        if not self._is_name:
            raise self._error("the name of a set is expected after +")
        if self._word not in self._sets:
            raise self._error(f"there is no set {self._word!r}")
        name = self._word
        self._step()
        return Reference(name)

    def _step(self) -> None:
        match = _WORD.match(self._text, self._next_at)
        if match is None:
            rest = self._text[self._next_at :]
            self._offset = len(self._text) - len(rest.lstrip())
            if rest.strip():
                raise self._error(
                    f"{rest.lstrip()[0]!r} cannot stand here; an id with such a character needs a variable"
                )
            self._next_at, self._word, self._is_name = len(self._text), "", False
            return
        self._offset, self._next_at = match.end() - len(match[0].lstrip()), match.end()
        self._word, self._is_name = match[0].lstrip(), match["name"] is not None

    def _error(self, message: str) -> SetError:
        return SetError(self._name, self._offset, message)
