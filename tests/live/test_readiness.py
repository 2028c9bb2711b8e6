"""A server is ready when it says so, is asked soon and often, and cannot make the asking hang."""

from __future__ import annotations

import contextlib
import itertools
import socket
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
import trio.testing

from proxy.processes import Command, open_process
from proxy.readiness import NO_CHECK, EndedWhileLoading, Readiness

Handler = Callable[[trio.SocketStream], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOADING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@contextlib.asynccontextmanager
async def serving(handler: Handler, *, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve raw connections; yields the base URL."""

    async def handle(stream: trio.SocketStream) -> None:
        try:
            async with stream:
                await handler(stream)
        except* trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, port)
        port = listeners[0].socket.getsockname()[1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
        nursery.cancel_scope.cancel()


def answering(answer: bytes) -> Handler:
    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(answer)

    return handle


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def last_answer(handler: Handler, *, within_s: float = 0.3) -> str:
    """What a server that is never ready is last said to have done."""
    async with serving(handler) as url:
        readiness = Readiness(url, "/health")
        with trio.move_on_after(within_s) as scope:
            await readiness.until_ready()
    assert scope.cancelled_caught
    return readiness.last


async def test_a_server_that_becomes_ready_is_noticed_within_tens_of_milliseconds() -> None:
    ready_at: float | None = None

    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(LOADING if ready_at is None else OK)

    async with serving(handle) as url, trio.open_nursery() as nursery:

        async def load() -> None:
            nonlocal ready_at
            await trio.sleep(0.4)
            ready_at = trio.current_time()

        nursery.start_soon(load)
        with trio.fail_after(5):
            await Readiness(url, "/health").until_ready()
        assert ready_at is not None
        assert trio.current_time() - ready_at < 0.1


async def test_a_server_that_does_not_listen_yet_is_noticed_within_tens_of_milliseconds_of_listening() -> None:
    port = free_port()
    readiness = Readiness(f"http://127.0.0.1:{port}", "/health")
    noticed_at: list[float] = []

    async def wait() -> None:
        await readiness.until_ready()
        noticed_at.append(trio.current_time())

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(0.3)
            assert readiness.last == f"nothing listens on 127.0.0.1:{port}"
            async with serving(answering(OK), port=port):
                listening_at = trio.current_time()
                while not noticed_at:
                    await trio.testing.wait_all_tasks_blocked(0.001)
    assert noticed_at[0] - listening_at < 0.1


async def test_probes_are_at_most_twenty_milliseconds_apart_in_the_beginning() -> None:
    asked_at: list[float] = []

    async def handle(stream: trio.SocketStream) -> None:
        asked_at.append(trio.current_time())
        await answering(LOADING)(stream)

    started_at = trio.current_time()
    await last_answer(handle, within_s=0.8)
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
    assert asked_at[0] - started_at < 0.1
    assert min(gaps) < 0.01
    assert statistics.median(gaps) < 0.03


@pytest.mark.parametrize("status", [b"204 No Content", b"302 Found", b"401 Unauthorized", b"404 Not Found", b"500 No"])
async def test_any_status_but_200_is_not_ready(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nLocation: /ready\r\nContent-Length: 0\r\n\r\n"
    advice = "" if status.startswith(b"5") else " (check_endpoint has to name a path that answers 200)"
    assert await last_answer(answering(answer)) == f"GET /health answered {status[:3].decode()}{advice}"


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"", b"200"])
async def test_an_answer_that_is_not_http_is_not_ready(answer: bytes) -> None:
    assert await last_answer(answering(answer)) == "GET /health answered something that is not HTTP"


async def test_an_endless_answer_that_is_not_http_is_neither_ready_nor_in_the_way() -> None:
    async def babble(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(b"x" * 65536)

    assert await last_answer(babble) == "GET /health answered something that is not HTTP"


async def test_an_endless_body_does_not_delay_readiness() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65536)

    async with serving(handle) as url:
        with trio.fail_after(5):
            await Readiness(url, "/health").until_ready()


async def test_a_server_that_accepts_and_never_answers_is_asked_again() -> None:
    """R27."""
    asked = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            await trio.sleep_forever()
        await answering(OK)(stream)

    async with serving(handle) as url:
        with trio.fail_after(5):
            await Readiness(url, "/health").until_ready()
    assert asked == 2


async def test_a_server_that_never_answers_does_not_outlast_the_callers_deadline() -> None:
    async def handle(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    started_at = trio.current_time()
    assert await last_answer(handle, within_s=0.2) == "GET /health has not been answered yet"
    assert trio.current_time() - started_at < 0.8
    assert await last_answer(handle, within_s=1.3) == "GET /health was not answered within 1 s"


async def test_the_check_none_is_ready_at_once_without_any_connection() -> None:
    readiness = Readiness(f"http://127.0.0.1:{free_port()}", NO_CHECK)
    with trio.fail_after(1):
        await readiness.until_ready()


async def test_the_endpoint_is_below_the_path_of_the_base_url() -> None:
    requests: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        requests.append(bytes(await stream.receive_some(4096)))
        await stream.send_all(OK)

    async with serving(handle) as url:
        with trio.fail_after(5):
            await Readiness(f"{url}/base/", "/health?deep=1").until_ready()
    head = requests[0].split(b"\r\n")
    assert head[0] == b"GET /base/health?deep=1 HTTP/1.1"
    assert head[1] == b"Host: " + url.removeprefix("http://").encode()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_names_and_addresses_are_both_reached(host: str) -> None:
    async with serving(answering(OK), host=host) as url:
        with trio.fail_after(5):
            await Readiness(url, "/health").until_ready()


async def test_a_server_that_does_not_speak_tls_is_not_ready_over_https() -> None:
    async with serving(answering(OK)) as url:
        readiness = Readiness(url.replace("http:", "https:"), "/health")
        with trio.move_on_after(0.5) as scope:
            await readiness.until_ready()
    assert scope.cancelled_caught
    assert "SSL" in readiness.last


async def test_a_server_that_ends_while_it_loads_is_noticed_at_once() -> None:
    """R25, R74."""
    readiness = Readiness(f"http://127.0.0.1:{free_port()}", "/health")
    async with open_process(Command(argv=("sh", "-c", "sleep 0.2; echo out of memory; exit 3")), name="m") as server:
        started_at = trio.current_time()
        with trio.fail_after(5), pytest.raises(EndedWhileLoading) as ended:
            await readiness.until_ready_or(server.exited)
        assert trio.current_time() - started_at < 0.5
        assert ended.value.status == 3
        assert server.output.tail() == ["out of memory"]


async def test_a_server_that_becomes_ready_does_not_wait_for_its_end() -> None:
    async with serving(answering(OK)) as url, open_process(Command(argv=("sleep", "1000")), name="m") as server:
        with trio.fail_after(5):
            await Readiness(url, "/health").until_ready_or(server.exited)
        assert server.status is None
