"""From a file to a `Config`, or to every mistake in it; and back to a file that says everything.

In this order: the text (it exists, is UTF-8, is TOML), each value by itself, the values between themselves. Only the
first step stops at its first mistake: what is not TOML has no keys to look at.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import msgspec

from . import contradictions
from .building import build
from .configuration import Config
from .macros import expand
from .mistakes import ConfigError, Finding, KeyPath, Mistake
from .reading import Reader
from .schema import GroupTable, ModelTable, Tables
from .sources import digest_of
from .spelling import move_unquoted_ids
from .syntax import advice

LARGEST_FILE_BYTES: Final = 16 * 2**20
"""More is not a configuration: a device, or the wrong file."""
_NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
"""Windows has none."""


def load_config(path: str | os.PathLike[str], environment: Mapping[str, str] | None = None) -> Config:
    """Read the configuration file at `path`.

    Args:
        path: a TOML file.
        environment: what `${env.NAME}` looks into; None: the process's own.

    Raises:
        ConfigError: the file cannot be used; it carries every mistake, each with its place. Nothing was changed.
    """
    file = Path(path)
    environment = os.environ if environment is None else environment
    content = _read(file)
    text = _decoded(file, content)
    written = _parse(file, text)
    tables, findings = _understand(written, environment)
    if tables is None or findings:
        # Shown in file order; one that [defaults] brings into several models is one mistake.
        from .positions import locate  # noqa: PLC0415 - only who made a mistake waits for the second parser

        raise ConfigError(str(file), locate(dict.fromkeys(findings), text))
    return replace(build(file, tables, environment), files=(file,), digest=digest_of([(file.name, content)]))


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
    return {key: said for key, value in tables.items() if value is not None and (said := _sayable(value)) != {}}


def _read(file: Path) -> bytes:
    try:
        return _read_bytes(file)
    except (OSError, ValueError) as error:
        raise _unusable(file, _why_unreadable(file, error)) from None


def _decoded(file: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        is_utf_16 = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        why = "it is UTF-16" if is_utf_16 else f"byte 0x{error.object[error.start]:02x} cannot stand here"
        message = f"not UTF-8: {why}; save the file as UTF-8"
        raise ConfigError(str(file), [Mistake(message=message, line=line, column=column)]) from None


def _read_bytes(file: Path) -> bytes:
    # Without O_NONBLOCK, opening a pipe that nobody writes to waits for a writer, perhaps for ever.
    with open(file, "rb", opener=lambda path, flags: os.open(path, flags | _NONBLOCK)) as opened:
        if _NONBLOCK:
            os.set_blocking(opened.fileno(), True)
        content = opened.read(LARGEST_FILE_BYTES + 1)
        if not content and stat.S_ISFIFO(os.fstat(opened.fileno()).st_mode):
            raise _unusable(file, "this is a pipe, and nobody has written to it: name a file")
    if len(content) > LARGEST_FILE_BYTES:
        raise _unusable(file, f"larger than {LARGEST_FILE_BYTES // 2**20} MiB: this is no configuration file")
    return content


def _why_unreadable(file: Path, error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return f"there is no such file{_elsewhere(file)}"
        case IsADirectoryError():
            return "this is a directory: name the file in it, such as config.toml"
        case NotADirectoryError():
            return "cannot be read: a part of this path is a file, not a directory; correct the path"
        case PermissionError():
            return "cannot be read: this user may not; change its rights (chmod), or run as a user who may"
        case _:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return f"cannot be read: {reason}"


def _elsewhere(file: Path) -> str:
    """Return what is there instead: a near name, or else where was looked."""
    folder = file.absolute().parent
    try:
        there = sorted(each.name for each in folder.iterdir() if each.suffix == ".toml")
    except OSError:
        return f": there is no directory {folder}"
    near = get_close_matches(file.name, there, n=1) or (there if len(there) == 1 else [])
    if near:
        return f": did you mean {file.with_name(near[0])}?"
    return "" if file.is_absolute() else f" in {folder}"


def _unusable(file: Path, message: str) -> ConfigError:
    return ConfigError(str(file), [Mistake(message=message)])


def _parse(file: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _unusable(file, "not TOML: nested too deeply") from None
    except ValueError as error:
        # Before 3.14 the place is only in the message; an integer of too many digits has none.
        what, _, place = str(error).partition(" (at ")
        lines = text.split("\n")
        found = re.match(r"line (\d+), column (\d+)\)", place)
        line = int(found[1]) if found else len(lines) if place else None
        column = int(found[2]) if found else len(lines[-1]) + 1 if place else None
        source = lines[line - 1].rstrip("\r") if line is not None else ""
        message = f"not TOML: {what}{advice(what, source)}"
        raise ConfigError(str(file), [Mistake(message=message, line=line, column=column, source=source)]) from None


def _understand(written: dict[str, object], environment: Mapping[str, str]) -> tuple[Tables | None, list[Finding]]:
    moved = [
        each
        for top, table in (("models", ModelTable), ("groups", GroupTable))
        for each in move_unquoted_ids(_table(written, top), top, table.__struct_fields__)
    ]
    expanded, of_macros = expand(written)
    reader = Reader()
    values = reader.read_table(Tables, expanded, ())
    tables = None
    findings = [finding for finding, _, _ in moved] + of_macros + reader.findings
    if "models" in values:
        defaults = _table(values, "defaults")
        models = {name: {**defaults, **_table(_table(values, "models"), name)} for name in _table(values, "models")}
        tables = msgspec.convert({**values, "models": models}, Tables)
        findings += contradictions.find(tables, contradictions.Written(expanded), environment)
    for _, meant, as_written in moved:
        findings = [_moved_back(finding, meant, as_written) for finding in findings]
    return tables, findings


def _table(tables: Mapping[str, object], key: str) -> dict[str, object]:
    table = tables.get(key)
    return table if isinstance(table, dict) else {}


def _moved_back(finding: Finding, meant: KeyPath, as_written: KeyPath) -> Finding:
    if finding.path[: len(meant)] != meant:
        return finding
    return replace(finding, path=(*as_written, *finding.path[len(meant) :]))


def _sayable(value: object) -> object:
    """Return `value` without what TOML cannot say and what says nothing, and whole seconds as whole numbers."""
    if isinstance(value, dict):
        said = {key: _sayable(inner) for key, inner in value.items() if inner is not None}
        return {key: inner for key, inner in said.items() if inner != {}}
    if isinstance(value, list | tuple):
        return [_sayable(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
