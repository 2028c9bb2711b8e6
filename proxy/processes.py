"""Inference servers as processes: started, listened to, told to stop, and gone with everything they started.

* A server leads a session of its own; its output goes through one pipe that is always read and never waited for.
* On Linux the leader stays a zombie until nothing else of its tree is left: nobody else gets its pid meanwhile.
* It is started on the thread that runs Trio. The kernel kills it when that *thread* ends, and a worker thread ends
  after ten idle seconds.
* Leaving the block of `open_process` kills what is left, whatever the reason. So does the end of this process.
"""

from __future__ import annotations

import errno
import os
import secrets
import signal
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import trio

from .process_output import Output
from .process_tree import (
    MARK,
    adopted,
    become_subreaper,
    dying_with_parent,
    signal_each,
    signal_group,
    tree_of,
)
from .watchman import Watchman, watchman_on_duty

KILL_S: Final = 5.0
"""What SIGKILL has not ended by then hangs in the kernel, in a driver most likely: it is reported and left there."""
_FIRST_LOOK_S: Final = 0.001
_LONGEST_LOOK_S: Final = 0.02

_ONLY_IN_A_SHELL: Final = frozenset({"&&", "||", "|", ";", "&", ">", "<", "cd", "source", "export", "."})

_NONCE: Final = secrets.token_hex(8)
_numbers: Final = count(1)
_watchman: Final[trio.lowlevel.RunVar[Watchman | None]] = trio.lowlevel.RunVar("watchman", default=None)


class SpawnError(Exception):
    """A command could not be started: a mistake in the configuration or something missing on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a server is started and stopped."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to this process' own environment."""
    cwd: str | None = None
    stop_argv: tuple[str, ...] | None = None
    """Run instead of sending SIGTERM; `${PID}` in it is the server's pid."""


class ServerProcess:
    """One running server with everything it has started. Made by `open_process`."""

    def __init__(self, popen: subprocess.Popen[bytes], mark: str, command: Command, name: str, output: Output) -> None:
        self.pid: Final = popen.pid
        self.name: Final = name
        self.output: Final = output
        self.leftovers: tuple[int, ...] = ()
        """What could not be killed: pids, known once the server's block has been left."""
        self._popen = popen
        self._command = command
        self._tree = tree_of(popen.pid, mark)
        self._pidfd = _open_pidfd(popen.pid)
        self._status: int | None = None
        self._is_over = trio.Event()
        self._was_told_to_stop = False
        self._told: set[int] = set()

    @property
    def status(self) -> int | None:
        """How the leader ended: its exit status, or minus the signal that killed it; None as long as it runs."""
        return self._status

    async def exited(self) -> int:
        """Wait until the leader has ended, however, and return its `status`. What it wrote before is in `output`."""
        while self._status is None:
            await self._is_over.wait()
        return self._status

    async def stop(self) -> None:
        """Ask the server to end and wait until it is gone, with everything it has started.

        Waits as long as it takes: the caller's deadline is the grace. What the leader leaves behind has the same grace.
        Asked again, it only waits: many servers take a second SIGTERM for impatience.
        """
        if not self._was_told_to_stop:
            self._was_told_to_stop = True
            await self._tell_to_stop()
        await self.exited()
        await self._until_gone(self._terminate_strangers)

    async def kill(self) -> None:
        """Kill the server and everything it has started; return when they are gone, after `KILL_S` at the latest."""
        with trio.move_on_after(KILL_S, shield=True):
            await self._until_gone(self._kill_each)
        self.leftovers = tuple(self._look())
        if self.leftovers:
            self.output.add(f"trio-swap: still there {KILL_S:g} s after SIGKILL: pids {self.leftovers}")

    async def _tell_to_stop(self) -> None:
        if self._command.stop_argv is None or not await self._ran_stop_command(self._command.stop_argv):
            signal_group(self.pid, signal.SIGTERM)

    async def _ran_stop_command(self, stop_argv: tuple[str, ...]) -> bool:
        argv = tuple(word.replace("${PID}", str(self.pid)) for word in stop_argv)
        command = Command(argv=argv, env=self._command.env, cwd=self._command.cwd)
        try:
            async with open_process(command, name=f"{self.name}: cmd_stop", on_line=self.output.add) as stopping:
                status = await stopping.exited()
        except SpawnError as error:
            self.output.add(f"trio-swap: {error}; sending SIGTERM instead")
            return False
        if status != 0:
            self.output.add(f"trio-swap: cmd_stop: {describe_exit(status)}; sending SIGTERM instead")
        return status == 0

    async def _until_gone(self, do: Callable[[list[int]], None]) -> None:
        pause_s = _FIRST_LOOK_S
        while living := self._look():
            do(living)
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_LOOK_S)
        self.output.drain_now()  # what others than the leader said last

    def _terminate_strangers(self, living: list[int]) -> None:
        # While the leader lived, those with a group of their own were its business: it may have had a better way.
        strangers = set(self._tree.outside_group(living)) - self._told
        signal_each(strangers, signal.SIGTERM)
        self._told |= strangers

    def _kill_each(self, living: list[int]) -> None:
        # The group first: it also reaches what was forked since we looked.
        signal_group(self.pid, signal.SIGKILL)
        signal_each(living, signal.SIGKILL)

    def _look(self) -> list[int]:
        self._notice_exit()
        return self._tree.living()

    async def _watch_exit(self) -> None:
        if self._pidfd is not None:
            await trio.lowlevel.wait_readable(self._pidfd)
        else:
            await trio.to_thread.run_sync(self._popen.wait, abandon_on_cancel=True)
        self._notice_exit()

    def _notice_exit(self) -> None:
        if self._status is None and (status := self._peek()) is not None:
            self._status = status
            self._is_over.set()
            self.output.drain_now()

    def _peek(self) -> int | None:
        if sys.platform != "linux" or self._pidfd is None:
            return self._popen.poll()
        try:
            seen = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # somebody else reaped it
            return self._popen.wait()
        if seen is None:
            return None
        return seen.si_status if seen.si_code == os.CLD_EXITED else -seen.si_status

    def _close(self) -> None:
        if (watchman := _watchman.get()) is not None and not self.leftovers:
            watchman.unwatch(self.pid)
        self._tree.forget()
        if self._status is not None:
            self._popen.wait()
        self.output.close()
        if self._pidfd is not None:
            os.close(self._pidfd)


@asynccontextmanager
async def open_process(
    command: Command, *, name: str, on_line: Callable[[str], None] | None = None
) -> AsyncIterator[ServerProcess]:
    """Start a server; when the block is left, for whatever reason, nothing of it is left.

    Args:
        command: What to run.
        name: Whose server it is, for messages.
        on_line: Told of every line of output; must not block or raise.

    Raises:
        SpawnError: It could not be started; nothing was left behind.
    """
    server = _spawn(command, name, on_line)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server._watch_exit)  # noqa: SLF001
            nursery.start_soon(server.output.drain)
            try:
                yield server
            finally:
                await server.kill()
                nursery.cancel_scope.cancel()
    finally:
        server._close()  # noqa: SLF001


@asynccontextmanager
async def adopt_orphans() -> AsyncIterator[None]:
    """For the whole life of the proxy: orphans are reaped as they end, and nothing outlives this process.

    Inside the block a watchman kills the servers' process groups if this process dies; at its end orphans that no
    server's end took along are killed. Needs the main thread. Children that other code starts must stay in our session:
    those in another one pass for orphans.
    """
    become_subreaper()
    async with watchman_on_duty(_NONCE) as watchman, trio.open_nursery() as nursery:
        token = _watchman.set(watchman)
        await nursery.start(_reap_orphans)
        try:
            yield
        finally:
            await _kill_orphans()
            _watchman.reset(token)
            nursery.cancel_scope.cancel()


def describe_exit(status: int) -> str:
    """A leader's `status` in words: "exit status 1", "killed by SIGKILL"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-status}"


async def _reap_orphans(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    with trio.open_signal_receiver(signal.SIGCHLD) as children:
        task_status.started()
        async for _ in children:
            adopted()


async def _kill_orphans() -> None:
    with trio.move_on_after(KILL_S, shield=True):
        while orphans := adopted():
            signal_each(orphans, signal.SIGKILL)
            await trio.sleep(_FIRST_LOOK_S)


def _spawn(command: Command, name: str, on_line: Callable[[str], None] | None) -> ServerProcess:
    become_subreaper()
    mark = f"{_NONCE}.{next(_numbers)}"
    try:
        reading, writing = os.pipe()
    except OSError as error:  # too many open files
        raise SpawnError(_explain(error, command, name)) from error
    try:
        popen = _popen(command, name, mark, writing)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    if (watchman := _watchman.get()) is not None:
        watchman.watch(popen.pid)
    return ServerProcess(popen, mark, command, name, Output(reading, on_line))


def _popen(command: Command, name: str, mark: str, writing: int) -> subprocess.Popen[bytes]:
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads. What runs between fork and exec takes no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                cwd=command.cwd,
                env={**os.environ, **command.env, MARK: mark},
                start_new_session=True,
                preexec_fn=dying_with_parent(),  # noqa: PLW1509 (two system calls)
            )
        except (OSError, ValueError) as error:
            raise SpawnError(_explain(error, command, name)) from error


def _explain(error: OSError | ValueError, command: Command, name: str) -> str:
    program = command.argv[0]
    code = error.errno if isinstance(error, OSError) else None
    if command.cwd is not None and isinstance(error, OSError) and error.filename == command.cwd:
        reason, advice = os.strerror(code or 0).lower(), "create the directory or change `cwd`"
        return f"{name}: cannot start in the working directory {command.cwd!r}: {reason}; {advice}"
    match code:
        case errno.ENOENT if "=" in program:
            what, advice = "not found", "no shell runs it: variables belong into `env`"
        case errno.ENOENT if program.startswith("~"):
            what, advice = "not found", "no shell runs it: write ${env.HOME} for your own ~"
        case errno.ENOENT if not _ONLY_IN_A_SHELL.isdisjoint(command.argv):
            what, advice = "not found", 'no shell runs it: for that, cmd = ["sh", "-c", "exec ..."]'
        case errno.ENOENT if "/" in program:
            what, advice = "not found", "check the path in `cmd`, and the first line of the file if it is a script"
        case errno.ENOENT:
            what, advice = "not found on PATH", "install it, or give its full path in `cmd`"
        case errno.EACCES:
            what, advice = "not executable", "make it executable (chmod +x), or name the program that runs it"
        case errno.ENOEXEC:
            what, advice = "not a program for this machine", "a script needs a first line such as #!/bin/sh"
        case _:
            what, advice = f"not started ({error})", "check `cmd`"
    return f"{name}: the command {program!r} was {what}; {advice}"


def _open_pidfd(pid: int) -> int | None:
    if sys.platform == "linux":
        with suppress(OSError):  # Linux before 5.3, some sandboxes
            return os.pidfd_open(pid)
    return None
