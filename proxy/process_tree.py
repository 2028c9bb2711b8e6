"""Which processes a server consists of, and whether any of them is left.

On Linux a server is its leader with everything below it, and everything it orphaned: orphans become children of this
process (`become_subreaper`) and are known again by their session, by the mark in their environment, or because they
were seen before. A pid counts only together with its start time, so that a reused pid is never taken for the process
that had it. Elsewhere a server is its process group; what left the group is out of sight.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

MARK: Final = "TRIO_SWAP_SERVER"
"""The environment variable that names the server a process belongs to, whatever session it has moved to."""

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER: Final = 36
_PROC: Final = Path("/proc")
_claimed: Final[set[int]] = set()
"""Children that lead a session and yet are no orphans: whoever started them waits for them."""


class Tree(Protocol):
    """A leader and what it started. Made right after the leader; `forget` right before the leader is reaped."""

    def living(self) -> list[int]:
        """Freshly looked up: the pids that are neither gone nor zombies. Reaps orphans."""

    def outside_group(self, pids: Iterable[int]) -> list[int]:
        """Those of the `pids` just returned by `living` that no signal to the group reaches."""

    def forget(self) -> None:
        """The leader's pid means nothing from now on."""


def tree_of(leader: int, mark: str) -> Tree:
    """The tree of `leader`, which leads a session of its own and has `mark` as `MARK` in its environment."""
    return LinuxTree(leader, mark) if sys.platform == "linux" else GroupTree(leader)


def claim(pid: int) -> None:
    """Say that a child with a session of its own was started by us: without that it would be taken for an orphan."""
    _claimed.add(pid)


def disclaim(pid: int) -> None:
    """Say that a claimed child is about to be reaped."""
    _claimed.discard(pid)


def become_subreaper() -> None:
    """From now on whatever this process' descendants orphan becomes its child (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def dying_with_parent() -> Callable[[], None] | None:
    """What a child runs between fork and exec to have the kernel kill it when its parent *thread* ends (Linux).

    Everything is looked up before the fork: afterwards nothing is imported and only two system calls are made.
    """
    if sys.platform != "linux":
        return None
    prctl, getppid, leave, parent = _libc().prctl, os.getppid, os._exit, os.getpid()

    def ask_for_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if getppid() != parent:  # it died before the kernel was told: that signal will never come
            leave(127)

    return ask_for_death_signal


def signal_group(leader: int, signum: signal.Signals) -> None:
    """Signal a leader's process group; fine when nothing is left of it. On Linux its leader must not be reaped yet."""
    with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when only zombies are left
        os.killpg(leader, signum)


def signal_each(pids: Iterable[int], signum: signal.Signals) -> None:
    """Signal processes that were looked up just now."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def adopted() -> list[int]:
    """The living orphans that this process has inherited, from whichever server (Linux). Reaps the others."""
    return [] if sys.platform != "linux" else [stat.pid for stat in _adopted() if not _reaped(stat)]


class GroupTree:
    """Where processes cannot be listed cheaply: the process group."""

    def __init__(self, leader: int) -> None:
        self._leader: int | None = leader

    def living(self) -> list[int]:
        """The leader's pid stands for its group as long as anything of it is left, zombies included."""
        if self._leader is None:
            return []
        try:
            os.killpg(self._leader, 0)
        except (ProcessLookupError, PermissionError):
            return []
        return [self._leader]

    def outside_group(self, pids: Iterable[int]) -> list[int]:  # noqa: ARG002
        """Nothing: what has left the group is out of sight."""
        return []

    def forget(self) -> None:
        """Nothing to do."""
        self._leader = None


class LinuxTree:
    """Everything below a leader in /proc, and everything orphaned there."""

    def __init__(self, leader: int, mark: str) -> None:
        self._leader = leader
        self._mark = f"{MARK}={mark}".encode()
        self._seen: dict[int, _Stat] = {}
        claim(leader)

    def living(self) -> list[int]:
        """Walk down from the leader, then from each orphan of ours.

        In this order, and until no other orphan turns up: whoever loses its parent meanwhile becomes an orphan of ours.
        """
        found: dict[int, _Stat] = {}
        leader = _read_stat(self._leader)
        roots = [] if leader is None else [leader]
        while roots:
            found.update((stat.pid, stat) for root in roots for stat in _walk(root))
            roots = [stat for stat in _adopted() if stat.pid not in found and self._is_ours(stat)]
        self._seen = found
        return [stat.pid for stat in found.values() if not self._is_over(stat)]

    def outside_group(self, pids: Iterable[int]) -> list[int]:
        """Those that have moved to a group of their own."""
        return [pid for pid in pids if pid in self._seen and self._seen[pid].group != self._leader]

    def forget(self) -> None:
        """The leader is no child of ours any more; orphans of its tree that still live are anybody's."""
        disclaim(self._leader)
        self._seen.clear()

    def _is_ours(self, stat: _Stat) -> bool:
        seen = self._seen.get(stat.pid)
        return (
            (seen is not None and seen.start == stat.start)
            or stat.session == self._leader
            or self._mark in _environment(stat.pid)
        )

    def _is_over(self, stat: _Stat) -> bool:
        return stat.is_zombie if stat.pid == self._leader else _reaped(stat)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stat:
    pid: int
    start: int
    """Clock ticks since boot."""
    parent: int
    group: int
    session: int
    is_zombie: bool


def _read_stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # proc(5): the command in parentheses may hold anything, the rest are words; state is word 3, starttime word 22.
    words = text.rpartition(")")[2].split()
    parent, group, session = (int(word) for word in words[1:4])
    return _Stat(
        pid=pid, start=int(words[19]), parent=parent, group=group, session=session, is_zombie=words[0] in {"Z", "X"}
    )


def _walk(root: _Stat) -> Iterator[_Stat]:
    """`root` and all below it, parents first."""
    below = [root]
    while below:
        yield (parent := below.pop())
        stats = (_read_stat(pid) for pid in _children(parent.pid))
        below += [stat for stat in stats if stat is not None and stat.parent == parent.pid]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, (thread / "children").read_text().split())
    return children if _has_children_files() else _children_by_parent(pid)


def _children_by_parent(pid: int) -> list[int]:
    # A kernel without CONFIG_PROC_CHILDREN, or gVisor.
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    return [child for child in pids if (stat := _read_stat(child)) is not None and stat.parent == pid]


@functools.cache
def _has_children_files() -> bool:
    return (_PROC / "self" / "task" / str(os.getpid()) / "children").exists()


def _adopted() -> list[_Stat]:
    """Our children that we did not start. Other code's children share our session; orphans have their server's."""
    ours = os.getsid(0)
    stats = (_read_stat(pid) for pid in _children(os.getpid()) if pid not in _claimed)
    return [stat for stat in stats if stat is not None and stat.session != ours]


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or of another user
        return []


def _reaped(stat: _Stat) -> bool:
    """Whether a process below us is over; if it is a zombie child of ours, it is reaped."""
    if stat.is_zombie and stat.parent == os.getpid():
        with suppress(ChildProcessError):
            os.waitpid(stat.pid, os.WNOHANG)
    return stat.is_zombie


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
