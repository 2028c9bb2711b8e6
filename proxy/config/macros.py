"""`${NAME}` of the file's own making: expanded in what TOML or YAML gave, before anything is looked at.

A string that is nothing but `${NAME}` becomes what the macro is, a number for example; in a longer one it becomes text.
A macro may use those declared before it. A model's own macro takes the place of a global one of its name, so that a
global macro that uses it says what the model wants. Keys stay as they are, but for names in `set_params_by_id`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .kinds import MACRO_NAME, RESERVED, without_comments
from .mistakes import Finding, KeyPath

_USE: Final = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")
_COMMANDS: Final = frozenset({"cmd", "cmd_stop"})
_LATE: Final = frozenset({"cmd", "cmd_stop", "proxy", "check_endpoint", "env", "cwd"})
"""Keys of a model whose `${MODEL_ID}` is filled in when the model's server is started."""

Macros = dict[str, object]


def expand(written: Mapping[str, object]) -> tuple[dict[str, object], list[Finding]]:
    """Return a file with every macro expanded, and what is wrong with macros.

    Args:
        written: the whole file; it is not changed.
    """
    findings: list[Finding] = []
    declared = _scalars(written.get("macros"))
    shared = _resolved(declared, ("macros",), findings)
    expanded: dict[str, object] = {}
    for key, value in written.items():
        if key == "models" and isinstance(value, dict):
            expanded[key] = {
                name: _model(name, table, declared, findings) if isinstance(table, dict) else table
                for name, table in value.items()
            }
        elif key == "macros":
            expanded[key] = value
        else:
            expanded[key] = _expanded(value, shared, (key,))
    return expanded, findings


def _model(name: str, table: dict[str, object], declared: Macros, findings: list[Finding]) -> dict[str, object]:
    own = _scalars(table.get("macros"))
    findings_here: list[Finding] = []
    known = _resolved({**declared, **own}, ("models", name, "macros"), findings_here)
    # What is wrong with a global macro was found already.
    findings += [finding for finding in findings_here if finding.path[-1] in own]
    here = _resolved({"MODEL_ID": name, **declared, **own}, (), [])
    path: KeyPath = ("models", name)
    expanded: dict[str, object] = {}
    for key, value in table.items():
        if key == "macros":
            expanded[key] = value
        elif key in _COMMANDS and isinstance(value, str):
            # A comment says nothing, so it uses nothing.
            expanded[key] = _expanded(without_comments(value), known, (*path, key))
        else:
            expanded[key] = _expanded(value, known if key in _LATE else here, (*path, key))
    return expanded


def _scalars(value: object) -> Macros:
    if not isinstance(value, dict):
        return {}
    return {
        name: each
        for name, each in value.items()
        if re.fullmatch(MACRO_NAME, name) and name not in RESERVED and isinstance(each, str | int | float)
    }


def _resolved(declared: Macros, path: KeyPath, findings: list[Finding]) -> Macros:
    """Each macro with those before it expanded in it."""
    known: Macros = {}
    for name, value in declared.items():
        uses = _USE.findall(value) if isinstance(value, str) else []
        if name in uses:
            findings.append(Finding(path=(*path, name), message=f"${{{name}}} stands for itself"))
            continue
        if forward := next((use for use in uses if use in declared and use not in known), None):
            message = f"uses ${{{forward}}}, which is declared after it or is wrong: declare that one first"
            findings.append(Finding(path=(*path, name), message=message))
            continue
        known[name] = _expanded(value, known, path)
    return known


def _expanded(value: object, macros: Macros, path: KeyPath) -> object:
    if isinstance(value, str):
        whole = _USE.fullmatch(value)
        if whole and whole[1] in macros:
            return macros[whole[1]]
        return _USE.sub(lambda use: _text(macros[use[1]]) if use[1] in macros else use[0], value)
    if isinstance(value, list):
        return [_expanded(each, macros, path) for each in value]
    if isinstance(value, dict):
        if path and path[-1] == "set_params_by_id":
            return {str(_expanded(key, macros, ())): _expanded(each, macros, ()) for key, each in value.items()}
        return {key: _expanded(each, macros, (*path, key)) for key, each in value.items()}
    return value


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
