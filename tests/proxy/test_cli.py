"""The command line: what it says, what it imports for it, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from proxy.cli import VERBS, main
from proxy.config import load_config

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "config.toml"
HEAVY = ("trio", "httpx", "httpcore", "hypercorn", "statemachine", "h11", "ssl", "tree_sitter")


def trio_swap(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "proxy.cli", *words]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def ended(*words: str) -> int:
    """Return the exit code of a command line that argparse ends itself."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--version") == 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert capsys.readouterr().out == f"trio-swap {version}\n"


def test_help_names_every_verb_and_shows_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--help") == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in (*VERBS, "--version"))
    assert "trio-swap serve config.toml" in shown
    assert "exit codes: 0; 1 " in shown


@pytest.mark.parametrize(
    "verb",
    ["serve", "init", "check", "verify", "schema", "diagram", "simulate", "replay", "top", "demo-model", "completion"],
)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(verb, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: trio-swap {verb}")
    assert len(shown.splitlines()) > 10
    assert all(len(line) <= 100 for line in shown.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("swap",),
        ("serve",),
        ("diagram", "a"),
        ("verify",),
        ("--verbose",),
        ("serve", "x", "--listen", ":80"),
        ("serve", "x", "--journal-size", "0"),
        ("serve", "x", "--journal-size", "much"),
        ("serve", "x", "--journal-files", "0"),
        ("replay",),
        ("demo-model",),
        ("diagram", "--format", "png"),
        ("top", "ftp://here"),
        ("top", "unix:"),
        ("top", "here:99999"),
        ("top", "http://me:secret@here"),
        ("top", "--key", "key "),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*words) == 2
    assert "error: " in capsys.readouterr().err


def test_an_address_that_nobody_can_listen_on_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("serve", str(EXAMPLE), "--listen", "host:99999") == 2
    assert 'argument --listen: expected "host:port"' in capsys.readouterr().err


def test_check_says_what_loading_each_model_unloads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    models = "".join(f'[models.{name}]\ncmd = "x ${{PORT}}"\n' for name in ("big", "other", "embed", "title", "alone"))
    groups = """
        [groups.large]
        members = ["big", "other"]
        [groups.small]
        members = ["embed", "title"]
        swap = false
        exclusive = false
        persistent = true
    """
    file.write_text(models + groups)
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file} is right: 5 models, strategy fifo+",
        "",
        "loading  big    unloads  other, alone",
        "loading  other  unloads  big, alone",
        "loading  embed  unloads  nothing",
        "loading  title  unloads  nothing",
        "loading  alone  unloads  big, other",
    ]


def test_check_warns_of_an_open_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text('server.listen = "0.0.0.0:80"\nmodels.a.cmd = "x ${PORT}"\n')
    assert main(["check", str(file)]) == 0
    assert "warning: other machines can reach 0.0.0.0:80 without a key" in capsys.readouterr().out


def test_check_print_writes_a_configuration_that_means_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(EXAMPLE), "--print"]) == 0
    printed = tmp_path / "config.toml"
    printed.write_text(capsys.readouterr().out)
    again, example = load_config(printed), load_config(EXAMPLE)
    assert (again.models, again.settings, again.listen) == (example.models, example.settings, example.listen)
    written = tomllib.loads(printed.read_text())
    assert written["server"]["max_body"] == 256 * 2**20
    assert written["models"]["coder"]["queue_limit"] == 1000
    assert written["models"]["coder"]["proxy"] == "http://127.0.0.1:${PORT}"


@pytest.mark.parametrize("verb", ["check", "serve", "verify"])
def test_a_wrong_configuration_ends_with_2_and_all_its_mistakes(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[models.a]\ncmd = 'x'\ndebounce = 5\n")
    assert main([verb, str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0].startswith(f"{file}:2:7: models.a.cmd: ")
    assert captured.err.splitlines()[-1] == f"2 mistakes in {file}"


@pytest.mark.parametrize("verb", ["check", "serve", "verify"])
def test_a_missing_configuration_ends_with_2(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, str(tmp_path / "none.toml")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none.toml'}: there is no such file\n"


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        ((), "stateDiagram-v2\n"),
        (("--format", "mermaid"), "stateDiagram-v2\n"),
        (("--format", "markdown"), "# "),
        (("--format", "svg"), "<svg "),
        (("--format", "dot"), "digraph {\n"),
    ],
)
def test_the_machine_is_drawn_in_every_format(
    words: tuple[str, ...], begin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagram", *words]) == 0
    drawn = capsys.readouterr().out
    assert drawn.startswith(begin)
    assert "debounce" in drawn
    assert drawn.endswith("\n")
    assert not drawn.endswith("\n\n")


def test_windows_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["serve", str(EXAMPLE)]) == 1
    assert "does not run on Windows" in capsys.readouterr().err
    assert main(["top"]) == 1
    assert "WSL has one" in capsys.readouterr().err


def test_a_reader_that_has_enough_gets_no_traceback() -> None:
    program = [sys.executable, "-m", "proxy.cli", "check", str(EXAMPLE), "--print"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        checked = subprocess.run(
            program, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(writing)
    assert (checked.returncode, checked.stderr) == (1, "")


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("--help",),
        ("check", "config.toml"),
        ("schema",),
        ("serve", "--help"),
        ("diagram", "--help"),
        ("simulate", "--help"),
        ("top", "--help"),
    ],
)
def test_a_verb_without_a_server_imports_nothing_that_serves(words: tuple[str, ...]) -> None:
    program = f"""if True:
        import sys
        from proxy.cli import VERBS, main
        try:
            main({list(words)!r})
        except SystemExit:
            pass
        print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
    """
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stderr == "[]\n"


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("check", "config.toml"), ("schema",)])
def test_a_verb_without_a_server_answers_at_once(words: tuple[str, ...]) -> None:
    # What counts is its own time, 40 to 90 ms on a quiet machine: the best of a few runs, because others use this one.
    times = []
    for _ in range(8):
        began = time.perf_counter()
        assert trio_swap(*words).returncode == 0
        times.append(time.perf_counter() - began)
    assert min(times) < 0.2
