"""How single values are written: durations, sizes, commands, addresses, names."""

from __future__ import annotations

import ipaddress
import math
import re
import shlex
import types
import typing
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Final

from .json_paths import parse_path
from .mistakes import KeyPath, quoted

UNITS_S: Final = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
UNITS_BYTES: Final = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
HIGHEST_PORT: Final = 65535
LONGEST_INTEGER_BITS: Final = 1000
LONGEST_COMMAND: Final = 64 * 2**10
"""Characters; systems refuse somewhat more."""

DURATION: Final = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h)"
SIZE: Final = r"([0-9]{1,15}) ?([KMG]i?B|B|)"
MACRO_NAME: Final = r"^[A-Za-z0-9_-]{1,63}$"
RESERVED: Final = frozenset({"PORT", "PID", "MODEL_ID"})
"""Placeholders that no macro can stand for."""
VISIBLE: Final = r"[!-~]+"
"""ASCII without blanks."""


class Slip(ValueError):  # noqa: N818 - it is no error of ours, and it is many times in what follows
    """A value is not of its kind; the message is a clause that can follow the key."""

    def __init__(self, message: str, below: KeyPath = ()) -> None:
        """Say what is wrong, and with which part of the value."""
        super().__init__(message)
        self.below = below


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is written; in a type's annotation beside msgspec's limits, which are for what `parse` returns."""

    expected: str
    """What can be written, after "expected"."""
    parse: Callable[[object], object] | None = None
    """From what TOML gave; raises Slip. None: taken as it is."""
    json_schema: Mapping[str, object] = field(default_factory=dict, hash=False)
    """What JSON Schema can say of that, over what it says of the type: never less than `parse` takes."""


@cache
def unpack(annotated: object) -> tuple[object, Kind, type]:
    """Return the bare type, how it is written, and the type with its limits; `X | None` is X: TOML has no null."""
    if typing.get_origin(annotated) in {types.UnionType, typing.Union}:
        annotated = next(each for each in typing.get_args(annotated) if each is not types.NoneType)
    kinds = [each for each in getattr(annotated, "__metadata__", ()) if isinstance(each, Kind)]
    base = getattr(annotated, "__origin__", annotated) if kinds else annotated
    return base, (kinds or [Kind("a table")])[-1], typing.cast("type", annotated)


def duration(value: object) -> object:
    """Return seconds for `"1500ms"`, `"5s"`, `"2m"`, `"1h"`; numbers, and what is no duration, as they are."""
    if isinstance(value, str) and (match := re.fullmatch(DURATION, value)):
        # In decimal: 0.3 s and 300 ms are one number of seconds.
        return float(Decimal(match[1]) * UNITS_S[match[2]])
    return value


def size(value: object) -> object:
    """Return bytes for `"256MiB"`; numbers, and what is no size, as they are."""
    if isinstance(value, str) and (match := re.fullmatch(SIZE, value)):
        return int(match[1]) * UNITS_BYTES[match[2]]
    return value


def words(value: object) -> object:
    """Return the words of a command: a list as it is, a string split as a POSIX shell splits it, expanding nothing.

    Lines that begin with `#`, blanks aside, are dropped; a backslash at the end of a line joins it with the next.
    """
    if isinstance(value, str):
        if len(value) > LONGEST_COMMAND:
            raise Slip(f"longer than {LONGEST_COMMAND} characters: name a script that says all that")
        # Pairs first: the second of two backslashes joins nothing. shlex would make a word of the line's end.
        text = without_comments(value)
        joined = re.sub(r"\\(.)", lambda pair: "" if pair[1] == "\n" else pair[0], text, flags=re.DOTALL)
        try:
            value = shlex.split(joined)
        except ValueError as error:
            what = "a quote is not closed" if "quotation" in str(error) else "nothing follows the last backslash"
            raise Slip(f"{what}: cannot be split into words") from None
    if isinstance(value, list) and (not value or value[0] == ""):
        raise Slip("expected a command, got no words" if not value else "the first word, the program, is empty")
    return value


def without_comments(command: str) -> str:
    """Return a command without the lines that begin with `#`, blanks aside."""
    return "\n".join(line for line in command.split("\n") if not line.lstrip(" \t").startswith("#"))


def word(value: object) -> object:
    """Refuse what no program can be given: a NUL character."""
    if isinstance(value, str) and "\0" in value:
        raise Slip("a NUL character cannot be handed to a program")
    return value


def identifier(value: object) -> object:
    """Refuse ids and names that cannot be asked for, or seen."""
    if isinstance(value, str):
        if not value.strip():
            raise Slip("the name is empty")
        if not value.isprintable():
            raise Slip(f"the name {quoted(value)} has a character that cannot be seen")
        if value != value.strip():
            raise Slip(f"the name {quoted(value)} begins or ends with a blank")
    return value


def variables(value: object) -> object:
    """Return a table of variables for a list of `NAME=value`."""
    if not isinstance(value, list):
        return value
    table: dict[str, object] = {}
    for index, entry in enumerate(value):
        name, equals, text = entry.partition("=") if isinstance(entry, str) else ("", "", "")
        if not (name and equals):
            got = f", got {quoted(entry)}" if isinstance(entry, str) else ""
            raise Slip(f'expected "NAME=value"{got}', (index,))
        if name in table:
            raise Slip(f"the variable {quoted(name)} is set twice", (index,))
        table[name] = text
    return table


def variable(value: object) -> object:
    """Refuse what cannot be the name of an environment variable."""
    if isinstance(value, str) and (not value or "=" in value or "\0" in value):
        raise Slip(f"{quoted(value)} cannot be the name of an environment variable")
    return value


def one_or_many(value: object) -> object:
    """Return a list for a single string."""
    return [value] if isinstance(value, str) else value


def address(value: object) -> object:
    """Refuse what cannot be listened on: not `host:port`, `[ipv6]:port` or `unix:PATH`."""
    if not isinstance(value, str):
        return value
    if value.startswith("unix:"):
        if len(value) == len("unix:") or not value.isprintable():
            raise Slip('"unix:" needs a path after it')
        return value
    host, colon, port = value.rpartition(":")
    if not colon or not _is_port(port, lowest=0):
        raise Slip(f'expected "host:port" with a port from 0 to {HIGHEST_PORT}, or "unix:PATH", got {quoted(value)}')
    if not host:
        this = f'write "127.0.0.1:{port}" for this machine only, "0.0.0.0:{port}" for every address'
        raise Slip(f"no host in {quoted(value)}: {this}")
    if not (_is_ipv6(host[1:-1]) if host.startswith("[") and host.endswith("]") else _is_host(host)):
        raise Slip(f'{quoted(host)} is not a host: an IPv6 address needs brackets, "[::1]:8080"')
    return value


def endpoint(value: object) -> object:
    """Refuse what is neither a path nor `none`."""
    if isinstance(value, str) and value != "none":
        if not value.startswith("/"):
            raise Slip(f'expected a path that starts with "/", or "none", got {quoted(value)}')
        if not re.fullmatch(VISIBLE, value) or "#" in value:
            raise Slip(f"{quoted(value)} cannot stand in a request: write other characters as %XX")
    return value


def secret(value: object) -> object:
    """Refuse keys that no client can send."""
    if isinstance(value, str) and not re.fullmatch(VISIBLE, value):
        raise Slip("a key is at least one visible ASCII character, without blanks")
    return value


def values(value: object) -> object:
    """Refuse a table with something in it that JSON cannot say: a date, or a number that is none."""
    if isinstance(value, dict):
        _refuse_unsayable(value, ())
    return value


def _refuse_unsayable(value: object, below: KeyPath) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_unsayable(inner, (*below, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_unsayable(inner, (*below, index))
    elif isinstance(value, float) and not math.isfinite(value):
        raise Slip(f"{value} is no number that JSON can say", below)
    elif isinstance(value, int) and value.bit_length() > LONGEST_INTEGER_BITS:
        raise Slip("a number of very many digits", below)
    elif value is not None and not isinstance(value, str | bool | int | float):
        raise Slip("a date or time cannot stand in JSON: write a string", below)


def json_path(value: object) -> object:
    """Refuse what is no path into a body, and the name of the model, which is not for filters."""
    if isinstance(value, str):
        try:
            steps = parse_path(value)
        except ValueError as error:
            raise Slip(f"{quoted(value)} {error}") from None
        if steps == ("model",):
            raise Slip("the model of a request is not for filters: see use_model_name")
    return value


def comma_separated(value: object) -> object:
    """Return a list for `"a, b"`."""
    if isinstance(value, str):
        return [part for each in value.split(",") if (part := each.strip())]
    return value


def macro_name(value: object) -> object:
    """Refuse what cannot stand between `${` and `}`."""
    if isinstance(value, str):
        if value in RESERVED:
            raise Slip(f"${{{value}}} has a meaning of its own: choose another name")
        if not re.fullmatch(MACRO_NAME, value):
            raise Slip(f"the name {quoted(value)} of a macro is not of 1 to 63 letters, digits, - and _")
    return value


def scalar(value: object) -> object:
    """Refuse numbers that are none, and those that could not be written back."""
    _refuse_unsayable(value, ())
    return value


def url(value: object) -> object:
    """Refuse what is not where a server can answer: http(s), host, port and path, nothing else."""
    text = str(value)
    if not re.fullmatch(VISIBLE, text):
        raise Slip(f"{quoted(text)} is not a URL: it has blanks or characters outside ASCII")
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Slip(f"{quoted(text)} is not a URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Slip(f'expected a URL such as "http://127.0.0.1:9000", got {quoted(text)}')
    if port == 0:
        raise Slip(f"{quoted(text)}: no server answers on port 0")
    if parts.username is not None or "?" in text or "#" in text:
        raise Slip(f"{quoted(text)} has more than a scheme, host, port and path")
    return value


def is_loopback(listen: str) -> bool:
    """Return whether only this machine can reach the address `listen`, which `address` accepts."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _is_port(text: str, lowest: int) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and lowest <= int(text) <= HIGHEST_PORT


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    return re.fullmatch(r"(?!-)[A-Za-z0-9_.-]{1,253}", text) is not None and ".." not in text
