"""From files to a `Config`, or to every mistake in them; and back to a file that says everything.

In this order: the text (it is there, in UTF-8, and TOML or YAML), each value by itself, the values between themselves.
Only the first step stops at its first mistake: what cannot be read has no keys to look at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from . import contradictions
from .building import build
from .configuration import Config
from .files import read, unusable
from .macros import expand
from .merging import Merged, merge
from .mistakes import ConfigError, Finding, Mistake
from .reading import MOST_FINDINGS, Reader
from .schema import Tables
from .sources import digest_of, spread
from .written import Written, read_written

Paths = str | os.PathLike[str]

_NAMED: Final = frozenset({"models", "peers", "selectors"})
"""Tables whose keys are names."""
_VERBATIM: Final = frozenset({"metadata", "set_params", "set_params_by_id"})
"""Keys whose values are for others: to them 1.0 is not 1, and an empty table says something."""
MOST_MODELS: Final = 1000
"""Whoever asks for a model is compared with every other one: a thousand are a million pairs."""


def load_config(path: Paths, environment: Mapping[str, str] | None = None, *, more: Sequence[Paths] = ()) -> Config:
    """Read a configuration.

    Args:
        path: a TOML file, a llama-swap file (`.yaml`, `.yml`), or a folder with such files directly in it.
        environment: what `${env.NAME}` looks into; None: the process's own.
        more: others, to be read as one with the first.

    Raises:
        ConfigError: it cannot be used; it carries every mistake, each with its place. Nothing was changed.
    """
    return load_written(path, environment, more=more)[0]


def load_written(
    path: Paths, environment: Mapping[str, str] | None = None, *, more: Sequence[Paths] = ()
) -> tuple[Config, Mapping[str, object]]:
    """Read a configuration, and return with it the file that would say the same in TOML, macros and all."""
    named = [Path(path), *map(Path, more)]
    environment = os.environ if environment is None else environment
    contents = [(file, read(file)) for file in _files(named)]
    parts = _parts(contents, environment)
    merged = merge(parts)
    tables, findings = _understand(merged.value, environment)
    mistakes = _mistakes(merged, findings)
    if tables is None or mistakes:
        raise ConfigError(str(parts[0].file), mistakes)
    config = build(parts[0].file, tables, environment)
    said = digest_of((file.name, content) for file, content in contents)
    return replace(config, files=tuple(named), digest=said, notes=_notes(parts)), merged.value


def effective(config: Config) -> dict[str, object]:
    """Return the whole configuration as TOML can say it, every default filled in; loading it gives the same `Config`.

    Placeholders stay as they were written, so that secrets from the environment do not end in a file.
    """
    tables: dict[str, object] = msgspec.to_builtins(config.tables)
    del tables["defaults"], tables["macros"]
    tables["models"] = {
        name: {**_table(_table(tables, "models"), name), "proxy": model.proxy, "macros": {}}
        for name, model in config.models.items()
    }
    for kind in _NAMED:
        tables[kind] = {name: _without_empty(_said(table)) for name, table in _table(tables, kind).items()}
    shortened = ((key, value if key in _NAMED else _sayable(value)) for key, value in tables.items())
    return {key: value for key, value in shortened if value is not None and value != {}}


def _files(named: Sequence[Path]) -> list[Path]:
    files = list(spread(named))
    if not files:
        raise unusable(named[0], "there is no .toml, .yaml or .yml file in this folder")
    seen: dict[Path, Path] = {}
    for file in files:
        if (other := seen.get(file.absolute())) is not None:
            raise unusable(file, f"is read twice, as {other} too: name it once")
        seen[file.absolute()] = file
    return files


def _parts(contents: Sequence[tuple[Path, bytes]], environment: Mapping[str, str]) -> list[Written]:
    parts = [read_written(file, content, environment) for file, content in contents]
    if len(parts) == 1:
        return parts
    elsewhere = frozenset(name for part in parts for name in _names(part.value))
    return [
        part if part.translation is None else read_written(file, content, environment, elsewhere)
        for part, (file, content) in zip(parts, contents, strict=True)
    ]


def _names(written: Mapping[str, object]) -> set[str]:
    """The names of the models in a file, aliases among them."""
    names: set[str] = set()
    for model, table in _table(written, "models").items():
        aliases = table.get("aliases") if isinstance(table, dict) else None
        names |= {model, *(each for each in (aliases if isinstance(aliases, list) else ()) if isinstance(each, str))}
    return names


def _understand(written: Mapping[str, object], environment: Mapping[str, str]) -> tuple[Tables | None, list[Finding]]:
    if (count := len(_table(written, "models"))) > MOST_MODELS:
        message = f"{count} models: more than {MOST_MODELS} are not served"
        return None, [Finding(path=("models",), message=message, at_key=True)]
    expanded, findings = expand(written)
    reader = Reader()
    values = reader.read_table(Tables, expanded, ())
    findings += reader.findings
    if "models" not in values:
        return None, findings
    defaults = _table(values, "defaults")
    models = {name: {**defaults, **_table(_table(values, "models"), name)} for name in _table(values, "models")}
    tables = msgspec.convert({**values, "models": models}, Tables)
    findings += contradictions.find(tables, contradictions.Written(expanded), environment)
    return tables, findings


def _mistakes(merged: Merged, findings: Iterable[Finding]) -> list[Mistake]:
    """Every mistake with its place; one that [defaults] brings into several models is one."""
    owned: dict[int, list[Finding]] = {}
    found = list(dict.fromkeys(findings))
    for finding in _shown(found):
        part, path = merged.owner(finding.path)
        owned.setdefault(id(part), []).append(replace(finding, path=path))
    for part, finding in merged.clashes:
        owned.setdefault(id(part), []).append(finding)
    return [mistake for part in merged.parts for mistake in part.located(owned.get(id(part), []))]


def _shown(found: list[Finding]) -> list[Finding]:
    if len(found) <= MOST_FINDINGS:
        return found
    message = f"more than {MOST_FINDINGS} mistakes: these are the first, correct them and look again"
    return [Finding(path=(), message=message), *found[:MOST_FINDINGS]]


def _notes(parts: Sequence[Written]) -> tuple[Mistake, ...]:
    return tuple(note for part in parts for note in part.located_notes())


def _table(tables: Mapping[str, object], key: str) -> dict[str, object]:
    table = tables.get(key)
    return table if isinstance(table, dict) else {}


def _said(table: object) -> dict[str, object]:
    """What a model's, a peer's or a selector's table says; what is for bodies and listings stays as it is."""
    said: dict[str, object] = {}
    for key, value in table.items() if isinstance(table, dict) else ():
        if key == "filters":
            said[key] = _without_empty(_said(value))
        else:
            said[key] = _without_null(value) if key in _VERBATIM else _sayable(value)
    return said


def _without_empty(table: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in table.items() if value is not None and value != {}}


def _without_null(value: object) -> object:
    """TOML has no null."""
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_null(inner) for inner in value]
    return value


def _sayable(value: object) -> object:
    """Return `value` without what TOML cannot say and what says nothing, and whole seconds as whole numbers."""
    if isinstance(value, dict):
        said = {key: _sayable(inner) for key, inner in value.items() if inner is not None}
        return {key: inner for key, inner in said.items() if inner != {}}
    if isinstance(value, list | tuple):
        return [_sayable(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
