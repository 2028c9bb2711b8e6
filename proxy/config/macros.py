"""`${NAME}` of the file's own making: expanded in what TOML or YAML gave, before anything is looked at.

A string that is nothing but `${NAME}` becomes what the macro is, a number for example; in a longer one it becomes text.
A macro may use those declared before it. A model's own macro takes the place of a global one of its name, so that a
global macro that uses it says what the model wants, in `[defaults]` too. Keys stay as they are, but for names in
`set_params_by_id`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Final

from .kinds import LONGEST_COMMAND, MACRO_NAME, RESERVED, without_comments
from .mistakes import Finding, KeyPath, quoted

_USE: Final = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")
_COMMANDS: Final = frozenset({"cmd", "cmd_stop"})
_NAMED: Final = "set_params_by_id"
_LATE: Final = frozenset({"cmd", "cmd_stop", "proxy", "check_endpoint", "env", "cwd"})
"""Keys of a model whose `${MODEL_ID}` is filled in when the model's server is started."""

MOST_CHARACTERS: Final = 2**20
"""Of all such texts of a file together: macros of macros grow without end."""

Macros = dict[str, object]


def expand(written: Mapping[str, object]) -> tuple[dict[str, object], list[Finding]]:
    """Return a file with every macro expanded, and what is wrong with macros.

    Args:
        written: the whole file; it is not changed.
    """
    expansion = _Expansion()
    declared = _scalars(written.get("macros"))
    shared = expansion.resolved(declared, ("macros",))
    inherited = written.get("defaults")
    defaults = inherited if isinstance(inherited, dict) else {}
    expanded: dict[str, object] = {}
    for key, value in written.items():
        if key == "models" and isinstance(value, dict):
            expanded[key] = {
                name: expansion.model(name, table, declared, shared, defaults) if isinstance(table, dict) else table
                for name, table in value.items()
            }
        elif key == "macros":
            expanded[key] = value
        elif key == "defaults" and isinstance(value, dict):
            expanded[key] = {each: expansion.of_key(each, value[each], shared, (key, each)) for each in value}
        else:
            expanded[key] = expansion.expanded(value, shared, (key,))
    return expanded, expansion.findings


class _Expansion:
    """What became of a file so far: what is wrong with it, and how much room is left."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._room = MOST_CHARACTERS

    def model(
        self, name: str, table: dict[str, object], declared: Macros, shared: Macros, defaults: Mapping[str, object]
    ) -> dict[str, object]:
        """Return a model's table.

        Args:
            name: of the model.
            table: as written.
            declared: the global macros as written.
            shared: the global macros as resolved.
            defaults: `[defaults]` as written; what means something else in this model becomes a key of its table.
        """
        own = _scalars(table.get("macros"))
        path: KeyPath = ("models", name)
        known = self.resolved({**declared, **own}, (*path, "macros"), own) if own else shared
        here = {"MODEL_ID": name, **{key: _of_model(value, name) for key, value in known.items()}}
        expanded: dict[str, object] = {}
        for key, value in table.items():
            if key == "macros":
                expanded[key] = value
            else:
                expanded[key] = self.of_key(key, value, known if key in _LATE else here, (*path, key))
        for key, value in defaults.items():
            macros = known if key in _LATE else here
            if key not in table and any(_differ(macros.get(use), shared.get(use)) for use in _uses(value)):
                expanded[key] = self.of_key(key, value, macros, ("defaults", key))
        return expanded

    def of_key(self, key: str, value: object, macros: Macros, path: KeyPath) -> object:
        """Return the value of a model's key with the macros in it expanded."""
        if key in _COMMANDS and isinstance(value, str):
            # A comment says nothing, so it uses nothing.
            value = without_comments(value)
        return self.expanded(value, macros, path)

    def resolved(self, declared: Macros, path: KeyPath, own: Container[str] | None = None) -> Macros:
        """Return each macro with those before it expanded in it; what is wrong is told of `own` ones only."""
        known: Macros = {}
        for name, value in declared.items():
            uses = _USE.findall(value) if isinstance(value, str) else []
            forward = next((use for use in uses if use in declared and use not in known), None)
            message = ""
            if name in uses:
                message = f"${{{name}}} stands for itself"
            elif forward is not None:
                message = f"uses ${{{forward}}}, which is declared after it or is wrong: declare that one first"
            if not message:
                known[name] = self.expanded(value, known, (*path, name))
            elif own is None or name in own:  # what is wrong with a global one was found already
                self.findings.append(Finding(path=(*path, name), message=message))
        return known

    def expanded(self, value: object, macros: Macros, path: KeyPath) -> object:
        """Return a value with the macros in it expanded."""
        if isinstance(value, str):
            return self._text(value, macros, path) if "${" in value else value
        if isinstance(value, list):
            return [self.expanded(each, macros, (*path, index)) for index, each in enumerate(value)]
        if isinstance(value, dict):
            if path and path[-1] == _NAMED:
                return self._named(value, macros, path)
            return {key: self.expanded(each, macros, (*path, key)) for key, each in value.items()}
        return value

    def _named(self, value: dict[str, object], macros: Macros, path: KeyPath) -> dict[str, object]:
        """A table whose keys are names of models, which macros may stand for."""
        expanded: dict[str, object] = {}
        for key, each in value.items():
            name = _said(self.expanded(key, macros, (*path, key)))
            if name in expanded:
                message = f"stands for {quoted(name)}, which is here already: a name has its settings once"
                self.findings.append(Finding(path=(*path, key), message=message, at_key=True))
            expanded.setdefault(name, self.expanded(each, macros, (*path, key)))
        return expanded

    def _text(self, text: str, macros: Macros, path: KeyPath) -> object:
        whole = _USE.fullmatch(text)
        if whole and whole[1] in macros:
            return macros[whole[1]]
        length = len(text) + sum(len(_said(macros[use])) for use in _USE.findall(text) if use in macros)
        self._room -= length
        if length > LONGEST_COMMAND or self._room < 0:
            message = (
                f"is longer than {LONGEST_COMMAND} characters" if length > LONGEST_COMMAND else "is one text too many"
            )
            self.findings.append(Finding(path=path, message=f"{message} with its macros expanded"))
            return _USE.sub(lambda use: "" if use[1] in macros else use[0], text)
        return _USE.sub(lambda use: _said(macros[use[1]]) if use[1] in macros else use[0], text)


def _of_model(value: object, name: str) -> object:
    return value.replace("${MODEL_ID}", name) if isinstance(value, str) else value


def _uses(value: object, *, named: bool = False) -> set[str]:
    """The names of all macros that a value uses. `named`: its keys may use some, too."""
    if isinstance(value, str):
        return set(_USE.findall(value)) if "${" in value else set()
    if isinstance(value, list):
        return {use for each in value for use in _uses(each)}
    if isinstance(value, dict):
        of_keys = {use for key in value for use in _USE.findall(key)} if named else set()
        return of_keys.union(*(_uses(each, named=key == _NAMED) for key, each in value.items()))
    return set()


def _differ(one: object, other: object) -> bool:
    """Whether two macros mean two things: 1 is not true."""
    return (type(one), one) != (type(other), other)


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _scalars(value: object) -> Macros:
    if not isinstance(value, dict):
        return {}
    return {
        name: each
        for name, each in value.items()
        if re.fullmatch(MACRO_NAME, name) and name not in RESERVED and isinstance(each, str | int | float)
    }
