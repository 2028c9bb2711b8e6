r"""Paths into a JSON value, as filters write them: `a.b` is a field in a field, `a.0` an item of a list.

A backslash takes its meaning from the next character: `a\.b` is one field.
"""

from __future__ import annotations

from typing import Final

JsonPath = tuple[str, ...]

_MOST_STEPS: Final = 64
"""No body that servers take is nested so deeply."""
_LONGEST_NUMBER: Final = 9
"""Digits; a step of more of them is a key, and no list is so long."""


def parse_path(written: str) -> JsonPath:
    """Return the steps of a path, at least one.

    Raises:
        ValueError: a step is empty, there are too many, or a backslash stands at the end; the message says so in a
            clause.
    """
    steps: list[str] = []
    step: list[str] = []
    characters = iter(written)
    for character in characters:
        if character == ".":
            steps.append("".join(step))
            step.clear()
        elif character != "\\":
            step.append(character)
        elif (escaped := next(characters, None)) is not None:
            step.append(escaped)
        else:
            raise ValueError("ends with a backslash: write two for one")
    steps.append("".join(step))
    if "" in steps:
        raise ValueError(r"has an empty step: a dot that belongs to a name is written \.")
    if len(steps) > _MOST_STEPS:
        raise ValueError(f"has more than {_MOST_STEPS} steps")
    return tuple(steps)


def item_of(step: str) -> int | None:
    """Return the place in a list that a step means, should it lead into a list; None: it can only be a key."""
    return int(step) if step.isascii() and step.isdigit() and len(step) <= _LONGEST_NUMBER else None
