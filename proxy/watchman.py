"""A few lines of `sh` that outlive the proxy and kill what it leaves behind when it dies without a chance to clean up.

The kernel kills a server with its parent (Linux only), yet not what the server has started, such as the server behind a
shell wrapper. The watchman is told process groups over a pipe that only the proxy can write to: at its end every group
still listed is killed and, on Linux, every process that bears the mark of one of this proxy's servers.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from .process_tree import MARK, claim, disclaim

_GOODBYE_S: Final = 1.0
_SCRIPT: Final = r"""
trap '' HUP INT QUIT TERM
groups=''
while read -r word group; do
    case $word in
    +) groups="$groups $group" ;;
    -)
        kept=''
        for one in $groups; do [ "$one" = "$group" ] || kept="$kept $one"; done
        groups=$kept
        ;;
    bye) exit 0 ;;
    esac
done
for one in $groups; do kill -s KILL -- "-$one"; done
[ -r /proc/self/environ ] || exit 0
for round in 1 2 3; do
    for environ in $(grep -ls -e "$1" /proc/[0-9]*/environ); do
        pid=${environ#/proc/}
        kill -s KILL "${pid%/environ}"
    done
done
"""


class Watchman:
    """Knows which process groups must not outlive this process.

    Args:
        nonce: What the marks of this proxy's servers begin with.
    """

    def __init__(self, nonce: str) -> None:
        reading, self._pipe = os.pipe()
        self._sh = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "trio-swap-watchman", f"{MARK}={nonce}\\."],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            start_new_session=True,
        )
        os.close(reading)
        claim(self._sh.pid)
        os.set_blocking(self._pipe, False)

    def watch(self, group: int) -> None:
        """Kill this process group if we die."""
        self._say(f"+ {group}")

    def unwatch(self, group: int) -> None:
        """Nothing is left of this process group. Said before its leader is reaped, as its number may be reused then."""
        self._say(f"- {group}")

    async def dismiss(self) -> None:
        """Send the watchman away and wait for it."""
        self._say("bye")
        os.close(self._pipe)
        with trio.move_on_after(_GOODBYE_S, shield=True):
            while self._sh.poll() is None:  # noqa: ASYNC110 (the shortest of waits; no event comes from a child)
                await trio.sleep(0.001)
        self._sh.kill()
        disclaim(self._sh.pid)
        self._sh.wait()

    def _say(self, line: str) -> None:
        # Gone or stuck: the proxy's work goes on without its watchman, and the kernel still kills its servers.
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._pipe, f"{line}\n".encode())


@asynccontextmanager
async def watchman_on_duty(nonce: str) -> AsyncIterator[Watchman]:
    """A watchman as long as the block lasts; afterwards it is gone."""
    watchman = Watchman(nonce)
    try:
        yield watchman
    finally:
        await watchman.dismiss()
