"""Processes that stand as long as a block does, for fixtures of a whole module, which cannot wait on Trio."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.live.proxy_process import ENDED_WITHIN_S, STARTED_WITHIN_S

_LISTENING = re.compile(r"listening on (http://\S+)")


@contextmanager
def standing(command: Sequence[str], log: Path) -> Iterator[str]:
    """Run what says in its log that it is "listening on" an address; the address. It must end in good order."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield _address(process, log)
            process.terminate()
            assert process.wait(ENDED_WITHIN_S) == 0, log.read_text()
        finally:
            process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up_at = time.monotonic() + STARTED_WITHIN_S
    while (match := _LISTENING.search(log.read_text())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up_at, log.read_text()
        time.sleep(0.005)
    return match[1]
