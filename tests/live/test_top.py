"""`trio-swap top` on a real terminal: it shows a proxy at work, and leaves the terminal as it was, however it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from .conditions import until
from .proxy_process import ANSWERED_WITHIN_S, ask, demo, running_proxy

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
_PIECE = re.compile(r"\x1b\[(\d*);?[\d;?]*([A-Za-z])|([^\x1b]+)")
"""An escape sequence with its first number and what it does, or text."""


class Terminal:
    """A pseudo-terminal with a program on it; understands as much as the program sends."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.ours, self.theirs = pty.openpty()
        self.sent = b""
        self.process: trio.Process | None = None
        self.resize(columns, rows)
        self._modes = termios.tcgetattr(self.theirs)

    @property
    def is_as_it_was(self) -> bool:
        """Its modes are, and whatever was on the screen is there again."""
        return termios.tcgetattr(self.theirs) == self._modes and self.sent.rfind(LEAVE) >= self.sent.rfind(ENTER)

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        lines: dict[int, str] = {}
        row = 1
        for number, what, text in _PIECE.findall(self.sent.decode(errors="ignore")):
            if what == "J":
                lines.clear()
            elif what == "H":
                row = int(number)
            elif what == "K":
                lines[row] = ""
            elif text:
                lines[row] = lines.get(row, "") + text
        return [lines.get(row, "") for row in range(1, max(lines, default=0) + 1)]

    def resize(self, columns: int, rows: int) -> None:
        """Do what a window does whose corner is pulled."""
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self.ours, keys)

    async def shows(self, pattern: str) -> None:
        """Wait until a line on the screen matches."""
        await until(lambda: any(re.search(pattern, line) for line in self.lines), within_s=ANSWERED_WITHIN_S)

    async def listen(self) -> None:
        """Take what the program sends."""
        while True:
            await trio.lowlevel.wait_readable(self.ours)
            self.sent += os.read(self.ours, 65536)

    async def ended(self) -> int:
        """Wait for the program's end and return its exit code."""
        assert self.process is not None
        with trio.fail_after(ANSWERED_WITHIN_S):
            return await self.process.wait()


@asynccontextmanager
async def top(url: str) -> AsyncIterator[Terminal]:
    """Run it on a terminal of its own."""
    terminal = Terminal()
    command = [sys.executable, "-m", "proxy.cli", "top", url]
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    try:
        async with trio.open_nursery() as nursery:
            terminal.process = await trio.lowlevel.open_process(
                command,
                stdin=terminal.theirs,
                stdout=terminal.theirs,
                stderr=terminal.theirs,
                env=environment,
                start_new_session=True,
                # Of its own, so that Ctrl-C goes there.
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
            nursery.start_soon(terminal.listen)
            yield terminal
            nursery.cancel_scope.cancel()
    finally:
        if terminal.process is not None and terminal.process.returncode is None:
            terminal.process.kill()
            with trio.CancelScope(shield=True):
                await terminal.process.wait()
        os.close(terminal.ours)
        os.close(terminal.theirs)


MODELS = demo("reader", load=0.3, _priority=2, _unload_delay=60) + demo("writer", _priority=1)


async def test_it_shows_a_proxy_at_work(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, MODELS) as proxy, proxy.client() as client, top(proxy.url) as terminal:
        await terminal.shows(f"^trio-swap  {re.escape(proxy.url)}  healthy")
        await ask(client, "reader")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, client, "writer")
            await terminal.shows(r"^default +debounce +reader +░+ 0/\d+ +5\ds$")
            await terminal.shows(r" writer +1 +\S+s reader must leave and is held for another 5\d\.\d s$")
            await terminal.shows(r"- → reader")
            nursery.cancel_scope.cancel()
        await terminal.shows("^nobody waits$")
        assert len(terminal.lines) == 24
        assert terminal.lines[-1] == "q quits"
        terminal.resize(50, 12)
        await until(lambda: len(terminal.lines) == 12)
        assert max(map(len, terminal.lines)) <= 50


async def test_the_terminal_is_as_it_was_however_it_ends(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, MODELS) as proxy:
        for end in (b"q", b"\x03", b"\x13q", signal.SIGTERM, signal.SIGHUP):  # Ctrl-C; Ctrl-S, and then q
            async with top(proxy.url) as terminal:
                await terminal.shows("healthy")
                assert not terminal.is_as_it_was
                if isinstance(end, bytes):
                    terminal.press(end)
                else:
                    assert terminal.process is not None
                    terminal.process.send_signal(end)
                assert await terminal.ended() == 0
                await until(lambda it=terminal: it.is_as_it_was)


async def test_a_proxy_that_is_not_there_is_told_in_a_line_and_the_terminal_is_not_touched() -> None:
    async with top("127.0.0.1:1") as terminal:
        assert await terminal.ended() == 1
        await until(lambda: b"trio-swap top URL`" in terminal.sent)
        assert terminal.sent.startswith(
            b"trio-swap: no answer from http://127.0.0.1:1: connection refused; start a proxy"
        )
        assert terminal.is_as_it_was
        assert b"\x1b" not in terminal.sent


async def test_into_a_pipe_it_writes_one_frame_and_ends(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, MODELS) as proxy:
        command = [sys.executable, "-m", "proxy.cli", "top", proxy.url]
        done = await trio.run_process(command, stdin=subprocess.DEVNULL, capture_stdout=True, capture_stderr=True)
        assert b"\x1b" not in done.stdout
        assert done.stdout.decode().splitlines()[0].startswith(f"trio-swap  {proxy.url}  healthy")
        assert done.stdout.decode().splitlines()[-1] == "nothing was loaded yet"
        assert done.stderr == b""
