"""What the system knows of other processes: which there are below one, and what they hold open."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a guarantee that only Linux gives")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A process as `ps` lists it."""

    pid: int
    parent: int
    command: str


def processes_below(pid: int, word: str = "") -> list[Listed]:
    """Return every process that `pid` started, directly or not, whose command has `word` in it; no zombies."""
    table = _table()
    below = {pid}
    while more := {each.pid for each in table if each.parent in below} - below:
        below |= more
    return [each for each in table if each.pid in below - {pid} and word in each.command]


def server_pid(proxy: int, name: str) -> int:
    """Return the pid of the one demo model of that name below a proxy."""
    (server,) = processes_below(proxy, f"--name {name} ")
    return server.pid


def living(pids: list[int]) -> list[int]:
    """Return those that are still there; a zombie is not."""
    there = {each.pid for each in _table()}
    return [pid for pid in pids if pid in there]


def open_files(pid: int) -> list[str]:
    """Return what a process holds open, without numbers that differ from one to the next (Linux)."""
    folder = Path(f"/proc/{pid}/fd")
    return sorted(_target(link).partition("[")[0] for link in folder.iterdir())


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def _table() -> list[Listed]:
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in listed.splitlines()]
    return [
        Listed(pid=int(row[0]), parent=int(row[1]), command=row[3])
        for row in rows
        if len(row) == 4 and not row[2].startswith("Z")
    ]
