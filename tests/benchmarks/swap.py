"""What the proxy costs: a swap beyond the servers' own stop and load, a small request, its start, its memory.

Run it from the project's root while nothing else is going on: `python -m tests.benchmarks.swap`. Everything is measured
here and now with demo models, with and without the proxy in turn, so that a busy machine disturbs both alike; what
counts are medians, with the quartiles behind them.
"""

# ruff: noqa: T201 (it is a program)

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Final

LOAD_S: Final = 0.3
STOP_S: Final = 0.1
WARM_UP: Final = 30
"""Requests before those that count."""
GIVE_UP_S: Final = 30.0
BLOCKS: Final = 10
"""Direct and proxied requests take turns in so many blocks."""

_DEMO: Final = [sys.executable, "-m", "proxy.cli", "demo-model"]
_PATH: Final = "/v1/chat/completions"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the proxy costs, measured with demo models.")
    parser.add_argument("--swaps", type=int, default=40, help="swaps to measure (default: 40)")
    parser.add_argument("--requests", type=int, default=1000, help="small requests to measure (default: 1000)")
    parser.add_argument("--starts", type=int, default=9, help="starts of the proxy to measure (default: 9)")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} before\n")
    starts = [_start_s() for _ in range(options.starts)]
    with _proxy() as (port, pid):
        rss_idle = _rss_mib(pid)
        swaps, stops, loads, served = _swaps(port, options.swaps)
        direct, proxied = _requests(port, options.requests)
        rss_used = _rss_mib(pid)
    own = median(stops) + median(loads) + median(served)
    print(f"{'':<44}{'median':>10}   {'quartiles':>16}   {'n':>5}")
    _row("a server alone: SIGTERM to exit, ms", stops)
    _row("a server alone: start to ready, ms", loads)
    _row("a server alone: one small request, ms", served)
    _row("a request that needs a swap, ms", swaps)
    print(f"{'swap overhead (difference of medians), ms':<44}{1e3 * (median(swaps) - own):>10.2f}\n")
    _row("small request, kept connection, direct, ms", direct)
    _row("small request, kept connection, proxied, ms", proxied)
    print(f"{'added latency (difference of medians), ms':<44}{1e3 * (median(proxied) - median(direct)):>10.2f}\n")
    _row("serve to first accepted connection, ms", starts)
    print(f"{'memory of the idle proxy (RSS), MiB':<44}{rss_idle:>10.1f}")
    print(f"{'memory after all this (RSS), MiB':<44}{rss_used:>10.1f}")
    print(f"\nload {os.getloadavg()[0]:.2f} after")
    return 0


def _row(what: str, seconds: list[float]) -> None:
    low, _, high = quantiles(seconds, n=4)
    spread = f"{1e3 * low:.2f} … {1e3 * high:.2f}"
    print(f"{what:<44}{1e3 * median(seconds):>10.2f}   {spread:>16}   {len(seconds):>5}")


def _swaps(port: int, number: int) -> tuple[list[float], list[float], list[float], list[float]]:
    """Swap `number` times, and between swaps do by hand what each of them consists of."""
    swaps: list[float] = []
    stops: list[float] = []
    loads: list[float] = []
    served: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
    _ask(connection, "b")
    for turn in range(number):
        swaps.append(_timed(partial(_ask, connection, "ab"[turn % 2])))
        stop, load, service = _server_alone()
        stops.append(stop)
        loads.append(load)
        served.append(service)
    connection.close()
    return swaps, stops, loads, served


def _server_alone() -> tuple[float, float, float]:
    """Start a server, ask it once, stop it; return seconds to stop, to get ready, to answer."""
    port = _free_port()
    command = [*_DEMO, "--name", "a", "--port", str(port), "--load", str(LOAD_S), "--stop", str(STOP_S)]
    started_at = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        _until(lambda: _is_ready(port))
        load = time.perf_counter() - started_at
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
        service = _timed(partial(_ask, connection, "a"))
        connection.close()
        told_at = time.perf_counter()
        server.terminate()
        _until(lambda: server.poll() is not None)
        return time.perf_counter() - told_at, load, service


def _requests(port: int, number: int) -> tuple[list[float], list[float]]:
    """Ask a loaded model, directly and through the proxy by turns, on kept connections."""
    direct: list[float] = []
    proxied: list[float] = []
    own_port = _free_port()
    command = [*_DEMO, "--name", "a", "--port", str(own_port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        _until(lambda: _is_ready(own_port))
        sides = [
            (http.client.HTTPConnection("127.0.0.1", where, timeout=GIVE_UP_S), times)
            for where, times in ((own_port, direct), (port, proxied))
        ]
        for connection, _ in sides:
            for _ in range(WARM_UP):
                _ask(connection, "a")
        for _ in range(BLOCKS):
            for connection, times in sides:
                times += [_timed(partial(_ask, connection, "a")) for _ in range(number // BLOCKS)]
        for connection, _ in sides:
            connection.close()
        server.terminate()
    return direct, proxied


def _start_s() -> float:
    with _serving() as (port, _, seconds):
        assert port
        return seconds


@contextmanager
def _proxy() -> Iterator[tuple[int, int]]:
    with _serving() as (port, process, _):
        yield port, process.pid


@contextmanager
def _serving() -> Iterator[tuple[int, subprocess.Popen[bytes], float]]:
    """A proxy until the block ends: its port, its process, the seconds to its first accepted connection."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.toml")
        config.write_text(_config(port))
        started_at = time.perf_counter()
        command = [sys.executable, "-m", "proxy.cli", "serve", str(config)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _until(lambda: _accepts(port))
                yield port, process, time.perf_counter() - started_at
            finally:
                process.terminate()


def _config(port: int) -> str:
    command = [*_DEMO, "--name", "${MODEL_ID}", "--port", "${PORT}", "--load", str(LOAD_S), "--stop", str(STOP_S)]
    models = "".join(f"[models.{name}]\ncmd = {json.dumps(command)}\n" for name in "ab")
    return f'[server]\nlisten = "127.0.0.1:{port}"\nstart_port = 20000\n{models}'


def _ask(connection: http.client.HTTPConnection, model: str) -> None:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]})
    connection.request("POST", _PATH, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = json.loads(response.read())
    if response.status != http.HTTPStatus.OK or content["model"] != model:
        raise RuntimeError(f"{response.status}: {content}")


def _timed(do: Callable[[], object]) -> float:
    began_at = time.perf_counter()
    do()
    return time.perf_counter() - began_at


def _until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError
        time.sleep(0.0005)


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _is_ready(port: int) -> bool:
    if not _accepts(port):
        return False
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
    connection.request("GET", "/health")
    status = connection.getresponse().status
    connection.close()
    return status == http.HTTPStatus.OK


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _rss_mib(pid: int) -> float:
    """Resident memory, as Linux and macOS both tell it."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    match = re.search(r"\d+", told)
    if match is None:
        raise RuntimeError(f"ps knows nothing of {pid}")
    return int(match[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
