"""The upstream edge, and the whole chain, on real sockets: client -> proxy -> server."""

from __future__ import annotations

import os
import random
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio

from proxy.asgi import AbortResponse, ASGIApp, Receive, Scope, Send
from proxy.relay import Relay, Relayed
from proxy.server import HttpServer, address_of, open_listeners
from proxy.transport import plain_client
from proxy.upstream import BrokenOff, ConnectFailed, Upstream, UpstreamError
from tests.memory_network import answer, echo, read_body

from .conditions import until

HURRY_S = 5.0
"""What takes milliseconds is given so long on a busy machine."""
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKE_OFF = {"error": {"message": "the server broke off", "code": "bad_gateway"}}
Handler = Callable[[trio.SocketStream], Awaitable[None]]


@dataclass
class Chain:
    """A proxy in front of one server."""

    url: str
    upstream: Upstream
    client: httpx.AsyncClient
    relayed: list[Relayed]
    """What reached its end."""
    running: int = 0
    accepted: int = 0
    """Connections that the server took."""

    async def connect(self) -> trio.SocketStream:
        """Connect to the proxy by hand."""
        url = httpx.URL(self.url)
        return await trio.open_tcp_stream(url.host, url.port or 80)


@asynccontextmanager
async def chain(back: ASGIApp | None = None, *, by_hand: Handler | None = None) -> AsyncIterator[Chain]:
    """Serve `back`, or have each connection handled by hand, behind a proxy that does what the routes do."""
    async with trio.open_nursery() as nursery, httpx.AsyncClient(trust_env=False, timeout=HURRY_S) as client:
        servers: list[HttpServer] = []

        async def serve(app: ASGIApp) -> str:
            listeners = open_listeners("127.0.0.1:0")
            servers.append(HttpServer(app, listeners))
            await nursery.start(servers[-1].run)
            return address_of(listeners[0])

        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            it.running += 1
            try:
                await relay_while_wanted(it, scope, receive, send)
            finally:
                it.running -= 1

        if by_hand is None:
            assert back is not None
            behind = await serve(back)
        else:

            async def counted(stream: trio.SocketStream) -> None:
                it.accepted += 1
                async with stream:
                    with suppress(trio.BrokenResourceError):
                        await by_hand(stream)

            listeners = await nursery.start(trio.serve_tcp, counted, 0)
            behind = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        it = Chain("", Upstream(f"http://{behind}"), client, [])
        it.url = f"http://{await serve(front)}/v1/x"
        try:
            yield it
        finally:
            it.upstream.close()
            for server in servers:
                server.stop()
            nursery.cancel_scope.cancel()


async def relay_while_wanted(it: Chain, scope: Scope, receive: Receive, send: Send) -> None:
    job = Relay(it.upstream, scope, await read_body(receive), send)
    broken: UpstreamError | None = None
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        try:
            it.relayed.append(await job.run())
        except UpstreamError as error:
            broken = error
        if broken is not None and not job.started:
            await answer(send, str(broken).encode(), status=502)
        elif broken is not None:
            await job.cut_short(BROKE_OFF)
        nursery.cancel_scope.cancel()
    if broken is not None and job.started:
        raise AbortResponse


async def receive_head(stream: trio.SocketStream) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        piece = await stream.receive_some()
        if not piece:
            raise trio.BrokenResourceError
        got += piece
    return got


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def living_tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def test_events_arrive_one_by_one() -> None:
    """R54: the server says the next only when the client has seen the last."""
    seen = [trio.Event() for _ in range(50)]

    async def back(_scope: Scope, _receive: Receive, send: Send) -> None:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for number, event in enumerate(seen):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            await event.wait()
        await send({"type": "http.response.body", "body": b""})

    pieces: list[bytes] = []
    async with chain(back) as it, it.client.stream("POST", it.url, content=b"{}") as response:
        with trio.fail_after(HURRY_S):
            async for piece in response.aiter_raw():
                seen[len(pieces)].set()
                pieces.append(piece)
    assert pieces == [b"data: %d\n\n" % number for number in range(50)]


async def test_a_server_that_dies_in_its_answer_is_visible_to_the_client() -> None:
    """R57."""

    async def dies(stream: trio.SocketStream) -> None:
        await receive_head(stream)
        await stream.send_all(EVENTS + b"9\r\ndata: one\r\n9\r\n\n\ndata:")

    got = b""
    async with chain(by_hand=dies) as it:
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012
            async with it.client.stream("POST", it.url, content=b"{}") as response:
                async for piece in response.aiter_raw():
                    got += piece
    assert got.startswith(b"data: one\n\ndata:\n\nevent: error\ndata: {")
    assert b"broke off" in got


async def test_a_server_that_dies_before_its_answer_is_reported() -> None:
    async def dies(stream: trio.SocketStream) -> None:
        await receive_head(stream)

    async with chain(by_hand=dies) as it:
        response = await it.client.post(it.url, content=b"{}")
    assert response.status_code == 502
    assert it.accepted == 1


async def test_a_server_that_is_not_there_is_reported() -> None:
    listeners = open_listeners("127.0.0.1:0")
    address = address_of(listeners[0])
    listeners[0].close()
    with pytest.raises(ConnectFailed, match=rf"no connection to {address}: connection refused"):
        async with Upstream(f"http://{address}").exchange(b"GET", b"/", [(b"host", b"h")]):
            pass


async def test_a_connection_is_used_again() -> None:
    async def serves(stream: trio.SocketStream) -> None:
        while True:
            await receive_head(stream)
            await stream.send_all(OK)

    async with chain(by_hand=serves) as it:
        for _ in range(10):
            assert (await it.client.post(it.url)).text == "ok"
    assert it.accepted == 1


@pytest.mark.parametrize("closes", ["before the next request", "after it"])
async def test_a_stale_connection_costs_no_request(closes: str) -> None:
    """R56."""

    async def serves_one(stream: trio.SocketStream) -> None:
        await receive_head(stream)
        await stream.send_all(OK)
        if closes == "after it":
            await receive_head(stream)

    async with chain(by_hand=serves_one) as it:
        for _ in range(5):
            assert (await it.client.post(it.url)).text == "ok"
    assert it.accepted >= 3


async def test_a_server_that_answers_without_reading_is_heard() -> None:
    async def hasty(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await trio.sleep_forever()

    async with chain(by_hand=hasty) as it:
        response = await it.client.post(it.url, content=b"x" * 20_000_000)
        assert (response.status_code, response.text) == (413, "big")
        assert it.upstream.connections == 0


async def test_large_bodies_pass_both_ways() -> None:
    body = os.urandom(5_000_000)
    async with chain(echo) as it:
        assert (await it.client.post(it.url, content=body)).content == body


async def test_a_client_that_waits_for_100_continue_is_served() -> None:
    async with chain(echo) as it, await it.connect() as client:
        await client.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert (await receive_head(client)).startswith(b"HTTP/1.1 100")
        await client.send_all(b"hello")
        assert (await receive_head(client)).startswith(b"HTTP/1.1 200")


async def test_chunk_extensions_and_trailers_do_not_reach_the_client() -> None:
    async def serves(stream: trio.SocketStream) -> None:
        await receive_head(stream)
        await stream.send_all(EVENTS + b"2;a=b\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n")
        await trio.sleep_forever()

    async with chain(by_hand=serves) as it:
        response = await it.client.post(it.url)
    assert (response.text, "x-trailer" in response.headers) == ("hi", False)


@pytest.mark.parametrize("phase", ["silent", "streaming"])
async def test_a_client_that_goes_is_gone_for_the_server_too(phase: str) -> None:
    """R50."""
    asked, gone = trio.Event(), trio.Event()

    async def notices(stream: trio.SocketStream) -> None:
        await receive_head(stream)
        if phase == "streaming":
            await stream.send_all(EVENTS + b"1\r\na\r\n")
        asked.set()
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
        gone.set()

    async with chain(by_hand=notices) as it:
        with trio.move_on_after(HURRY_S) as visit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(it.client.post, it.url)
                await asked.wait()
                visit.cancel()
        began = trio.current_time()
        with trio.fail_after(HURRY_S):
            await gone.wait()
        assert trio.current_time() - began < 0.5
        await until(lambda: (it.running, it.upstream.connections) == (0, 0))


async def test_clients_that_leave_at_random_leave_nothing_behind() -> None:
    async def back(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for _ in range(10):
            await trio.sleep(0.005)
            await send({"type": "http.response.body", "body": b"data: token\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    chance = random.Random(20)
    async with chain(back) as it:
        await trio.testing.wait_all_tasks_blocked()
        tasks, files = living_tasks(), open_files()
        async with trio.open_nursery() as nursery:
            for _ in range(20):

                async def visit(stay_s: float) -> None:
                    with trio.move_on_after(stay_s):
                        async with await it.connect() as client:
                            await client.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
                            while await client.receive_some():
                                pass

                nursery.start_soon(visit, chance.uniform(0, 0.12))
        await until(lambda: it.running == 0)
        it.upstream.close()
        assert it.upstream.connections == 0
        await until(lambda: (living_tasks(), open_files()) == (tasks, files))


async def test_closing_the_connections_of_a_server_wakes_every_request() -> None:
    """Before a server is told to stop: some do not while a connection is open."""
    asked = 0

    async def silent(stream: trio.SocketStream) -> None:
        nonlocal asked
        await receive_head(stream)
        asked += 1
        await stream.receive_some()

    async with chain(by_hand=silent) as it:
        statuses: list[int] = []
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                statuses.append((await it.client.post(it.url)).status_code)

            for _ in range(10):
                nursery.start_soon(ask)
            await until(lambda: asked == 10)
            it.upstream.close()
        assert statuses == [502] * 10


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    try:
        made = subprocess.run([*command.split(), "-keyout", "-"], capture_output=True, check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no openssl here to make a certificate with")
    path.write_bytes(made.stdout)
    return path


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_server_may_speak_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool) -> None:
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    size = 1_000_000

    async def serves(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            for _ in range(2):
                got = b""
                while len(got) < size or b"\r\n\r\n" not in got:
                    piece = await stream.receive_some()
                    assert piece
                    got += piece
                body = got.partition(b"\r\n\r\n")[2]
                while len(body) < size:
                    body += await stream.receive_some()
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body)

    body = os.urandom(size)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_ssl_over_tcp, serves, 0, theirs)
        upstream = Upstream(f"https://127.0.0.1:{listeners[0].transport_listener.socket.getsockname()[1]}/")
        async with plain_client(upstream) as client:
            if is_trusted:
                for _ in range(2):
                    assert (await client.post("https://127.0.0.1/", content=body)).content == body
            else:
                with pytest.raises(httpx.ConnectError, match="certificate"):
                    await client.post("https://127.0.0.1/", content=body)
        upstream.close()
        nursery.cancel_scope.cancel()


async def test_a_request_that_was_answered_halfway_is_told_from_one_that_was_not() -> None:
    async def half(stream: trio.SocketStream) -> None:
        await receive_head(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    async with chain(by_hand=half) as it:
        with pytest.raises(BrokenOff) as caught:  # noqa: PT012
            async with it.upstream.exchange(b"GET", b"/", [(b"host", b"h")]) as part:
                assert await anext(part) == b"half"
                await anext(part)
        assert caught.value.after_head
