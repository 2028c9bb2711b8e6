"""What the proxy costs in time: verbs, its start, a swap beyond stop and load, a request, a first token.

Run it from the project's root while nothing else is going on: `python -m tests.benchmarks.swap`, on Linux. Everything
is measured here and now, with the proxy and without it by turns, so that a busy machine disturbs both alike; the
servers do next to nothing. What counts are medians, and what they differ by.
"""

from __future__ import annotations

import argparse
import http.client
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Final

from .measuring import Process, ask, first_token_s, one, proxy, row, server, table, timed

LOAD_S: Final = 0.3
STOP_S: Final = 0.1
WARM_UP: Final = 30
"""Requests before those that count."""
CONFIG: Final = str(Path(__file__).parents[2] / "config.toml")
BLOCKS: Final = 20
"""Direct and proxied requests take turns in so many blocks."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the proxy costs in time.")
    parser.add_argument(
        "--starts", type=int, default=15, help="starts of the proxy, and of verbs, to measure (default: 15)"
    )
    parser.add_argument("--swaps", type=int, default=40, help="swaps to measure (default: 40)")
    parser.add_argument("--requests", type=int, default=1000, help="small requests to measure (default: 1000)")
    options = parser.parse_args()
    with table():
        for words in (["--version"], ["--help"], ["check", CONFIG]):
            row(f"trio-swap {words[0]}, on a processor, ms", [_verb(*words) for _ in range(options.starts)])
        _starts(options.starts)
        _swaps(options.swaps)
        with proxy("a") as proxied, server() as direct:
            _requests(direct, proxied, options.requests)


def _verb(*words: str) -> float:
    """Run a verb that needs no server; seconds on a processor."""
    command = [sys.executable, "-m", "proxy.cli", *words]
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _starts(number: int) -> None:
    walls, processor = [], []
    for _ in range(number):
        with proxy("a", "b") as process:
            walls.append(process.started_s)
            processor.append(process.processor_s())
    row("serve to the first accepted connection, ms", walls)
    row("  of it on a processor, ms", processor)


def _swaps(number: int) -> None:
    """Swap `number` times, and between swaps do by hand what each of them consists of."""
    swaps: list[float] = []
    alone: list[tuple[float, float, float]] = []
    with proxy("a", "b", load_s=LOAD_S, stop_s=STOP_S) as process:
        connection = process.connect()
        ask(connection, "b")
        for turn in range(number):
            swaps.append(timed(partial(ask, connection, "ab"[turn % 2])))
            alone.append(_server_alone())
        connection.close()
    stops, loads, services = map(list, zip(*alone, strict=True))
    row("a server alone: SIGTERM to exit, ms", stops)
    row("a server alone: start to ready, ms", loads)
    row("a server alone: the first request, ms", services)
    row("a request that needs a swap, ms", swaps)
    one("A SWAP BEYOND STOP, LOAD AND REQUEST, ms", 1e3 * (median(swaps) - sum(map(median, (stops, loads, services)))))


def _server_alone() -> tuple[float, float, float]:
    """Start a server, ask it once, stop it; return seconds to stop, to get ready, to answer."""
    with server(load_s=LOAD_S, stop_s=STOP_S) as process:
        connection = process.connect()
        service = timed(partial(ask, connection, "a"))
        connection.close()
        told_at = time.perf_counter()
    return time.perf_counter() - told_at, process.started_s, service


def _requests(direct: Process, proxied: Process, number: int) -> None:
    spent_s = proxied.processor_s()
    _compare("a small request", direct, proxied, number, lambda connection: timed(partial(ask, connection, "a")))
    one("  on a processor, per request, ms", 1e3 * (proxied.processor_s() - spent_s) / (number + WARM_UP))
    _compare("the first token of a stream", direct, proxied, number // 2, lambda it: first_token_s(it, "a"))


def _compare(
    what: str, direct: Process, proxied: Process, number: int, measure: Callable[[http.client.HTTPConnection], float]
) -> None:
    """Measure the same at a server and through the proxy by turns, on kept connections."""
    sides = [(process.connect(), list[float]()) for process in (direct, proxied)]
    for connection, _ in sides:
        for _ in range(WARM_UP):
            measure(connection)
    for _ in range(BLOCKS):
        for connection, taken in sides:
            taken += [measure(connection) for _ in range(number // BLOCKS)]
    (at_server, without), (through, with_proxy) = sides
    at_server.close()
    through.close()
    row(f"{what}, at the server, ms", without)
    row(f"{what}, through the proxy, ms", with_proxy)
    one(f"ADDED TO {what.upper()}, ms", 1e3 * (median(with_proxy) - median(without)))


if __name__ == "__main__":
    main()
