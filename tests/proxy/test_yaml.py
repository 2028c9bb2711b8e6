"""YAML from anybody: what it says, where it says it, and no more time or memory than a configuration is worth."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from math import inf, isnan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.yaml_tree import YamlMistake, read_yaml

HOSTILE = {
    "a billion laughs": "a0: &a0 x\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
    "laughing keys": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}, r: *a{n - 1}}}\n" for n in range(1, 14)),
    "merged laughs": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: *a{n - 1}}}\n" for n in range(1, 16)),
    "macros of macros": "macros:\n  a0: xxxxxxxxxx\n"
    + "".join(f"  a{n}: '{f'${{a{n - 1}}}' * 10}'\n" for n in range(1, 12))
    + "models: {m: {cmd: 'server ${PORT} ${a11}'}}\n",
    "an anchor within itself": "models: &m {a: *m}",
    "an anchor within its own merge": "a: &a\n  <<: *a\n",
    "brackets": "[" * 50_000,
    "braces": "{" * 50_000,
    "brackets with something between": "[a, " * 20_000,
    "dashes": "- " * 20_000,
    "levels": "".join(" " * depth + "-\n" for depth in range(400)),
    "question marks": "? " * 20_000,
    "a huge text": "models: " + "x" * 300_000,
    "many keys": "".join(f"k{n}: v\n" for n in range(25_000)),
    "a huge number": "startPort: " + "9" * 100_000,
    "a huge exponent": "startPort: 1e" + "9" * 300,
    "a control character": "models: \x07",
    "a nul": "models: \0",
    "a tab": "models:\n\ta: 1",
    "a python object": "models: !!python/object/apply:os.system [exit]",
    "a binary": "models: !!binary aGVsbG8=",
    "a set": "models: !!set {a, b}",
    "two documents": "a: 1\n---\nb: 2\n",
    "a directive": "%YAML 9.9\n---\nmodels: 1\n",
    "a list at the top": "- a\n- b\n",
    "a text at the top": "just words",
    "nothing": "",
    "a comment": "# nothing\n",
    "a list as a key": "? [a]\n: b\n",
    "an unknown anchor": "a: *nobody\n",
    "half a string": 'a: "x\n',
    "surrogates": 'a: "\\ud800"\nmodels: 1\n',
    "escapes": 'a: "\\x00\\x1b[31m"\nmodels: 1\n',
}


def refused_within_bounds(file: Path) -> None:
    """Hold what `check` says of a file, in a process of its own, to a place, a second, and 100 MB."""
    # A busy machine counts some of a neighbour's time as ours: the best of a few counts.
    least_s = min(_until_below(1.0, (_checked(file) for _ in range(4))))
    assert least_s < 1.0


def _until_below(limit: float, measured: Iterator[float]) -> Iterator[float]:
    """What was measured, up to and with the first below the limit."""
    for each in measured:
        yield each
        if each < limit:
            return


def _checked(file: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2, done.stderr
    first = done.stderr.splitlines()[0]
    assert first.startswith(f"{file}:"), done.stderr
    assert "Traceback" not in done.stderr
    assert first.isprintable()
    seconds, mebibytes = map(float, done.stdout.split())
    assert mebibytes < 100
    return seconds


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_with_a_place_in_time_and_memory(text: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_text(text, encoding="utf-8")
    refused_within_bounds(file)


CHECK = """
import resource, sys, time
from pathlib import Path
from proxy.cli import main

def peak_mebibytes():
    status = Path("/proc/self/status")
    if status.exists():  # elsewhere it counts what the process that started this one had
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

begun = time.process_time()
code = main(["check", sys.argv[1]])
print(time.process_time() - begun, peak_mebibytes())
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("1_000", 1000),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2e3", 2000.0),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("~", None),
        ("null", None),
        ("", None),
        (".inf", inf),
        ("-.inf", -inf),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("2020-01-01", "2020-01-01"),
        ("1.2.3", "1.2.3"),
        ("${env.A}", "${env.A}"),
        ('"${env.A} b"', "${env.A} b"),
        ("[${env.A}, x]", ["${env.A}", "x"]),
        ("{${env.A}: 1}", {"${env.A}": 1}),
        ("|\n  a\n   b\n", "a\n b\n"),
        (">-\n  a\n  b\n", "a b"),
    ],
)
def test_a_value_is_what_yaml_says_it_is(written: str, value: object) -> None:
    assert read_yaml(f"k: {written}").value == {"k": value}
    assert isinstance(read_yaml(f"k: {written}").value["k"], type(value))  # type: ignore[index]


def test_what_is_no_number_is_none() -> None:
    assert isnan(read_yaml("k: .nan").value["k"])  # type: ignore[index]


def test_an_anchor_gives_each_its_own_place_and_a_merge_keeps_what_is_there() -> None:
    tree = read_yaml("a: &a\n  x: 1\n  y: 2\nb:\n  <<: *a\n  y: 3\nc: *a\n")
    assert tree.value == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}
    places = [tree.place(path) for path in (("b", "y"), ("b", "x"), ("c", "y"))]
    assert [place and place.value.line for place in places] == [5, 1, 2]
    assert tree.places["c",].key.line == 6
    assert tree.text(("b", "x")) == "1"


def test_what_a_merge_lists_first_counts() -> None:
    assert read_yaml("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n").value["c"] == {"x": 1, "y": 2}  # type: ignore[index]


def test_a_number_keeps_what_was_written() -> None:
    assert read_yaml("k: [1.50, 0x10]").texts == {("k", 0): "1.50", ("k", 1): "0x10"}


plain = st.text(
    st.characters(codec="utf-8", exclude_characters="\ufeff\x85\u2028\u2029", exclude_categories=("Cc", "Cs", "Co"))
)
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | plain | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(plain.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(plain.filter(lambda key: key != "<<"), values, max_size=5))
def test_json_is_read_as_json(value: dict[str, object]) -> None:
    assert read_yaml(json.dumps(value, ensure_ascii=False)).value == value


@given(st.text(max_size=200) | st.text("[]{}:,&*!|>'\"%@`#?-<=\n \tab1", max_size=120))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    mistake = None
    try:
        read_yaml(text)
    except YamlMistake as caught:
        mistake = caught
    if mistake is not None:
        assert mistake.line >= 1
        assert mistake.column >= 1
        assert mistake.message
