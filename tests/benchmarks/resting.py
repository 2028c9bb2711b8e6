"""What the proxy takes while it does nothing: memory, time on a processor, and memory for every request that waits.

Run it from the project's root: `python -m tests.benchmarks.resting`, on Linux. It takes a minute, most of it
asleep.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .measuring import Process, ask, one, proxy, send, table, until

SMALL, LARGE = 0, 65_536
"""Bytes of a request's text."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the proxy takes while it does nothing.")
    parser.add_argument("--seconds", type=float, default=20, help="to look at an idle proxy (default: 20)")
    parser.add_argument("--waiting", type=int, default=500, help="requests that wait (default: 500)")
    options = parser.parse_args()
    with table():
        with proxy("a", "b") as process:
            _memory(process, "just started")
            _idle(process, options.seconds, "nothing is loaded")
            connection = process.connect()
            ask(connection, "a")
            _memory(process, "a model is loaded")
            _idle(process, options.seconds, "a model is loaded")
            connection.close()
        for size in (SMALL, LARGE):
            _waiting(options.waiting, size)


def _memory(process: Process, when: str) -> None:
    one(f"resident, {when}, MiB", process.resident_kib() / 1024)


def _idle(process: Process, seconds: float, when: str) -> None:
    time.sleep(1)  # until what has just happened is over
    spent_s, switches = process.processor_s(), process.switches()
    time.sleep(seconds)
    one(f"on a processor, idle, {when}, ms per minute", 6e4 * (process.processor_s() - spent_s) / seconds)
    one(f"woken, idle, {when}, per minute", 60 * (process.switches() - switches) / seconds)


def _waiting(number: int, size: int) -> None:
    """One request has the only seat and keeps it; the others wait."""
    with proxy("a", concurrency=1, queue_limit=number) as process:
        with _crowd(process, 1 + number // 10, size):
            pass  # what is made once is made
        until(lambda: _waiting_now(process) == 0)
        before = process.resident_kib()
        with _crowd(process, 1 + number, size):
            each = (process.resident_kib() - before) / number - size / 1024
            one(f"a waiting request beside its body of {size // 1024} KiB, KiB", each)


@contextmanager
def _crowd(process: Process, number: int, size: int) -> Iterator[None]:
    """So many clients with a connection and a request each, until the block ends."""
    clients: list[http.client.HTTPConnection] = []
    try:
        for _ in range(number):
            clients.append(process.connect())
            send(clients[-1], "a", hold=True, text="x" * size)
        until(lambda: _waiting_now(process) == number - 1)
        yield
    finally:
        for client in clients:
            client.close()


def _waiting_now(process: Process) -> int:
    connection = process.connect()
    connection.request("GET", "/api/queue")
    told = json.loads(connection.getresponse().read())
    connection.close()
    return len(told["waiting"])


if __name__ == "__main__":
    main()
