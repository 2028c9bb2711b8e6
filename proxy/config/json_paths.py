r"""Paths into a JSON value, as filters write them: `a.b` is a field in a field, `a.0` an item of a list.

A backslash takes its meaning from the next character: `a\.b` is one field.
"""

from __future__ import annotations

from typing import Final

JsonPath = tuple[str, ...]

_LONGEST_NUMBER: Final = 9
"""Digits; a step of more of them is a key, and no list is so long."""


def parse_path(written: str) -> JsonPath:
    """Return the steps of a path, at least one.

    Raises:
        ValueError: a step is empty, or a backslash stands at the end; the message is a clause that says so.
    """
    steps = [""]
    characters = iter(written)
    for character in characters:
        if character == ".":
            steps.append("")
        elif character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise ValueError("ends with a backslash: write two for one")
            steps[-1] += escaped
        else:
            steps[-1] += character
    if "" in steps:
        raise ValueError(r"has an empty step: a dot that belongs to a name is written \.")
    return tuple(steps)


def item_of(step: str) -> int | None:
    """Return the place in a list that a step means, should it lead into a list; None: it can only be a key."""
    return int(step) if step.isascii() and step.isdigit() and len(step) <= _LONGEST_NUMBER else None
