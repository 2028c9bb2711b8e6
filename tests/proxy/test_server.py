"""The downstream edge over memory, in virtual time: what a connection does, and when."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from math import inf

import h11
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from proxy.asgi import AbortResponse, ASGIApp, Message, Receive, Scope, Send
from proxy.connections import _AHEAD_BYTES, _LINGER_S
from proxy.http_protocol import HEAD_LIMIT_BYTES
from proxy.server import KEEP_ALIVE_S, SEND_TIMEOUT_S, HttpServer
from tests.memory_network import (
    PIPE_BYTES,
    MemoryNetwork,
    MemoryStream,
    answer,
    echo,
    in_virtual_time,
    read_body,
    stream_pair,
)

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
OLD_GET = b"GET /x HTTP/1.0\r\n\r\n"
PORT = 80


@pytest.fixture
def network(nursery: trio.Nursery) -> MemoryNetwork:
    return MemoryNetwork(nursery)


class Waiting:
    """An app that waits for its client to go, and for whatever the test does meanwhile."""

    def __init__(self, *before: Message) -> None:
        self._before = before
        self.started = trio.Event()
        self.gone_at: float | None = None
        self.done = trio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        for message in self._before:
            await send(message)
        self.started.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone_at = trio.current_time()
        self.done.set()


def start(status: int = 200, **headers: str) -> Message:
    head = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": head}


def body(content: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def says(*messages: Message, then: Callable[[], Awaitable[None]] | None = None) -> ASGIApp:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        for message in messages:
            await send(message)
        if then is not None:
            await then()

    return app


def parse(raw: bytes, *, method: str = "GET", ended: bool = True) -> tuple[int, dict[bytes, bytes], bytes]:
    """Read an answer as strictly as h11 does. Raises h11.RemoteProtocolError when it is not whole."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    reader.receive_data(raw)
    if ended:
        reader.receive_data(b"")
    status, headers, content = 0, {}, b""
    while True:
        event = reader.next_event()
        if isinstance(event, h11.Response):
            status, headers = event.status_code, dict(event.headers)
        elif isinstance(event, h11.Data):
            content += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, headers, content
        elif event is h11.NEED_DATA:
            raise AssertionError(f"not whole yet: {raw!r}")


# Time


@in_virtual_time
async def test_an_idle_connection_is_closed_after_its_timeout(network: MemoryNetwork) -> None:
    await network.serve(PORT, echo)
    client = network.open(PORT)
    await client.send_all(GET)
    await client.receive_until(b"\r\n\r\n")
    began = trio.current_time()
    assert await client.receive_all() == b""
    assert trio.current_time() - began == pytest.approx(KEEP_ALIVE_S)


@in_virtual_time
async def test_a_head_that_trickles_in_gets_no_more_time_than_silence(network: MemoryNetwork) -> None:
    await network.serve(PORT, echo)
    client = network.open(PORT)
    began = trio.current_time()

    async def trickle() -> None:
        for byte in GET:
            await client.send_all(bytes([byte]))
            await trio.sleep(KEEP_ALIVE_S / 10)

    with pytest.raises(trio.BrokenResourceError):
        await trickle()
    assert trio.current_time() - began <= KEEP_ALIVE_S * 1.2


@in_virtual_time
async def test_a_stream_may_be_silent_for_hours(network: MemoryNetwork) -> None:
    """R41."""

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(3):
            await trio.sleep(3600)
            await send(body(b"tick "))
        await send(body(b"", more=False))

    await network.serve(PORT, slow)
    async with network.client(PORT) as client:
        began = trio.current_time()
        assert (await client.get("/")).content == b"tick tick tick "
        assert trio.current_time() - began == pytest.approx(3 * 3600)


@in_virtual_time
async def test_chunks_arrive_when_they_were_sent(network: MemoryNetwork) -> None:
    async def paced(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(4):
            await send(body(b"%d" % number))
            await trio.sleep(60)
        await send(body(b"", more=False))

    await network.serve(PORT, paced)
    began = trio.current_time()
    async with network.client(PORT) as client, client.stream("GET", "/") as response:
        arrivals = [(piece, round(trio.current_time() - began)) async for piece in response.aiter_raw()]
    assert arrivals == [(b"0", 0), (b"1", 60), (b"2", 120), (b"3", 180)]


@in_virtual_time
async def test_a_head_sent_with_an_empty_body_does_not_wait_for_the_first_chunk(network: MemoryNetwork) -> None:
    await network.serve(PORT, Waiting(start(), body(b"")))
    client = network.open(PORT)
    await client.send_all(GET)
    with trio.fail_after(1):
        assert (await client.receive_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    client.close()


@in_virtual_time
async def test_head_body_and_end_leave_in_one_send(network: MemoryNetwork) -> None:
    await network.serve(PORT, echo)
    client = network.open(PORT)
    await client.send_all(GET)
    assert parse(await client.receive_some(), ended=False)[0] == 200


# Clients that go, and clients that do not


@pytest.mark.parametrize(
    "behind", [b"", GET, GET * 3, b"POST /y HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nhalf"]
)
@pytest.mark.parametrize("before", [(), (start(), body(b"token"))])
@in_virtual_time
async def test_a_client_that_goes_is_noticed_behind_whatever_it_sent(
    network: MemoryNetwork, behind: bytes, before: tuple[Message, ...]
) -> None:
    """R50."""
    app = Waiting(*before)
    await network.serve(PORT, app)
    client = network.open(PORT)
    await client.send_all(GET + behind)
    await app.started.wait()
    left_at = trio.current_time()
    client.close()
    with trio.fail_after(60):
        await app.done.wait()
    assert app.gone_at is not None
    assert app.gone_at - left_at < 0.1


@in_virtual_time
async def test_a_client_that_goes_in_the_middle_of_its_body_is_noticed(network: MemoryNetwork) -> None:
    seen: list[str] = []

    async def reads(_scope: Scope, receive: Receive, _send: Send) -> None:
        while not seen or seen[-1] != "http.disconnect":
            seen.append((await receive())["type"])

    server = await network.serve(PORT, reads)
    client = network.open(PORT)
    await client.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
    await wait_all_tasks_blocked()
    client.close()
    server.stop(trio.current_time() + 10)
    with trio.fail_after(1):
        await server.ended.wait()
    assert seen == ["http.request", "http.disconnect"]


@in_virtual_time
async def test_a_half_closed_client_gets_its_answer(network: MemoryNetwork) -> None:
    """R55."""

    async def slow(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await trio.sleep(100)
            await send(start())
            for _ in range(3):
                await send(body(b"tick "))
                await trio.sleep(100)
            await send(body(b"", more=False))
            nursery.cancel_scope.cancel()

    await network.serve(PORT, slow)
    client = network.open(PORT)
    await client.send_all(GET)
    client.send_eof()
    status, _, content = parse(await client.receive_all())
    assert (status, content) == (200, b"tick tick tick ")


@in_virtual_time
async def test_a_half_closed_client_whose_head_is_still_held_back_gets_an_answer_in_order(
    network: MemoryNetwork,
) -> None:
    async def slow(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send(start())
        await trio.sleep(100)
        await send(body(b"late", more=False))

    await network.serve(PORT, slow)
    client = network.open(PORT)
    await client.send_all(GET)
    client.send_eof()
    assert parse(await client.receive_all())[2] == b"late"


@in_virtual_time
async def test_a_half_closed_client_gets_the_answers_of_all_it_asked(network: MemoryNetwork) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await trio.sleep(10)
        await answer(send, scope["path"].encode())

    await network.serve(PORT, app)
    client = network.open(PORT)
    await client.send_all(GET + GET.replace(b"/x", b"/y"))
    client.send_eof()
    got = await client.receive_all()
    assert got.count(b"HTTP/1.1 200") == 2
    assert got.endswith(b"/y")


@in_virtual_time
async def test_a_half_closed_client_that_goes_later_is_noticed_in_seconds(network: MemoryNetwork) -> None:
    app = Waiting()
    await network.serve(PORT, app)
    client = network.open(PORT)
    await client.send_all(GET)
    client.send_eof()
    await trio.sleep(100)
    assert app.gone_at is None
    client.close()
    await trio.sleep(10)
    assert app.gone_at is not None


@in_virtual_time
async def test_an_old_client_that_sends_its_end_has_gone(network: MemoryNetwork) -> None:
    """HTTP/1.0 has no question that it would overlook; mostly reverse proxies speak it."""
    app = Waiting()
    await network.serve(PORT, app)
    client = network.open(PORT)
    await client.send_all(OLD_GET)
    await app.started.wait()
    client.send_eof()
    with trio.fail_after(1):
        await app.done.wait()


@in_virtual_time
async def test_sending_to_a_client_that_is_gone_yields_and_does_not_raise(network: MemoryNetwork) -> None:
    """R52."""
    sends = 0

    async def stubborn(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal sends
        await send(start())
        while sends < 1000:
            await send(body(b"more"))
            sends += 1

    server = await network.serve(PORT, stubborn)
    client = network.open(PORT)
    await client.send_all(GET)
    client.close()
    turns = 0
    while sends < 1000:
        await trio.lowlevel.checkpoint()
        turns += 1
    assert turns > 100
    server.stop(trio.current_time() + 1)
    await server.ended.wait()


@in_virtual_time
async def test_the_connection_of_a_client_that_is_gone_is_closed_whatever_the_app_does(network: MemoryNetwork) -> None:
    async def deaf(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await trio.sleep_forever()

    await network.serve(PORT, deaf)
    client = network.open(PORT)
    await client.send_all(GET)
    client.close()
    await trio.sleep(1)
    assert network.accepted[0].is_closed


# Answers that are not whole


def whole_in(framing: str) -> tuple[bytes, Message]:
    match framing:
        case "chunked":
            return GET, start()
        case "content-length":
            return GET, start(content_length="10")
        case _:
            return OLD_GET, start()


@pytest.mark.parametrize("framing", ["chunked", "content-length", "close"])
@pytest.mark.parametrize("error", [AbortResponse("cut"), ValueError("a bug"), None])
@in_virtual_time
async def test_an_answer_that_breaks_off_does_not_look_whole(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture, framing: str, error: Exception | None
) -> None:
    """R57."""
    request, head = whole_in(framing)

    async def stop() -> None:
        if error is not None:
            raise error

    await network.serve(PORT, says(head, body(b"half"), then=stop))
    client = network.open(PORT)
    await client.send_all(request)
    with pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):  # noqa: PT012
        raw = await client.receive_all()
        assert b"half" in raw
        parse(raw)
    assert bool(caplog.records) == (not isinstance(error, AbortResponse))


@in_virtual_time
async def test_an_old_client_sees_a_whole_answer_end_in_good_order(network: MemoryNetwork) -> None:
    await network.serve(PORT, says(start(), body(b"whole"), body(b"", more=False)))
    client = network.open(PORT)
    await client.send_all(OLD_GET)
    assert (await client.receive_all()).endswith(b"whole")


@pytest.mark.parametrize("in_a_nursery", [False, True])
@in_virtual_time
async def test_an_app_that_fails_before_it_answers_is_answered_for(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture, *, in_a_nursery: bool
) -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        if in_a_nursery:
            async with trio.open_nursery():
                raise ValueError("a bug")
        raise ValueError("a bug")

    await network.serve(PORT, broken)
    async with network.client(PORT) as client:
        response = await client.get("/")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]
    assert "a bug" in caplog.text


@in_virtual_time
async def test_an_app_that_returns_without_an_answer_is_answered_for(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    await network.serve(PORT, says())
    async with network.client(PORT) as client:
        assert (await client.get("/")).status_code == 500
    assert "was not answered" in caplog.text


@in_virtual_time
async def test_an_app_whose_client_has_gone_owes_no_answer(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    app = Waiting()
    await network.serve(PORT, app)
    client = network.open(PORT)
    await client.send_all(GET)
    await app.started.wait()
    client.close()
    await app.done.wait()
    await wait_all_tasks_blocked()
    assert not caplog.records


@in_virtual_time
async def test_a_head_that_is_not_http_is_a_bug_that_the_client_hears_of(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    await network.serve(PORT, says(start(bad="line\r\nbreak"), body(b"", more=False)))
    async with network.client(PORT) as client:
        assert (await client.get("/")).status_code == 500
    assert "LocalProtocolError" in caplog.text


@in_virtual_time
async def test_an_abort_before_the_head_closes_without_a_word(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    async def abort() -> None:
        raise AbortResponse

    await network.serve(PORT, says(then=abort))
    client = network.open(PORT)
    await client.send_all(GET)
    assert await client.receive_all() == b""
    assert not caplog.records


@in_virtual_time
async def test_a_send_that_was_cancelled_halfway_is_finished_by_the_next(nursery: trio.Nursery) -> None:
    """Or the last words of a cut-off answer would be read as the middle of a chunk."""
    network = MemoryNetwork(nursery, capacity_bytes=100)
    cancelled = trio.Event()

    async def cut(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_full, scope)
            await send(body(b"x" * 1000))
        cancelled.set()
        await send(body(b"last words"))
        await send(body(b"", more=False))

    async def cancel_when_full(scope: trio.CancelScope) -> None:
        await wait_all_tasks_blocked()
        scope.cancel()

    await network.serve(PORT, cut)
    client = network.open(PORT)
    await client.send_all(GET)
    await cancelled.wait()
    assert parse(await client.receive_until(b"\r\n0\r\n\r\n"), ended=False)[2] == b"x" * 1000 + b"last words"


# Stopping


@in_virtual_time
async def test_stopping_closes_idle_connections_at_once_and_lets_others_finish(network: MemoryNetwork) -> None:
    free = trio.Event()

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/busy":
            await free.wait()
        await echo(scope, receive, send)

    server = await network.serve(PORT, busy)
    fresh, idle, used = network.open(PORT), network.open(PORT), network.open(PORT)
    await idle.send_all(GET)
    await idle.receive_until(b"\r\n\r\n")
    await used.send_all(GET.replace(b"/x", b"/busy"))
    await wait_all_tasks_blocked()
    began = trio.current_time()
    server.stop(began + 30)
    assert await fresh.receive_all() == b""
    assert await idle.receive_all() == b""
    assert trio.current_time() == began
    assert not server.ended.is_set()
    await trio.sleep(20)
    free.set()
    assert parse(await used.receive_all())[1][b"connection"] == b"close"
    await server.ended.wait()
    assert trio.current_time() - began == pytest.approx(20)


@in_virtual_time
async def test_a_request_behind_the_one_being_answered_is_not_begun_while_stopping(network: MemoryNetwork) -> None:
    begun: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])
        await read_body(receive)
        await send(start())
        await send(body(b"first "))
        await trio.sleep(10)
        await send(body(b"last", more=False))

    server = await network.serve(PORT, slow)
    client = network.open(PORT)
    await client.send_all(GET + GET)
    await wait_all_tasks_blocked()
    server.stop(trio.current_time() + 100)
    assert parse(await client.receive_all())[2] == b"first last"
    assert begun == ["/x"]


@in_virtual_time
async def test_a_connection_that_comes_while_stopping_is_closed(network: MemoryNetwork) -> None:
    server = await network.serve(PORT, echo)
    server.stop(trio.current_time() + 1)
    assert await network.open(PORT).receive_all() == b""


@pytest.mark.parametrize("reads_answer", [False, True])
@in_virtual_time
async def test_at_the_deadline_everything_is_closed(network: MemoryNetwork, *, reads_answer: bool) -> None:
    async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        while True:
            await send(body(b"x" * 1000))
            await trio.sleep(0.1)

    server = await network.serve(PORT, endless)
    client = network.open(PORT)
    await client.send_all(GET)
    got = b""

    async def read() -> None:
        nonlocal got
        while True:
            if not (piece := await client.receive_some()):
                break
            got += piece

    async with trio.open_nursery() as nursery:
        if reads_answer:
            nursery.start_soon(read)
        await trio.sleep(60)
        began = trio.current_time()
        server.stop(began + 30)
        await trio.sleep(1)
        server.stop(began + 10)
        await trio.sleep(1)
        server.stop(began + 100)  # a later deadline changes nothing
        await server.ended.wait()
        assert trio.current_time() - began == pytest.approx(10)
    assert not got.endswith(b"0\r\n\r\n")


@in_virtual_time
async def test_a_server_stopped_before_it_ran_ends_at_once() -> None:
    server = HttpServer(echo)
    server.stop()
    with trio.fail_after(1):
        await server.run()
    assert server.ended.is_set()


# Back-pressure and bounds


@in_virtual_time
async def test_an_app_sends_no_faster_than_its_client_reads(network: MemoryNetwork) -> None:
    """R60."""
    sent = 0

    async def flood(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(start())
        while True:
            await send(body(b"x" * 10_000))
            sent += 10_000

    await network.serve(PORT, flood)
    client = network.open(PORT)
    await client.send_all(GET)
    await trio.sleep(10)
    assert sent <= PIPE_BYTES + 10_000
    await client.receive_until(b"\r\n\r\n")
    await trio.sleep(10)
    assert sent > PIPE_BYTES
    client.close()


class Flood:
    """An app that sends for ever, until its client has gone."""

    def __init__(self) -> None:
        self.gone_at: float | None = None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, send)
            await receive()
            self.gone_at = trio.current_time()
            nursery.cancel_scope.cancel()

    @staticmethod
    async def _send(send: Send) -> None:
        await send(start())
        while True:
            await send(body(b"x" * 10_000))


@in_virtual_time
async def test_a_client_that_takes_nothing_of_its_answer_counts_as_gone_in_the_end(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    """R60: whatever it holds is wanted by others."""
    app = Flood()
    await network.serve(PORT, app)
    client = network.open(PORT)
    began = trio.current_time()
    await client.send_all(GET)
    await trio.sleep(2 * SEND_TIMEOUT_S)
    assert app.gone_at == pytest.approx(began + SEND_TIMEOUT_S)
    assert network.accepted[0].is_closed
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()
    assert [each.getMessage() for each in caplog.records] == [
        "a client took nothing of its answer for 300 s (server.send_timeout)"
    ]


@in_virtual_time
async def test_a_client_that_takes_a_little_now_and_then_may_take_hours(nursery: trio.Nursery) -> None:
    """R60: that there is room shows only when half of what is under way was taken; long before, that any was."""
    network = MemoryNetwork(nursery, room_bytes=PIPE_BYTES // 2)
    app = Flood()
    await network.serve(PORT, app)
    client = network.open(PORT)
    await client.send_all(GET)
    for _ in range(50):
        await trio.sleep(0.9 * SEND_TIMEOUT_S)
        await client.receive_some(1)
    assert app.gone_at is None
    stopped_at = trio.current_time()
    await trio.sleep(3 * SEND_TIMEOUT_S)
    assert app.gone_at is not None
    assert app.gone_at - stopped_at <= 2 * SEND_TIMEOUT_S


@in_virtual_time
async def test_a_client_may_stop_reading_for_a_day_when_there_is_no_limit(nursery: trio.Nursery) -> None:
    app = Flood()
    server = HttpServer(app, send_timeout_s=inf)
    await nursery.start(server.run)
    ours, theirs = stream_pair()
    server.attach(theirs)
    await ours.send_all(GET)
    await trio.sleep(80_000)
    assert app.gone_at is None
    server.stop()


@in_virtual_time
async def test_a_client_sends_no_faster_than_the_app_reads(network: MemoryNetwork) -> None:
    """R59."""
    free = trio.Event()
    sizes: list[int] = []

    async def lazy(_scope: Scope, receive: Receive, send: Send) -> None:
        await free.wait()
        sizes.append(len(await read_body(receive)))
        await answer(send)

    await network.serve(PORT, lazy)
    client = network.open(PORT)
    sent = 0
    total = 10_000_000

    async def upload() -> None:
        nonlocal sent
        await client.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            await client.send_all(b"x" * 100_000)
            sent += 100_000

    async with trio.open_nursery() as nursery:
        nursery.start_soon(upload)
        await trio.sleep(10)
        assert sent < 1_500_000
        free.set()
        await client.receive_until(b"\r\n\r\n")
    assert sizes == [total]


@in_virtual_time
async def test_a_client_that_asks_on_and_on_without_reading_is_not_read_for_ever(network: MemoryNetwork) -> None:
    app = Waiting()
    await network.serve(PORT, app)
    client = network.open(PORT)
    sent = 0
    with trio.move_on_after(10):
        while True:
            await client.send_all(GET)
            sent += len(GET)
    assert sent <= 2 * _AHEAD_BYTES + PIPE_BYTES + 2 * len(GET)


@in_virtual_time
async def test_an_app_that_answers_without_reading_a_large_body_is_heard(network: MemoryNetwork) -> None:
    async def refuses(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b"too large", status=413)

    await network.serve(PORT, refuses)
    client = network.open(PORT)
    with trio.move_on_after(1):
        await client.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n")
        while True:
            await client.send_all(b"x" * 100_000)
            if client.has_input():
                break
    began = trio.current_time()
    assert parse(await client.receive_all())[2] == b"too large"
    await trio.sleep(_LINGER_S + 1)
    assert network.accepted[0].is_closed
    assert trio.current_time() - began <= _LINGER_S + 1.1


@in_virtual_time
async def test_a_small_body_that_the_app_did_not_read_does_not_cost_the_connection(network: MemoryNetwork) -> None:
    async def refuses(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b"no", status=404)

    await network.serve(PORT, refuses)
    async with network.client(PORT) as client:
        assert (await client.get("/")).status_code == 404
    client_side = network.open(PORT)
    for _ in range(3):
        await client_side.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
        assert (await client_side.receive_until(b"no")).startswith(b"HTTP/1.1 404")


# The protocol


async def ask(network: MemoryNetwork, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    client = network.open(PORT)
    await client.send_all(request)
    return parse(await client.receive_all())


POST = b"POST / HTTP/1.1\r\nHost: h\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status", "says"),
    [
        (b"NONSENSE\r\n\r\n", 400, "this is not a proper HTTP/1.1 request: illegal request line: 'NONSENSE'"),
        (b"GET /\r\n\r\n", 400, "illegal request line: 'GET /'"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "illegal request line"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host: header"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400, "Found multiple Host: headers"),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, "illegal header line: 'Host : h'"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 400, "illegal header line"),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "illegal request line"),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * (HEAD_LIMIT_BYTES + 70_000),
            431,
            "the request's line and headers are larger than 64 KiB; send fewer or shorter ones",
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "illegal chunk header"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400, "illegal chunk header"),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "Only Transfer-Encoding: chunked is supported"),
        (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501, "multiple Transfer-Encoding"),
        (POST + b"Content-Length: -5\r\n\r\nhello", 400, "bad Content-Length"),
        (POST + b"Content-Length: +5\r\n\r\nhello", 400, "bad Content-Length"),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello", 400, "bad Content-Length"),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "conflicting Content-Length headers"),
        (
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n",
            400,
            "Transfer-Encoding together with Content-Length leaves the end of the body open; send one of them",
        ),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "together with HTTP/1.0"),
    ],
)
@in_virtual_time
async def test_what_is_not_http_1_is_refused(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture, request_bytes: bytes, status: int, says: str
) -> None:
    app = Waiting()
    await network.serve(PORT, app)
    client = network.open(PORT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_what_is_taken, client, request_bytes)
        refused, headers, content = parse(await client.receive_all())
        client.close()
    assert (refused, headers[b"connection"]) == (status, b"close")
    error = json.loads(content)["error"]
    assert says in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert not caplog.records


@in_virtual_time
async def test_what_no_body_may_follow_is_refused_without_one(network: MemoryNetwork) -> None:
    await network.serve(PORT, echo)
    client = network.open(PORT)
    await client.send_all(b"HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (await client.receive_all()).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\nHost: h\nConnection: close\nContent-Length: 2\n\nhi",
        POST + b"Connection: close\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        POST + b"Connection: close\r\nContent-Length: 2, 2\r\n\r\nhi",
        POST + b"Connection: close\r\nX: folded\r\n over lines\r\nContent-Length: 2\r\n\r\nhi",
        POST + b"Connection: close\r\nExpect: something-else\r\nContent-Length: 2\r\n\r\nhi",
        b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
        b"POST http://other:1/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2;name=value\r\nhi\r\n0\r\nX-T: 1\r\n\r\n",
    ],
    ids=["bare LF", "length twice", "length in a list", "folded", "other Expect", "HTTP/1.0", "absolute", "trailers"],
)
@in_virtual_time
async def test_what_is_unusual_and_clear_is_served(network: MemoryNetwork, request_bytes: bytes) -> None:
    await network.serve(PORT, echo)
    status, _, content = await ask(network, request_bytes)
    assert (status, content) == (200, b"hi")


async def send_what_is_taken(client: MemoryStream, content: bytes) -> None:
    try:
        await client.send_all(content)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@in_virtual_time
async def test_upgrades_are_ignored(network: MemoryNetwork, protocol: bytes) -> None:
    """RFC 9110, 7.8: a server may. R58."""
    await network.serve(PORT, echo)
    upgrade = b"Connection: Upgrade, close\r\nUpgrade: %s\r\nContent-Length: 2\r\n\r\nhi" % protocol
    for method in (b"POST", b"GET"):
        status, _, content = await ask(network, b"%s / HTTP/1.1\r\nHost: h\r\n%s" % (method, upgrade))
        assert (status, content) == (200, b"hi")


@in_virtual_time
async def test_a_client_that_asked_for_an_upgrade_and_goes_is_noticed(network: MemoryNetwork) -> None:
    app = Waiting(start(), body(b"token"))
    await network.serve(PORT, app)
    client = network.open(PORT)
    await client.send_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nbehind")
    await app.started.wait()
    client.close()
    with trio.fail_after(1):
        await app.done.wait()


@in_virtual_time
async def test_what_the_app_is_told_is_what_the_client_sent(network: MemoryNetwork) -> None:
    scopes: list[Scope] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    await network.serve(PORT, note)
    line = b"GET http://example.org/a%2Fb/%C3%A9?q=%20&q HTTP/1.1\r\n"
    await ask(network, line + b"Host: h\r\nX-One: 1\r\nX-ONE: 2\r\nConnection: close\r\n\r\n")
    assert scopes[0]["raw_path"] == b"/a%2Fb/%C3%A9"
    assert scopes[0]["path"] == "/a/b/é"
    assert scopes[0]["query_string"] == b"q=%20&q"
    assert [value for name, value in scopes[0]["headers"] if name == b"x-one"] == [b"1", b"2"]
    assert scopes[0]["type"] == "http"


@in_virtual_time
async def test_nothing_is_added_to_an_answer_but_its_framing(network: MemoryNetwork) -> None:
    await network.serve(PORT, says(start(x_one="1"), body(b"hi", more=False)))
    async with network.client(PORT) as client:
        assert (await client.get("/")).headers.raw == [(b"x-one", b"1"), (b"Transfer-Encoding", b"chunked")]


@in_virtual_time
async def test_a_connection_serves_requests_without_end(network: MemoryNetwork) -> None:
    await network.serve(PORT, echo)
    async with network.client(PORT) as client:
        for number in range(1500):
            assert (await client.post("/", content=b"%d" % number)).content == b"%d" % number
    assert len(network.accepted) == 1


@in_virtual_time
async def test_pipelined_requests_are_answered_in_order(network: MemoryNetwork) -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await trio.sleep(1)
        await answer(send, scope["path"].encode())

    await network.serve(PORT, app)
    client = network.open(PORT)
    await client.send_all(b"".join(GET.replace(b"/x", b"/%d" % number) for number in range(5)))
    got = await client.receive_until(b"/4")
    assert [got.index(b"/%d" % number, got.index(b"200")) for number in range(5)] == sorted(
        got.index(b"/%d" % number, got.index(b"200")) for number in range(5)
    )


@in_virtual_time
async def test_a_head_request_has_no_body(network: MemoryNetwork) -> None:
    await network.serve(PORT, echo)
    async with network.client(PORT) as client:
        assert (await client.head("/")).content == b""
        assert (await client.post("/", content=b"next")).content == b"next"


EXPECT = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


@in_virtual_time
async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_when_the_app_wants_it(
    network: MemoryNetwork,
) -> None:
    await network.serve(PORT, echo)
    client = network.open(PORT)
    await client.send_all(EXPECT)
    assert (await client.receive_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    await client.send_all(b"hello")
    assert parse(await client.receive_until(b"hello"), ended=False)[2] == b"hello"


@in_virtual_time
async def test_a_client_that_waits_to_be_asked_is_not_asked_for_a_body_that_nobody_wants(
    network: MemoryNetwork,
) -> None:
    async def refuses(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b"no", status=413)

    await network.serve(PORT, refuses)
    client = network.open(PORT)
    await client.send_all(EXPECT)
    status, headers, _ = parse(await client.receive_until(b"no"), ended=False)
    assert (status, headers[b"connection"]) == (413, b"close")


@in_virtual_time
async def test_a_failing_request_is_no_concern_of_the_next(network: MemoryNetwork) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/bad":
            raise ValueError("a bug")
        await echo(scope, receive, send)

    await network.serve(PORT, app)
    async with network.client(PORT) as client:
        assert [(await client.get(path)).status_code for path in ("/bad", "/good", "/bad")] == [500, 200, 500]
