"""What shells make of the scripts that `completion` writes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.cli import VERBS, main
from proxy.commands.completion import SHELLS

# What the Tab key does: the last word is the one to complete.
TAB = """
eval "$SCRIPT"
COMP_WORDS=(trio-swap "$@")
COMP_CWORD=$#
$(complete -p trio-swap | sed 's/.*-F \\([^ ]*\\).*/\\1/') trio-swap "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script_for(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_that_its_shell_can_read(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = script_for(shell, capsys)
    assert all(verb in script for verb in VERBS)
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "script").write_text(script)
    read = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["ser"], {"serve"}),
        ([""], set(VERBS)),
        (["serve", "con"], {"config.toml"}),
        (["serve", "config.toml", "--li"], {"--listen"}),
        (["check", "config.toml", "--"], {"--help", "--print"}),
        (["completion", "f"], {"fish"}),
        (["demo-model", "--tok"], {"--tokens", "--tokens-per-second"}),
    ],
)
def test_bash_completes(
    typed: list[str], offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").touch()
    tab = subprocess.run(
        ["bash", "--norc", "-c", TAB, "bash", *typed],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "SCRIPT": script_for("bash", capsys)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert set(tab.stdout.split()) == offered, tab.stderr
