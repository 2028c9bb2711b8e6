"""What the benchmarks share: a proxy and servers as processes, what Linux tells of them, and a table of medians."""

# ruff: noqa: T201 (it prints for programs)

from __future__ import annotations

import http.client
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

GIVE_UP_S: Final = 60.0
LOOP: Final = 5_000_000
PATH: Final = "/v1/chat/completions"
_SERVER: Final = [sys.executable, "-I", "-S", str(Path(__file__).with_name("quick_server.py"))]


@contextmanager
def table() -> Iterator[None]:
    """Say what the machine is, how busy and how quick, before and after; the rows are printed between."""
    with _compiled():
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
        print(f"before: {_condition()}\n\n{'':<58}{'median':>10}   {'quartiles':>20}   {'n':>5}")
        yield
        print(f"\nafter: {_condition()}")


@contextmanager
def _compiled() -> Iterator[None]:
    """Have every process find its modules compiled, as it does where the package is installed."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        with proxy("a") as process:
            connection = process.connect()
            ask(connection, "a")
            connection.close()
        yield


def _condition() -> str:
    """Processors that others use too are slower, whoever goes first: the loop tells by how much."""
    loop_s = timed(lambda: sum(range(LOOP)))
    return f"load {os.getloadavg()[0]:.2f}, the sum of {LOOP:,} numbers in {1e3 * loop_s:.0f} ms"


def row(what: str, figures: Sequence[float], *, unit: float = 1e-3) -> None:
    """Print a median with its quartiles.

    Args:
        what: was measured, with the unit.
        figures: in seconds, or whatever `unit` is a part of.
        unit: what is printed as 1.
    """
    low, _, high = quantiles(figures, n=4)
    spread = f"{low / unit:.2f} … {high / unit:.2f}"
    print(f"{what:<58}{median(figures) / unit:>10.2f}   {spread:>20}   {len(figures):>5}")


def one(what: str, figure: float) -> None:
    """Print a single figure."""
    print(f"{what:<58}{figure:>10.2f}")


def timed(do: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    began_at = time.perf_counter()
    do()
    return time.perf_counter() - began_at


def until(condition: Callable[[], bool]) -> None:
    """Wait for other processes: look every half millisecond."""
    give_up_at = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError
        time.sleep(0.0005)


# Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A proxy or a server that takes connections."""

    port: int
    pid: int
    started_s: float
    """From its start to the first connection that was accepted."""

    def connect(self) -> http.client.HTTPConnection:
        """A connection, to be kept."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=GIVE_UP_S)

    def processor_s(self) -> float:
        """Time on a processor so far, of all threads."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e9

    def switches(self) -> int:
        """How often it has been asleep so far: each time something woke it."""
        return int(_status(self.pid)["voluntary_ctxt_switches"])

    def resident_kib(self) -> int:
        """Resident memory."""
        return int(_status(self.pid)["VmRSS"].split()[0])


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def quick(port: int | str, *, load_s: float = 0.0, stop_s: float = 0.0) -> list[str]:
    """The words of a command that starts a quick server."""
    return [*_SERVER, "--port", str(port), "--load", str(load_s), "--stop", str(stop_s)]


@contextmanager
def proxy(*models: str, load_s: float = 0.0, stop_s: float = 0.0, **keys: int) -> Iterator[Process]:
    """A proxy with quick servers.

    Args:
        models: their names.
        load_s: how long each takes to load.
        stop_s: how long each takes to stop.
        keys: further keys of each model.
    """
    port = free_port()
    command = json.dumps(quick("${PORT}", load_s=load_s, stop_s=stop_s))
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    tables = "".join(f"[models.{name}]\ncmd = {command}\n{lines}" for name in models)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.toml")
        config.write_text(f'[server]\nlisten = "127.0.0.1:{port}"\nstart_port = 20000\n{tables}')
        with _started([sys.executable, "-m", "proxy.cli", "serve", str(config)], port) as process:
            yield process


@contextmanager
def server(*, load_s: float = 0.0, stop_s: float = 0.0) -> Iterator[Process]:
    """A quick server without a proxy."""
    port = free_port()
    with _started(quick(port, load_s=load_s, stop_s=stop_s), port) as process:
        yield process


@contextmanager
def _started(command: list[str], port: int) -> Iterator[Process]:
    began_at = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _accepts(port))
            yield Process(port=port, pid=process.pid, started_s=time.perf_counter() - began_at)
        finally:
            process.terminate()
            process.wait(GIVE_UP_S)


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


# Requests


def send(connection: http.client.HTTPConnection, model: str, **keys: object) -> None:
    """Send a small request."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], **keys})
    connection.request("POST", PATH, body.encode(), {"Content-Type": "application/json"})


def ask(connection: http.client.HTTPConnection, model: str) -> None:
    """Send a small request and read its answer."""
    send(connection, model)
    _good(connection.getresponse()).read()


def first_token_s(connection: http.client.HTTPConnection, model: str) -> float:
    """Read a streamed answer; seconds to its first event."""
    began_at = time.perf_counter()
    send(connection, model, stream=True)
    response = _good(connection.getresponse())
    first = response.read1()
    taken_s = time.perf_counter() - began_at
    if first.count(b"data: ") != 1 or response.read().count(b"data: ") != 20:
        raise RuntimeError(f"not one event, and then twenty: {first!r}")
    return taken_s


def _good(response: http.client.HTTPResponse) -> http.client.HTTPResponse:
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{response.status}: {response.read()!r}")
    return response
