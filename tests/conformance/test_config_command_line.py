"""The command line, exit codes, and what a reload sees, against sections 1.1, 1.2 and 1.5 of llama-swap's behaviour.

Each docstring begins with its section; where we differ on purpose it says so, and why. What a reload does to servers
and requests is in `tests/live/test_reload.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.config.differences import differences
from proxy.config.sources import digest

from .config_stage import MODEL, load


def code_of(*words: str) -> int:
    """The exit code of a command."""
    try:
        return main(words)
    except SystemExit as ended:
        return int(ended.code or 0)


def test_help_and_version_end_well_and_unknown_options_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    """1.1, 1.2: 0, 0 and 2; the version is one line."""
    assert code_of("--version") == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert code_of("-h") == 0
    assert code_of("serve", "--nonsense", "x.yaml") == 2


@pytest.mark.parametrize(
    "words", [["check", "none.yaml"], ["check", "wrong.yaml"], ["serve", "wrong.yaml"], ["check", "folder"]]
)
def test_a_configuration_that_cannot_be_used_is_2(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1.2, 1.7. Different: 1 there; here 1 is what went wrong while running, and nothing was started yet."""
    (tmp_path / "wrong.yaml").write_text("models: [")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert code_of(*words) == 2
    assert capsys.readouterr().err.startswith(words[1])


def test_where_it_listens_is_not_read_again(tmp_path: Path) -> None:
    """1.5. Better: what needs a new start of the proxy is said."""
    old = load(tmp_path, MODEL)
    new = load(tmp_path, f"startPort: 7000\n{MODEL}")
    assert differences(old, new).fixed == ("server.start_port",)


def test_a_reload_restarts_what_is_started_in_another_way(tmp_path: Path) -> None:
    """1.5. Better: every model is stopped there, even one that did not change."""
    models = "models:\n" + "".join(f"  {name}: {{cmd: 'x ${{PORT}} {name}'}}\n" for name in "abc")
    old = load(tmp_path, models)
    new = load(tmp_path, f"globalTTL: 60\n{models.replace('c: {', 'd: {').replace('} b', '} other')}")
    found = differences(old, new)
    assert (found.added, found.removed, found.restarted) == (("d",), ("c",), ("b",))


@pytest.mark.parametrize(
    ("change", "fires"),
    [
        (lambda folder: (folder / "a.yaml").write_text("b"), True),
        (lambda folder: (folder / "b.yml").write_text(""), True),
        (lambda folder: (folder / "a.yaml").unlink(), True),
        (lambda folder: (folder / "a.yaml").rename(folder / "c.yaml"), True),
        (lambda folder: (folder / "notes.txt").write_text("x"), False),
        (lambda folder: (folder / "below" / "b.yaml").write_text("x"), False),
        (lambda folder: (folder / "a.yaml").write_text("a"), False),
    ],
    ids=["change", "add", "remove", "rename", "other", "below", "touch"],
)
def test_a_folder_changes_by_its_own_files(change: Callable[[Path], object], fires: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """1.5: names and what is in them. Different: contents are compared, not times and sizes."""
    (tmp_path / "below").mkdir()
    (tmp_path / "a.yaml").write_text("a")
    before = digest([tmp_path])
    change(tmp_path)
    assert (digest([tmp_path]) != before) is fires
