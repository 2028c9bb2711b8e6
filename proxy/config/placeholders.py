"""`${NAME}` in configured text: what it may say and how it is filled in.

`${MODEL_ID}` and `${env.NAME}` are known when the file is read, `${PORT}` when a server is started, `${PID}` when it is
stopped. Text is filled in once and never looked at again: a value that itself says `${PORT}` stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\$\{([^{}]*)\}")
_ENVIRONMENT: Final = "env."


def names_in(*templates: str) -> tuple[str, ...]:
    """Return the names between `${` and `}`, in order, each once."""
    said = [template for template in templates if "${" in template]
    return tuple(dict.fromkeys(match[1] for template in said for match in _PLACEHOLDER.finditer(template)))


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return `template` with every placeholder replaced.

    Raises:
        KeyError: a name is not among `values`; reading the file refuses such text, so this is a bug of ours.
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def from_environment(environment: Mapping[str, str], *templates: str) -> dict[str, str]:
    """Return what each `${env.NAME}` in `templates` stands for, by `env.NAME`; those that are not set are left out."""
    variables = {
        name: name.removeprefix(_ENVIRONMENT) for name in names_in(*templates) if name.startswith(_ENVIRONMENT)
    }
    return {name: environment[variable] for name, variable in variables.items() if variable in environment}


def slips(template: str, known: Collection[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the placeholders of `template`, a sentence each.

    Args:
        template: text as configured.
        known: names that mean something here; `env.NAME` always does.
        environment: the variables that are set.
    """
    for name in names_in(template):
        variable = name.removeprefix(_ENVIRONMENT)
        if variable != name:
            if variable not in environment:
                yield f"${{{name}}}: the environment variable {variable!r} is not set where trio-swap was started"
        elif name == "PID" and name not in known:
            yield "${PID} is known only to cmd_stop: there is no server yet"
        elif name not in known:
            names = ", ".join(f"${{{each}}}" for each in (*known, "env.NAME"))
            hint = f"; the environment variable is ${{env.{name}}}" if name in environment else ""
            yield f"${{{name}}} is unknown, known here are {names}{hint}"
