"""The configuration file as JSON Schema (2020-12), for editors: from the tables that read it, so it cannot drift.

It never refuses what the loader takes. It cannot say everything that the loader refuses: what one value means for
another, a command that is only comments, numbers that JSON does not have. `tests/proxy/test_schema.py` lists that.

Everything stands where it is used, without `$ref`, and only keywords are used that the oldest drafts know or may pass
over: editors for TOML are a few drafts behind.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from . import schema
from .kinds import unpack


def json_schema() -> dict[str, object]:
    """Return the schema of a whole file, as JSON values."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:trio-swap:configuration",
        "title": "trio-swap configuration",
        **_table(schema.Tables),
    }


def _table(table: type[schema.Table]) -> dict[str, object]:
    fields = msgspec.structs.fields(table)
    words = _words_about(table)
    required = [field.encode_name for field in fields if field.required]
    return {
        "description": table.__doc__,
        "type": "object",
        "properties": {field.encode_name: _key(field, words.get(field.name)) for field in fields},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _key(field: msgspec.structs.FieldInfo, words: str | None) -> dict[str, object]:
    of_value = _value(field.type)
    if words is not None:
        of_value["description"] = f"{words}\n\nExpected: {unpack(field.type)[1].expected}."
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if _is_writable(default, of_value):
        of_value["default"] = int(default) if isinstance(default, float) and default.is_integer() else default
    return of_value


def _is_writable(default: object, of_value: dict[str, object]) -> bool:
    """None cannot be said in TOML, a table's keys have defaults of their own, and no words are no command."""
    if default is None or default is msgspec.NODEFAULT or isinstance(default, schema.Table):
        return False
    return default != () or "minItems" not in of_value


def _value(annotated: object) -> dict[str, object]:
    if annotated is typing.Any:
        return {}
    base, kind, whole = unpack(annotated)
    if isinstance(base, type) and issubclass(base, schema.Table):
        return _table(base)
    of_type = msgspec.json.schema(whole)
    of_type.pop("$defs", None)
    match typing.get_args(base):
        case (item, typing_ellipsis) if typing_ellipsis is ...:
            of_type["items"] = _value(item)
        case (key, value) if typing.get_origin(base) is dict:
            of_type["additionalProperties"] = _value(value)
            of_type["propertyNames"] = _value(key)
    return {**of_type, **kind.json_schema}


@cache
def _words_about(table: type[schema.Table]) -> dict[str, str]:
    """The docstring under each key of a table; Python itself does not keep them."""
    words: dict[str, str] = {}
    for each in reversed(table.__mro__):
        words |= _classes().get(each.__name__, {})
    return words


@cache
def _classes() -> dict[str, dict[str, str]]:
    source = ast.parse(Path(schema.__file__).read_text(encoding="utf-8"))
    return {node.name: dict(_documented(node)) for node in source.body if isinstance(node, ast.ClassDef)}


def _documented(table: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for node, after in zip(table.body, table.body[1:], strict=False):
        match node, after:
            case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(words))):
                yield key, words
