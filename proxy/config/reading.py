"""From what TOML gives to values that fit the tables, leaf by leaf: what does not fit is a finding, and is left out.

msgspec alone would stop at the first one and hide its key.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Final

import msgspec

from .kinds import LONGEST_INTEGER_BITS, Slip, unpack
from .mistakes import Finding, KeyPath, quoted
from .schema import (
    DefaultsTable,
    FiltersTable,
    GroupTable,
    MatrixTable,
    ModelTable,
    PeerTable,
    SchedulerTable,
    SelectorTable,
    ServerTable,
    Table,
    TimeoutsTable,
)
from .spelling import unknown_key

_MISSING: Final = object()
"""Stands for a value that is a finding instead."""

MOST_FINDINGS: Final = 200
"""More are not shown: whoever has so many named the wrong file, or made one mistake again and again."""

_HOMES: Final = {
    **dict.fromkeys(MatrixTable.__struct_fields__, "[matrix]"),
    **dict.fromkeys(SelectorTable.__struct_fields__, "[selectors.<name>]"),
    **dict.fromkeys(PeerTable.__struct_fields__, "[peers.<name>]"),
    **dict.fromkeys(FiltersTable.__struct_fields__, "[models.<id>.filters]"),
    **dict.fromkeys(TimeoutsTable.__struct_fields__, "[models.<id>.timeouts]"),
    **dict.fromkeys(GroupTable.__struct_fields__, "[groups.<name>]"),
    **dict.fromkeys(ModelTable.__struct_fields__, "[models.<id>]"),
    **dict.fromkeys(DefaultsTable.__struct_fields__, "[defaults] or [models.<id>]"),
    **dict.fromkeys(SchedulerTable.__struct_fields__, "[scheduler]"),
    **dict.fromkeys(ServerTable.__struct_fields__, "[server]"),
    "preload": "[hooks.on_startup]",
}


class Reader:
    """Reads the values of one file and collects what is wrong with them."""

    def __init__(self) -> None:
        """Begin without findings."""
        self.findings: list[Finding] = []

    def read_table(self, table: type[Table], value: object, path: KeyPath) -> dict[str, object]:
        """Return what `value` says of the keys of `table`: only those that are written, and right."""
        read = self._read_table(table, value, path)
        return typing.cast("dict[str, object]", read) if isinstance(read, dict) else {}

    def _read_table(self, table: type[Table], value: object, path: KeyPath) -> object:
        if not isinstance(value, dict):
            return self._refuse(path, f"expected a table, got {shown(value)}")
        fields = _fields(table)
        result: dict[str, object] = {}
        for key, inner in value.items():
            if key not in fields:
                # What was meant is worth looking for, but not for whoever has thousands.
                message = unknown_key(key, fields, _HOMES) if len(self.findings) < MOST_FINDINGS else "unknown key"
                self._refuse((*path, key), message, at_key=True)
                continue
            read = self._read(fields[key].type, inner, (*path, key))
            if read is not _MISSING:
                result[key] = read
        for key, field in fields.items():
            if field.required and key not in result:
                if key not in value:
                    self._refuse(path, f"{key} is missing: expected {unpack(field.type)[1].expected}", at_key=True)
                return _MISSING
        return result

    def _read(self, annotated: object, value: object, path: KeyPath) -> object:
        if len(self.findings) > MOST_FINDINGS:
            return _MISSING  # nobody will see what is wrong with it, and nothing is served
        if annotated is typing.Any:
            return value  # whoever has it among its parts has looked at it
        base, kind, whole = unpack(annotated)
        try:
            parsed = value if kind.parse is None else kind.parse(value)
        except Slip as slip:
            return self._refuse((*path, *slip.below), str(slip))
        if isinstance(base, type) and issubclass(base, Table):
            return self._read_table(base, parsed, path)
        if isinstance(parsed, list) and parsed and typing.get_origin(base) is tuple:
            # A string that stands for a list has no items to point at.
            paths = [(*path, index) if isinstance(value, list) else path for index in range(len(parsed))]
            return self._read_items(typing.get_args(base)[0], parsed, paths)
        if isinstance(parsed, dict) and parsed and typing.get_origin(base) is dict:
            return self._read_entries(typing.get_args(base), parsed, path)
        try:
            msgspec.convert(parsed, whole)
        except msgspec.ValidationError:
            return self._refuse(path, f"expected {kind.expected}, got {shown(value)}")
        return parsed

    def _read_items(self, item_type: object, items: list[object], paths: list[KeyPath]) -> object:
        read = [self._read(item_type, item, path) for item, path in zip(items, paths, strict=True)]
        return [item for item in read if item is not _MISSING] or _MISSING

    def _read_entries(self, entry_types: tuple[object, ...], entries: Mapping[str, object], path: KeyPath) -> object:
        key_type, value_type = entry_types
        before = len(self.findings)
        names = [name for name in entries if self._read(key_type, name, (*path, name)) is not _MISSING]
        self.findings[before:] = [replace(finding, at_key=True) for finding in self.findings[before:]]
        read = {name: self._read(value_type, entries[name], (*path, name)) for name in names}
        return {name: value for name, value in read.items() if value is not _MISSING} or _MISSING

    def _refuse(self, path: KeyPath, message: str, *, at_key: bool = False) -> object:
        self.findings.append(Finding(path=path, message=message, at_key=at_key))
        return _MISSING


@cache
def _fields(table: type[Table]) -> dict[str, msgspec.structs.FieldInfo]:
    # msgspec evaluates every annotation again each time it is asked.
    return {field.encode_name: field for field in msgspec.structs.fields(table)}


def shown(value: object) -> str:
    """Return `value`, as TOML gave it, in a few words."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {quoted(value)}"
        case int() | float():
            # Not every integer that TOML can say can be written back: Python refuses above 4300 digits.
            too_long = isinstance(value, int) and value.bit_length() > LONGEST_INTEGER_BITS
            return "a number of very many digits" if too_long else f"the number {value}"
        case dict():
            return "a table"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "a date or time"
