"""What is changed of a request's body on its way to a server: the model's name, parameters taken out, parameters set.

Only the levels that a change leads through are read; whatever else is in the body keeps its bytes, so that numbers stay
spelled as they were, and keys keep their order. Of several keys with one name the last counts, as for the servers, and
is the one that is left. A body that nothing is changed of stays as it came. No filter touches `model`: it says where
the request goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

import msgspec

from .config.json_paths import JsonPath, item_of, parse_path
from .config.routing import Filters, Json
from .replies import invalid

_Object: TypeAlias = "dict[str, _Value]"
_List: TypeAlias = "list[_Value]"
_Value: TypeAlias = "msgspec.Raw | _Object | _List"
"""JSON, read only as far as it had to be."""

_read_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_MODEL: Final = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to do to a body."""

    path: JsonPath
    value: msgspec.Raw | None
    """JSON to be written there; None: what is there is taken out."""


def changes_of(filters: Filters, name: str) -> tuple[Change, ...]:
    """Return what filters do to a request that asks for `name`, in order. Raises ValueError: a path is none."""
    stripped = [Change(path=path, value=None) for _, path in _paths(set(filters.strip))]
    return (*stripped, *_set_by(filters.set), *_set_by(filters.set_by_name.get(name, {})))


def rewritten(body: bytes, named: str, model: str, changes: Sequence[Change]) -> bytes:
    """Return a body with its model called otherwise and changes made.

    Args:
        body: a JSON object.
        named: what it calls its model.
        model: what it is to call it.
        changes: what else is to be done, in order.

    Raises:
        Problem: a key cannot be read.
    """
    try:
        root = cast(_Object, _read_object(body))
        is_changed = model != named
        if is_changed:
            root[_MODEL] = msgspec.Raw(msgspec.json.encode(model))
        for change in changes:
            is_changed |= _strip(root, change.path) if change.value is None else _set(root, change.path, change.value)
    except UnicodeDecodeError:
        raise invalid("a key in the body is not UTF-8, and this request's parameters are looked up by key") from None
    return msgspec.json.encode(root) if is_changed else body


def _set_by(values: Mapping[str, Json]) -> list[Change]:
    return [Change(path=path, value=msgspec.Raw(msgspec.json.encode(values[key]))) for key, path in _paths(values)]


def _paths(keys: Iterable[str]) -> list[tuple[str, JsonPath]]:
    parsed = ((key, parse_path(key)) for key in sorted(keys))
    return [(key, path) for key, path in parsed if path[0] != _MODEL]


def _strip(root: _Object, path: JsonPath) -> bool:
    node: _Object | _List = root
    for step in path[:-1]:
        inner = _opened(node, step)
        if inner is None or isinstance(inner, msgspec.Raw):
            return False
        node = inner
    if isinstance(node, dict):
        return node.pop(path[-1], None) is not None
    item = item_of(path[-1])
    if item is None or item >= len(node):
        return False
    del node[item]
    return True


def _set(root: _Object, path: JsonPath, value: msgspec.Raw) -> bool:
    node: _Object | _List = root
    for step in path[:-1]:
        inner = _opened(node, step)
        if inner is None or isinstance(inner, msgspec.Raw):
            inner = {}  # what cannot be led into gives way
            if not _put(node, step, inner):
                return False
        node = inner
    return _put(node, path[-1], value)


def _opened(node: _Object | _List, step: str) -> _Value | None:
    """Return what a step leads to, read if it leads on, and put back as such; None: nothing."""
    inner: _Value | None = None
    if isinstance(node, dict):
        inner = node.get(step)
    elif (item := item_of(step)) is not None and item < len(node):
        inner = node[item]
    if not isinstance(inner, msgspec.Raw):
        return inner
    match bytes(memoryview(inner)[:1]):
        case b"{":
            inner = cast(_Object, _read_object(inner))
        case b"[":
            inner = cast(_List, _read_list(inner))
        case _:
            return inner
    _put(node, step, inner)
    return inner


def _put(node: _Object | _List, step: str, value: _Value) -> bool:
    """Write what a step leads to, in a list up to one behind its last item; return whether there is such a place."""
    if isinstance(node, dict):
        node[step] = value
        return True
    item = item_of(step)
    if item is None or item > len(node):
        return False
    node[item : item + 1] = [value]
    return True
