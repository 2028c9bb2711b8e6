"""TOML from anybody: refused with a place, and with no more time or memory than a configuration is worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config.nesting import DEEPEST, MOST_LEVELS, levels, too_deep_at

from .test_yaml import refused_within_bounds

MODEL = '[models.m]\ncmd = "server ${PORT}"\n'
HOSTILE = {
    "a dotted key": ".".join(["a"] * 20_000) + " = 1\n",
    "a dotted key of a model": MODEL + "metadata." + ".".join(["'a'"] * 20_000) + " = 1\n",
    "a dotted key within tables": MODEL + "metadata = { x = [{ " + " . ".join(["a"] * 5_000) + " = 1 }] }\n",
    "a dotted header": "[" + ".".join(["a"] * 20_000) + "]\n",
    "dots and brackets": MODEL + "metadata = " + ("{" + ".".join("a" * 30) + "=") * 30 + "1" + "}" * 30 + "\n",
    "inline tables": MODEL + "metadata = " + "{a=" * 20_000 + "1" + "}" * 20_000 + "\n",
    "brackets": MODEL + "aliases = " + "[" * 100_000,
    "closed brackets": MODEL + "metadata = { a = " + "[" * 200 + "]" * 200 + " }\n",
    "many unknown keys": "".join(f"k{n} = 1\n" for n in range(20_000)) + MODEL,
    "many models": "".join(f'[models.m{n}]\ncmd = "server"\n' for n in range(5_000)),
    "many mistakes": "".join(f'[models.m{n}]\ncmd = "server"\n' for n in range(900)),
    "a long command": f'[models.m]\ncmd = "server {"a b " * 100_000}"\n',
    "a long text": MODEL + f'nope = "{"x" * 450_000}"\n',
    "too much": MODEL + f"aliases = [{'1,' * 500_000}]\n",
    "a long list": MODEL + f"aliases = [{'1,' * 100_000}]\n",
    "macros of macros": '[macros]\na0 = "xxxxxxxxxx"\n'
    + "".join(f'a{n} = "{f"${{a{n - 1}}}" * 10}"\n' for n in range(1, 12))
    + MODEL
    + 'description = "${a11}"\n',
    "many long texts": '[macros]\na = "' + "x" * 60_000 + f'"\n{MODEL}metadata.a = [' + "'y${a}'," * 20_000 + "]\n",
    "a huge number": MODEL + "ttl = " + "9" * 100_000 + "\n",
    "a control character": MODEL + 'name = "\x07"\n',
    "an escaped one": MODEL + 'aliases = ["\\u001b[31m"]\n',
    "quotes": MODEL + '"' * 200_001,
    "quotes in lines": MODEL + "'\n" * 100_000,
    "a word": "x" * 500_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_with_a_place_in_time_and_memory(text: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.toml"
    file.write_text(text, encoding="utf-8")
    refused_within_bounds(file)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("a.b = 1", None),
        (".".join("a" * DEEPEST) + "=1", None),
        ("x = 1\n" + ".".join("a" * 42) + "=1", 6),
        ("x = '" + ".".join("a" * 50) + "'", None),
        ("# " + ".".join("a" * 50) + "\n" + ".".join("b" * 50), 102),
        ("[" * DEEPEST, None),
        ("[" * (DEEPEST + 1), DEEPEST),
        ('x = "' + "[" * 50 + '"', None),
        ("x = '''\n" + "[" * 50 + "'''", None),
        ('x = """\\"""' + "[" * 50 + '"""', None),
        ("# " + "[" * 50, None),
        ("[]" * 500, None),
    ],
)
def test_only_what_nests_is_too_deep(text: str, offset: int | None) -> None:
    assert too_deep_at(text) == offset


def test_levels_are_counted_up_to_where_it_matters() -> None:
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    assert levels({"a": {"b": [1]}}) == 4
    assert levels(deep) == MOST_LEVELS + 1
