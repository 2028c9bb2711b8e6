"""The parts of the documentation that `trio-swap simulate` and the benchmark of profiles print.

    python -m tests.printed_pages

writes them anew: in the pages below, the block after each block with a `trio-swap simulate` command, each picture that
such a command draws, and the table of the profiles. A test says when they are not what is printed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory

from proxy.cli import main
from tests.benchmarks import profiles

ROOT = Path(__file__).resolve().parent.parent
PAGES = tuple(ROOT / "docs" / name for name in ("simulation.md", "story.md"))
PICTURES = ROOT / "docs" / "pictures"

_COMMAND = re.compile(
    r"^```console\n(?P<command>trio-swap simulate config\.toml[^`]*)```\n(\n```text\n(?P<text>[^`]*)```\n)?",
    re.MULTILINE,
)
_PROFILES = re.compile(r"^\| profile \|(?:.*\n)+?(?=\n)", re.MULTILINE)
_DRAWN = ("--svg", "--plot")


def written(command: str) -> tuple[str, dict[str, str]]:
    """Run a command as it is on a page, and return what it prints and the pictures it draws, by name."""
    words = shlex.split(command.replace("\\\n", " "))[1:]
    drawn = {words[place + 1] for place, word in enumerate(words) if word in _DRAWN}
    printed = TextIOWrapper(BytesIO(), encoding="utf-8")
    with TemporaryDirectory() as folder:
        config = [str(ROOT / word) if word == "config.toml" else word for word in words]
        with chdir(folder), redirect_stdout(printed):
            assert main(config) == 0, command
        pictures = {name: (Path(folder) / name).read_text() for name in sorted(drawn)}
    printed.seek(0)
    return printed.read().replace(f"{ROOT}/", ""), pictures


def commands(page: Path) -> Iterator[tuple[str, str | None]]:
    """Every command of a page, and the block after it, if there is one."""
    for found in _COMMAND.finditer(page.read_text()):
        if "--trace" not in found["command"]:  # a file of the reader's own
            yield found["command"], found["text"]


def table(page: Path) -> str:
    """The table of the profiles on a page."""
    found = _PROFILES.search(page.read_text())
    assert found, f"{page} has no table of profiles"
    return found[0]


def printed_table() -> str:
    """What it should be."""
    return "\n".join(profiles.lines()) + "\n"


def _write(page: Path) -> None:
    def anew(found: re.Match[str]) -> str:
        if "--trace" in found["command"]:
            return found[0]
        text, pictures = written(found["command"])
        for name, picture in pictures.items():
            (PICTURES / name).write_text(picture)
        block = f"\n```text\n{text}```\n" if found["text"] is not None else ""
        return f"```console\n{found['command']}```\n{block}"

    changed = _COMMAND.sub(anew, page.read_text())
    page.write_text(_PROFILES.sub(lambda _: printed_table(), changed))


if __name__ == "__main__":
    for each in PAGES:
        _write(each)
