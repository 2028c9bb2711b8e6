"""What was probably meant where a file is not TOML: other formats, missing quotes, backslashes."""

from __future__ import annotations

import re
from typing import Final

_KEY: Final = r"""\s*[\w."'-]+\s*"""
_SWITCHES: Final = frozenset({"true", "false", "yes", "no", "on", "off"})


def advice(what: str, line: str) -> str:
    """Return a clause that can follow what `tomllib` says is wrong with a line, or nothing.

    Args:
        what: tomllib's words; they are the same in every Python from 3.11 on.
        line: as written.
    """
    if re.match(rf"{_KEY}:(\s|$)", line) or re.match(r"\s*\{", line):
        return "; this looks like YAML or JSON: write `key = value`, and tables as `[models.<id>]`"
    if re.match(r"\s*\[.*\]", line):
        return '; a name of more than letters, digits, - and _ needs quotes, as in `[models."org/model:7b"]`'
    if "'\\n'" in what or "Unterminated" in what:
        return "; a quote is not closed"
    if "\\" in line and ("Unescaped" in what or "hex" in what):
        return "; in double quotes a backslash is written twice; in single quotes it is what it is"
    value = re.match(rf"{_KEY}=\s*(.*)", line)
    if value is None or value[1][:1] in {'"', "'", "[", "{"}:
        return ""
    if not value[1]:
        return "; the value is missing"
    word = value[1].split("#")[0].strip().lower()
    return "; write true or false" if word in _SWITCHES else "; a text needs quotes"
