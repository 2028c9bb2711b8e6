"""The downstream edge on real sockets: what a kernel does that memory does not."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from proxy.asgi import AbortResponse, ASGIApp, Receive, Scope, Send
from proxy.listeners import _explain
from proxy.server import HttpServer, ListenError, address_of, close_listener, open_listeners
from proxy.streams import SocketStream
from tests.memory_network import answer, echo, read_body

from .conditions import until

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
HURRY_S = 5.0
"""What takes milliseconds is given so long on a busy machine."""


@asynccontextmanager
async def serving(app: ASGIApp, address: str = "127.0.0.1:0") -> AsyncIterator[tuple[HttpServer, str]]:
    """Serve on a real socket; the block's end stops at once."""
    listeners = open_listeners(address)
    where = address_of(listeners[0])
    async with trio.open_nursery() as nursery:
        server = HttpServer(app, listeners)
        await nursery.start(server.run)
        try:
            yield server, where
        finally:
            server.stop()


async def connect(where: str) -> trio.SocketStream:
    if where.startswith("unix:"):
        return await trio.open_unix_socket(where.removeprefix("unix:"))
    host, _, port = where.rpartition(":")
    return await trio.open_tcp_stream(host.strip("[]"), int(port))


async def receive_until(stream: trio.SocketStream, end: bytes) -> bytes:
    got = b""
    with trio.fail_after(HURRY_S):
        while end not in got:
            piece = await stream.receive_some()
            assert piece, f"it ended with {got!r}"
            got += piece
    return got


async def receive_all(stream: trio.SocketStream) -> bytes:
    got = b""
    with trio.fail_after(HURRY_S):
        while piece := await stream.receive_some():
            got += piece
    return got


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def living_tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


class Watched:
    """An app that streams a token and waits for its client to go."""

    def __init__(self, *, streams: bool = True) -> None:
        self.running = 0
        self.started = 0
        self._streams = streams

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        if self._streams:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"token", "more_body": True})
        self.started += 1
        self.running += 1
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self.running -= 1


async def flood(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})


# Clients that stop, and clients that go


async def test_a_client_that_stops_reading_does_not_hang_shutdown() -> None:
    async with serving(flood) as (server, where), await connect(where) as client:
        await client.send_all(GET)
        await receive_until(client, b"xxx")
        await trio.testing.wait_all_tasks_blocked(0.05)  # the buffers are full
        began = trio.current_time()
        server.stop(began + 0.2)
        with trio.fail_after(HURRY_S):
            await server.ended.wait()
        assert trio.current_time() - began >= 0.2


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return socket.create_connection(listener.getsockname()), listener.accept()[0]


@pytest.mark.parametrize("pair", [tcp_pair, socket.socketpair], ids=["TCP", "unix"])
async def test_what_a_client_takes_is_seen_long_before_there_is_room_again(
    pair: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    """R60: a kernel says that there is room when a good part of what it holds was taken."""
    client, ours = pair()
    stream = SocketStream(ours)
    with client:
        try:
            assert stream.untaken() == 0
            while stream.send_now(b"x" * 65536):
                pass
            full = stream.untaken()
            assert full > 0
            taken = 0
            while stream.untaken() >= full:
                taken += len(client.recv(4096))
            with trio.move_on_after(0.05) as waiting:
                await stream.wait_sendable()
            assert 0 < taken < full
            assert waiting.cancelled_caught
        finally:
            stream.close()
    with pytest.raises(trio.ClosedResourceError):
        stream.untaken()


@pytest.mark.parametrize(
    "behind",
    [
        b"",
        GET,
        GET * 100,
        b"POST /y HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 50_000,
    ],
    ids=["nothing", "a request", "many requests", "half a body"],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_disconnects_behind_whatever_was_sent_leak_no_task_and_no_descriptor(
    behind: bytes, *, streams: bool
) -> None:
    app = Watched(streams=streams)
    async with serving(app) as (_, where):
        await trio.testing.wait_all_tasks_blocked()
        tasks, files = living_tasks(), open_files()
        for number in range(20):
            client = await connect(where)
            await client.send_all(GET + behind)
            await until(lambda number=number: app.started > number)  # type: ignore[misc]
            await client.aclose()
        await until(lambda: app.running == 0)
        await until(lambda: (living_tasks(), open_files()) == (tasks, files))


async def test_clients_that_reset_leak_nothing() -> None:
    """R52."""
    app = Watched()
    async with serving(app) as (_, where):
        await trio.testing.wait_all_tasks_blocked()
        tasks, files = living_tasks(), open_files()
        for number in range(20):
            client = await connect(where)
            await client.send_all(GET)
            await until(lambda number=number: app.started > number)  # type: ignore[misc]
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await client.aclose()
        await until(lambda: (app.running, living_tasks(), open_files()) == (0, tasks, files))


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("address", ["127.0.0.1:0", "unix"])
async def test_a_client_that_half_closes_stays_and_one_that_closes_has_gone(
    tmp_path: Path, *, streams: bool, address: str
) -> None:
    """R55: a kernel announces both in the same way."""
    app = Watched(streams=streams)
    async with serving(app, f"unix:{tmp_path}/socket" if address == "unix" else address) as (_, where):
        half, whole = await connect(where), await connect(where)
        for client in (half, whole):
            await client.send_all(GET)
        await until(lambda: app.started == 2)
        await half.send_eof()
        await whole.aclose()
        await until(lambda: app.running == 1, within_s=1)
        with trio.move_on_after(0.5):
            while True:  # unread bytes would turn its close into a reset, which is easy to notice
                assert await half.receive_some()
        assert app.running == 1
        await half.aclose()
        await until(lambda: app.running == 0, within_s=10)


async def test_a_half_closed_client_gets_its_answer() -> None:
    """R55."""
    asked, free = trio.Event(), trio.Event()

    async def slow(_scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        asked.set()
        await free.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await trio.sleep(0.05)
        await send({"type": "http.response.body", "body": b" again"})

    async with serving(slow) as (_, where), await connect(where) as client:
        await client.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
        await client.send_eof()
        await asked.wait()
        await trio.sleep(0.1)  # it is asked whether it is there, as in the middle of the body
        free.set()
        got = await receive_all(client)
        last = got.rpartition(b"HTTP/1.1 200")[2]
        assert b"hello" in last
        assert b" again" in last
        assert last.endswith(b"0\r\n\r\n")


async def test_an_app_that_sends_for_ever_to_a_dead_client_holds_up_nobody() -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/x":
            await flood(scope, receive, send)
        await answer(send, b"served")

    async with serving(stubborn) as (_, where):
        client = await connect(where)
        await client.send_all(GET)
        await receive_until(client, b"xxx")
        await client.aclose()
        async with await connect(where) as other:
            await other.send_all(GET.replace(b"/x", b"/other"))
            await receive_until(other, b"served")


async def test_twenty_clients_that_leave_at_any_time_leave_nothing_behind() -> None:
    app = Watched()
    async with serving(app) as (_, where):
        await trio.testing.wait_all_tasks_blocked()
        tasks, files = living_tasks(), open_files()
        async with trio.open_nursery() as nursery:
            for number in range(20):

                async def visit(after_s: float = number * 0.0005) -> None:
                    with trio.move_on_after(after_s):
                        async with await connect(where) as client:
                            await client.send_all(GET[:20])
                            await client.send_all(GET[20:])
                            await client.receive_some()
                            await trio.sleep_forever()

                nursery.start_soon(visit)
        await until(lambda: (app.running, living_tasks(), open_files()) == (0, tasks, files))


# Answers that are not whole


async def test_half_an_answer_without_framing_ends_in_a_reset() -> None:
    """R57: HTTP/1.0 knows no other sign."""

    async def cut(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await read.wait()
        raise AbortResponse

    read = trio.Event()
    async with serving(cut) as (_, where), await connect(where) as client:
        await client.send_all(b"GET / HTTP/1.0\r\n\r\n")
        await receive_until(client, b"half")
        read.set()
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(client)


async def test_a_client_that_sends_a_large_body_hears_why_nobody_wants_it() -> None:
    """Closing with unread bytes would reset the connection, and the answer with it."""

    async def refuses(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b"too large", status=413)

    async with serving(refuses) as (_, where), await connect(where) as client:
        await client.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(20):
            await client.send_all(b"x" * 65536)
        assert (await receive_all(client)).endswith(b"too large")


# Stopping


async def test_stopping_refuses_new_connections_and_lets_a_stream_finish() -> None:
    free = trio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        await free.wait()
        await answer(send, body + b" done")

    async with serving(app) as (server, where), await connect(where) as client, await connect(where) as idle:
        await client.send_all(GET)
        await trio.testing.wait_all_tasks_blocked(0.05)
        server.stop(trio.current_time() + 60)
        assert await receive_all(idle) == b""
        with pytest.raises(OSError, match=r"connect"):
            await connect(where)
        free.set()
        assert (await receive_all(client)).endswith(b"done")
        with trio.fail_after(HURRY_S):
            await server.ended.wait()


# Addresses


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0", "0.0.0.0:0"])
async def test_an_address_is_listened_on(address: str) -> None:
    if "::" in address and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with serving(echo, address) as (_, where), await connect(where.replace("0.0.0.0", "127.0.0.1")) as client:
        await client.send_all(GET)
        assert (await receive_until(client, b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
        return True


def test_a_name_with_several_addresses_has_one_port() -> None:
    listeners = open_listeners("localhost:0")
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    for listener in listeners:
        close_listener(listener)


def test_an_address_in_use_is_named_with_what_to_do() -> None:
    (listener,) = open_listeners("127.0.0.1:0")
    address = address_of(listener)
    with pytest.raises(ListenError) as caught:
        open_listeners(address)
    close_listener(listener)
    assert str(caught.value) == f"{address} is in use by another program; stop it or pass --listen HOST:PORT"
    (again,) = open_listeners(address)
    close_listener(again)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("8080", "HOST:PORT"),
        ("localhost", "HOST:PORT"),
        (":8080", "HOST:PORT"),
        ("localhost:http", "HOST:PORT"),
        ("127.0.0.1:65536", "HOST:PORT"),
        ("::1:8080", "brackets"),
        ("192.0.2.1:8080", "not an address of this machine"),
        ("no.such.host.invalid:80", r"no host no.such.host.invalid .*; check the name, or listen on 127.0.0.1"),
        ("unix:/no/such/socket", "there is no directory /no/such; create it or listen elsewhere"),
        ("unix:/dev/null/socket", "there is no directory /dev/null; create it or listen elsewhere"),
        ("unix:/tmp/" + "x" * 200, "a path of more than about 100 bytes is too long for a socket; take a shorter one"),
    ],
)
def test_an_address_that_cannot_be_is_explained(address: str, words: str) -> None:
    with pytest.raises(ListenError, match=words) as caught:
        open_listeners(address)
    assert str(caught.value).startswith(address)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "needs more rights than this user has; pass --listen with a port from 1024 on"),
        (errno.ENOBUFS, "cannot be listened on: "),
    ],
)
def test_what_a_system_may_say_of_an_address_is_explained(number: int, words: str) -> None:
    """Root has every right, so nothing real refuses it one."""
    assert f"0.0.0.0:80 {words}" in _explain(OSError(number, os.strerror(number)), "0.0.0.0:80")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


def leave_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))


async def test_a_unix_socket_is_listened_on_and_removed(path: Path) -> None:
    async with serving(echo, f"unix:{path}") as (_, where), await connect(where) as client:
        await client.send_all(GET)
        assert (await receive_until(client, b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert not path.exists()  # noqa: ASYNC240


def test_a_unix_socket_of_a_dead_process_is_replaced(path: Path) -> None:
    leave_stale(path)
    (listener,) = open_listeners(f"unix:{path}")
    close_listener(listener)
    assert not path.exists()


def test_a_unix_socket_that_is_alive_is_left_alone(path: Path) -> None:
    (listener,) = open_listeners(f"unix:{path}")
    with pytest.raises(ListenError, match="in use"):
        open_listeners(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))
    close_listener(listener)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_what_is_no_socket_is_left_alone(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(ListenError, match="something else than a socket"):
        open_listeners(f"unix:{path}")
    assert path.exists()


def test_a_socket_of_another_kind_is_left_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(os.fspath(path))
        with pytest.raises(ListenError, match="is a socket of another kind; move it or listen elsewhere"):
            open_listeners(f"unix:{path}")
    assert path.exists()


def test_a_failure_leaves_no_listener_open(path: Path) -> None:
    files = open_files()
    for address in (f"unix:{path}/no/such/folder", "192.0.2.1:8080"):
        with pytest.raises(ListenError):
            open_listeners(address)
    assert open_files() == files
