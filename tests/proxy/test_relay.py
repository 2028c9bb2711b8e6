"""The upstream edge over memory, in virtual time: what a server is asked, and what comes of its answer."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from proxy.asgi import AbortResponse, Message, Receive, Scope, Send
from proxy.relay import LAST_WORD_S, Relay, Relayed
from proxy.transport import plain_client
from proxy.upstream import CONNECT_TIMEOUT_S, BrokenOff, ConnectFailed, Upstream, UpstreamError
from tests.memory_network import PIPE_BYTES, MemoryNetwork, MemoryStream, answer, echo, in_virtual_time, read_body

FRONT, BACK = 80, 5800
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD_END = b"\r\n\r\n"
BROKE_OFF = {"error": {"message": "the server broke off", "code": "bad_gateway"}}


@pytest.fixture
def network(nursery: trio.Nursery) -> MemoryNetwork:
    return MemoryNetwork(nursery)


class Sent:
    """Takes what the relay sends to the client."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.messages.append(message)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]

    @property
    def head(self) -> Message:
        return self.messages[0]


def scope_of(method: str = "POST", path: bytes = b"/v1/x", query: bytes = b"", *headers: tuple[bytes, bytes]) -> Scope:
    return {
        "method": method,
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "headers": [(b"host", b"proxy"), *headers],
    }


async def relay(upstream: Upstream, send: Send, scope: Scope | None = None, body: bytes = b"{}") -> Relayed:
    return await Relay(upstream, scope or scope_of(), body, send).run()


def replies(*pieces: bytes, then_close: bool = True) -> Callable[[MemoryStream], Awaitable[None]]:
    """A server that answers one request with these bytes, each piece when the last was taken."""

    async def handler(stream: MemoryStream) -> None:
        await stream.receive_until(HEAD_END)
        for piece in pieces:
            await stream.send_all(piece)
            await trio.sleep(1)
        if then_close:
            stream.close()

    return handler


def keeps_asking(seen: list[bytes], reply: bytes = OK) -> Callable[[MemoryStream], Awaitable[None]]:
    """A server that answers every request on a connection."""

    async def handler(stream: MemoryStream) -> None:
        while request := await stream.receive_some():
            seen.append(request)
            await stream.send_all(reply)
        stream.close()

    return handler


# What the server is asked


async def asked(network: MemoryNetwork, scope: Scope, body: bytes, path: str = "") -> bytes:
    seen: list[bytes] = []
    network.handle(BACK, keeps_asking(seen))
    upstream = network.upstream(BACK, path)
    await relay(upstream, Sent(), scope, body)
    upstream.close()
    return seen[0]


@in_virtual_time
async def test_a_request_goes_on_as_it_came_in_one_send(network: MemoryNetwork) -> None:
    scope = scope_of("POST", b"/v1/a%2Fb/%C3%A9", b"q=%20&q", (b"x-one", b"1"), (b"accept", b"*/*"), (b"x-one", b"2"))
    assert await asked(network, scope, b'{"model": "m"}') == (
        b"POST /v1/a%2Fb/%C3%A9?q=%20&q HTTP/1.1\r\nhost: 127.0.0.1:5800\r\nx-one: 1\r\naccept: */*\r\nx-one: 2\r\n"
        b'content-length: 14\r\n\r\n{"model": "m"}'
    )


@in_virtual_time
async def test_headers_of_the_clients_connection_stay_on_it(network: MemoryNetwork) -> None:
    dropped = ["connection: x-mine, keep-alive", "x-mine: 1", "keep-alive: 5", "te: trailers", "upgrade: h2c"]
    dropped += ["transfer-encoding: chunked", "expect: 100-continue", "content-length: 99", "proxy-authorization: k"]
    dropped += ["proxy-connection: close", "trailer: x"]
    lines = [line.encode().split(b": ") for line in [*dropped, "x-kept: 1"]]
    request = await asked(network, scope_of("POST", b"/", b"", *((name, value) for name, value in lines)), b"{}")
    assert request == b"POST / HTTP/1.1\r\nhost: 127.0.0.1:5800\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\n{}"


@in_virtual_time
async def test_a_request_without_a_body_says_so_only_where_one_is_expected(network: MemoryNetwork) -> None:
    assert await asked(network, scope_of("GET"), b"") == b"GET /v1/x HTTP/1.1\r\nhost: 127.0.0.1:5800\r\n\r\n"
    assert (await asked(network, scope_of("POST"), b"")).endswith(b"content-length: 0\r\n\r\n")


@in_virtual_time
async def test_the_path_of_the_servers_url_goes_before_the_requests(network: MemoryNetwork) -> None:
    assert (await asked(network, scope_of(), b"", "/base/")).startswith(b"POST /base/v1/x HTTP/1.1\r\n")


@in_virtual_time
async def test_headers_that_are_not_the_servers_business_are_withheld(network: MemoryNetwork) -> None:
    seen: list[bytes] = []
    network.handle(BACK, keeps_asking(seen))
    upstream = network.upstream(BACK)
    scope = scope_of("POST", b"/", b"", (b"authorization", b"Bearer key"), (b"x-kept", b"1"))
    await Relay(upstream, scope, b"", Sent(), drop_headers={b"authorization"}).run()
    assert b"authorization" not in seen[0]
    assert b"x-kept: 1" in seen[0]
    upstream.close()


@in_virtual_time
async def test_an_httpx_client_of_ours_adds_nothing(network: MemoryNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    seen: list[bytes] = []
    network.handle(BACK, keeps_asking(seen))
    upstream = network.upstream(BACK)
    async with plain_client(upstream) as client:
        assert (await client.get("http://127.0.0.1:5800/health")).text == "ok"
    assert seen == [b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:5800\r\n\r\n"]
    upstream.close()


@in_virtual_time
async def test_errors_reach_an_httpx_client_as_its_own(network: MemoryNetwork) -> None:
    async with plain_client(network.upstream(BACK)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:5800/")
        network.handle(BACK, replies(EVENTS, b"4\r\nhalf\r\n"))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("http://127.0.0.1:5800/")


# What comes of the answer


async def answered(
    network: MemoryNetwork, *pieces: bytes, method: str = "POST", then_close: bool = True
) -> tuple[Sent, Relayed]:
    network.handle(BACK, replies(*pieces, then_close=then_close))
    sent, upstream = Sent(), network.upstream(BACK)
    relayed = await relay(upstream, sent, scope_of(method), b"")
    upstream.close()
    return sent, relayed


@in_virtual_time
async def test_status_and_headers_come_back_as_they_were_sent(network: MemoryNetwork) -> None:
    sent, relayed = await answered(
        network,
        b"HTTP/1.1 307 Elsewhere\r\nLocation: /a\r\nSet-Cookie: a=1\r\nX-odd: \xe9\r\nset-cookie: b=2\r\n"
        b"Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nContent-Length: 2\r\n\r\nhi",
    )
    assert sent.head["status"] == 307
    assert sent.head["headers"] == [
        (b"Location", b"/a"),
        (b"Set-Cookie", b"a=1"),
        (b"X-odd", b"\xe9"),
        (b"set-cookie", b"b=2"),
        (b"Content-Length", b"2"),
    ]
    assert relayed == Relayed(status=307, body_bytes=2)


@in_virtual_time
async def test_a_length_that_does_not_count_is_not_passed_on(network: MemoryNetwork) -> None:
    """RFC 9112, 6.3."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent, _ = await answered(network, head, b"2\r\nhi\r\n0\r\n\r\n")
    assert (sent.head["headers"], b"".join(sent.bodies)) == ([], b"hi")


@in_virtual_time
async def test_a_compressed_body_is_not_touched(network: MemoryNetwork) -> None:
    sent, _ = await answered(
        network, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"
    )
    assert (b"Content-Encoding", b"gzip") in sent.head["headers"]
    assert b"".join(sent.bodies) == b"\x1f\x8b\x08"


@in_virtual_time
async def test_interim_answers_and_trailers_are_left_out(network: MemoryNetwork) -> None:
    sent, _ = await answered(
        network,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n",
        b"2;name=value\r\nhi\r\n0\r\nX-T: 1\r\n\r\n",
        then_close=False,
    )
    assert (sent.head["status"], sent.head["headers"]) == (200, [])
    assert b"".join(sent.bodies) == b"hi"


@in_virtual_time
@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("POST", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"),
    ],
)
async def test_an_answer_that_has_no_body_is_over_with_its_head(
    network: MemoryNetwork, method: str, head: bytes
) -> None:
    began = trio.current_time()
    sent, relayed = await answered(network, head, method=method, then_close=False)
    assert (b"".join(sent.bodies), relayed.body_bytes) == (b"", 0)
    assert sent.messages[-1]["more_body"] is False
    assert trio.current_time() == began


@in_virtual_time
async def test_event_streams_ask_to_be_passed_on_unbuffered(network: MemoryNetwork) -> None:
    """R54."""
    sent, _ = await answered(network, EVENTS, b"0\r\n\r\n")
    assert sent.head["headers"][-1] == (b"X-Accel-Buffering", b"no")
    sent, _ = await answered(network, EVENTS[:-2] + b"x-accel-buffering: yes\r\n\r\n", b"0\r\n\r\n")
    assert [value for name, value in sent.head["headers"] if name.lower() == b"x-accel-buffering"] == [b"yes"]
    sent, _ = await answered(network, OK)
    assert sent.head["headers"] == [(b"Content-Length", b"2")]


@in_virtual_time
async def test_what_comes_in_pieces_leaves_in_pieces_and_what_has_piled_up_leaves_at_once(
    network: MemoryNetwork,
) -> None:
    sent, relayed = await answered(
        network,
        EVENTS,
        b"2\r\na \r\n",
        b"2\r\nb \r\n2\r\nc \r\n2\r\nd \r\n",
        b"2\r",
        b"\ne \r\n",
        b"0\r\n\r\n",
    )
    assert sent.bodies == [b"", b"a ", b"b c d ", b"e ", b""]
    assert relayed.body_bytes == 10


@in_virtual_time
async def test_the_head_is_passed_on_before_the_first_byte_of_the_body(network: MemoryNetwork) -> None:
    network.handle(BACK, replies(EVENTS, then_close=False))
    sent, upstream, heads = Sent(), network.upstream(BACK), list[int]()
    with trio.move_on_after(100):
        await Relay(upstream, scope_of(), b"", sent, on_head=heads.append).run()
    assert [message["type"] for message in sent.messages] == ["http.response.start", "http.response.body"]
    assert heads == [200]
    upstream.close()


@in_virtual_time
async def test_a_server_is_read_no_faster_than_the_client_takes_it(network: MemoryNetwork) -> None:
    """R60."""
    written = 0

    async def flood(stream: MemoryStream) -> None:
        nonlocal written
        await stream.receive_until(HEAD_END)
        await stream.send_all(EVENTS)
        while True:
            await stream.send_all(b"400\r\n" + b"x" * 0x400 + b"\r\n")
            written += 0x400

    async def never(message: Message) -> None:
        if message.get("body"):
            await trio.sleep_forever()

    network.handle(BACK, flood)
    upstream = network.upstream(BACK)
    with trio.move_on_after(10):
        await relay(upstream, never)
    assert written < 3 * PIPE_BYTES
    assert network.accepted[0].is_lost()


# Connections


@in_virtual_time
async def test_a_connection_is_used_again_and_again(network: MemoryNetwork) -> None:
    seen: list[bytes] = []
    network.handle(BACK, keeps_asking(seen))
    upstream = network.upstream(BACK)
    for _ in range(20):
        await relay(upstream, Sent())
    assert (len(network.accepted), len(seen), upstream.connections) == (1, 20, 1)
    upstream.close()
    assert upstream.connections == 0


@in_virtual_time
async def test_there_are_as_many_connections_as_requests_at_once(network: MemoryNetwork) -> None:
    async def slow(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await trio.sleep(10)
        await answer(send)

    await network.serve(BACK, slow)
    upstream = network.upstream(BACK)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(relay, upstream, Sent())
    assert trio.current_time() - began < 11
    assert upstream.connections == 300
    upstream.close()


@in_virtual_time
async def test_a_connection_that_went_stale_while_idle_is_not_used(network: MemoryNetwork) -> None:
    """R56."""
    network.handle(BACK, replies(OK))
    upstream = network.upstream(BACK)
    for _ in range(3):
        await relay(upstream, Sent())
        await trio.sleep(10)
    assert len(network.accepted) == 3
    upstream.close()


@in_virtual_time
async def test_what_a_server_says_unasked_is_nobodys_answer(network: MemoryNetwork) -> None:
    async def says_good_bye(stream: MemoryStream) -> None:
        await stream.receive_some()
        await stream.send_all(OK)
        await trio.sleep(10)
        await stream.send_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        stream.close()

    network.handle(BACK, says_good_bye)
    upstream = network.upstream(BACK)
    for _ in range(2):
        assert (await relay(upstream, Sent())).status == 200
        await trio.sleep(20)
    upstream.close()


@in_virtual_time
async def test_more_than_was_announced_is_nobodys_answer(network: MemoryNetwork) -> None:
    """What follows an answer in the same breath would pass for the answer to the next request."""
    too_much = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    network.handle(BACK, keeps_asking([], too_much))
    upstream = network.upstream(BACK)
    for number in range(1, 4):
        sent = Sent()
        await relay(upstream, sent)
        assert (sent.bodies, len(network.accepted)) == ([b"ok"], number)
    assert upstream.connections == 0


@in_virtual_time
async def test_a_connection_that_goes_stale_under_the_request_is_replaced_once(network: MemoryNetwork) -> None:
    seen: list[bytes] = []

    async def one_each(stream: MemoryStream) -> None:
        seen.append(await stream.receive_some())
        await stream.send_all(OK)
        seen.append(await stream.receive_some())
        stream.close()

    network.handle(BACK, one_each)
    upstream = network.upstream(BACK)
    await relay(upstream, Sent())
    assert await relay(upstream, Sent()) == Relayed(status=200, body_bytes=2)
    assert (len(seen), len(network.accepted)) == (3, 2)
    upstream.close()


@in_virtual_time
@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 2"])
async def test_a_request_on_a_new_connection_is_sent_once(network: MemoryNetwork, part: bytes) -> None:
    network.handle(BACK, replies(part))
    sent = Sent()
    with pytest.raises(BrokenOff) as caught:
        await relay(network.upstream(BACK), sent)
    assert (caught.value.after_head, sent.messages, len(network.accepted)) == (False, [], 1)


@in_virtual_time
async def test_a_request_that_was_begun_to_be_answered_is_not_sent_again(network: MemoryNetwork) -> None:
    async def dies_the_second_time(stream: MemoryStream) -> None:
        await stream.receive_some()
        await stream.send_all(OK)
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 2")
        stream.close()

    network.handle(BACK, dies_the_second_time)
    upstream = network.upstream(BACK)
    await relay(upstream, Sent())
    with pytest.raises(BrokenOff):
        await relay(upstream, Sent())
    assert len(network.accepted) == 1


@in_virtual_time
@pytest.mark.parametrize(
    ("reply", "body", "is_reused"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"{}", False),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"{}", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", b"{}", False),
        (OK, b"{}", True),
    ],
)
async def test_a_connection_is_used_again_only_when_both_sides_are_surely_at_its_end(
    network: MemoryNetwork, reply: bytes, body: bytes, *, is_reused: bool
) -> None:
    network.handle(BACK, keeps_asking([], reply))
    upstream = network.upstream(BACK)
    for _ in range(2):
        await relay(upstream, Sent(), body=body)
    assert len(network.accepted) == (1 if is_reused else 2)
    upstream.close()


@in_virtual_time
@pytest.mark.parametrize("status", [200, 413])
async def test_a_server_that_answers_without_reading_is_heard(network: MemoryNetwork, status: int) -> None:
    async def hasty(stream: MemoryStream) -> None:
        await stream.receive_until(HEAD_END)
        await stream.send_all(b"HTTP/1.1 %d Hm\r\nContent-Length: 3\r\n\r\n" % status)
        await trio.sleep(10)
        await stream.send_all(b"big")
        await trio.sleep_forever()

    network.handle(BACK, hasty)
    upstream, sent = network.upstream(BACK), Sent()
    with trio.fail_after(20):
        await relay(upstream, sent, body=b"x" * 1_000_000)
    assert (sent.head["status"], b"".join(sent.bodies)) == (status, b"big")
    assert upstream.connections == 0


@in_virtual_time
async def test_a_large_body_arrives_whole_at_a_slow_reader(network: MemoryNetwork) -> None:
    await network.serve(BACK, echo)
    upstream, sent, body = network.upstream(BACK), Sent(), bytes(range(256)) * 10_000
    await relay(upstream, sent, body=body)
    assert b"".join(sent.bodies) == body
    await relay(upstream, sent)
    assert len(network.accepted) == 1
    upstream.close()


@in_virtual_time
async def test_a_refused_connection_is_told_from_one_that_broke_off(network: MemoryNetwork) -> None:
    with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:5800.*nobody listens"):
        await relay(network.upstream(BACK), Sent())


@in_virtual_time
async def test_a_connection_that_is_not_taken_fails_in_seconds() -> None:
    async def never(_host: str, _port: int) -> MemoryStream:
        await trio.sleep_forever()
        raise AssertionError

    began = trio.current_time()
    with pytest.raises(ConnectFailed):
        await relay(Upstream("http://127.0.0.1:1", connect=never), Sent())
    assert trio.current_time() - began == pytest.approx(CONNECT_TIMEOUT_S)


@in_virtual_time
@pytest.mark.parametrize("phase", ["connecting", "before the head", "in the body", "sending"])
async def test_closing_wakes_whoever_waits_on_the_server(network: MemoryNetwork, phase: str) -> None:
    async def silent(stream: MemoryStream) -> None:
        if phase == "in the body":
            await stream.receive_until(HEAD_END)
            await stream.send_all(EVENTS + b"1\r\na\r\n")
        await trio.sleep_forever()

    async def never(_host: str, _port: int) -> MemoryStream:
        await trio.sleep_forever()
        raise AssertionError

    network.handle(BACK, silent)
    upstream = network.upstream(BACK) if phase != "connecting" else Upstream("http://127.0.0.1:1", connect=never)
    failures: list[UpstreamError] = []

    async def ask() -> None:
        with pytest.raises(UpstreamError) as caught:
            await relay(upstream, Sent(), body=b"x" * 200_000 if phase == "sending" else b"")
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        upstream.close()
        upstream.close()
    assert trio.current_time() == began
    assert [type(failure) for failure in failures] == [ConnectFailed if phase == "connecting" else BrokenOff]
    assert all(stream.is_lost() for stream in network.accepted)
    with pytest.raises(ConnectFailed, match="being stopped"):
        await relay(upstream, Sent())


@in_virtual_time
@pytest.mark.parametrize("phase", ["before the head", "in the body"])
async def test_cancelling_a_request_closes_its_connection_at_once(network: MemoryNetwork, phase: str) -> None:
    """R50."""
    gone: list[float] = []

    async def notices(stream: MemoryStream) -> None:
        await stream.receive_until(HEAD_END)
        if phase == "in the body":
            await stream.send_all(EVENTS + b"1\r\na\r\n")
        assert await stream.receive_some() == b""
        gone.append(trio.current_time())

    network.handle(BACK, notices)
    upstream, sent = network.upstream(BACK), Sent()
    with trio.move_on_after(10) as scope:
        await relay(upstream, sent)
    assert scope.cancelled_caught
    await wait_all_tasks_blocked()
    assert gone == [trio.current_time()]
    assert upstream.connections == 0


@in_virtual_time
async def test_an_answer_that_is_left_early_leaves_nothing_open(network: MemoryNetwork) -> None:
    network.handle(BACK, replies(EVENTS + b"1\r\na\r\n1\r\nb\r\n", then_close=False))
    upstream = network.upstream(BACK)
    async with upstream.exchange(b"GET", b"/", [(b"host", b"h")]) as part:
        assert await anext(part) == b"a"
    assert upstream.connections == 0
    gc.collect()  # a generator left hanging would warn


@in_virtual_time
async def test_a_server_that_thinks_for_hours_is_waited_for(network: MemoryNetwork) -> None:
    """R41: silence is no sign of anything."""

    async def thinks(stream: MemoryStream) -> None:
        await stream.receive_until(HEAD_END)
        await trio.sleep(7200)
        await stream.send_all(EVENTS)
        await trio.sleep(7200)
        await stream.send_all(b"2\r\nhi\r\n0\r\n\r\n")

    network.handle(BACK, thinks)
    upstream, sent = network.upstream(BACK), Sent()
    await relay(upstream, sent)
    assert b"".join(sent.bodies) == b"hi"
    upstream.close()


# Answers that are not what they should be


@in_virtual_time
@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "broke off: server disconnected without sending a response"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "broke off: server disconnected without sending a response"),
        (
            b"\x00 hello\r\n\r\n",
            r"answered with what is not HTTP/1.1 (illegal status line: '\x00 hello'); does `proxy` name",
        ),
        (b"HTTP/2 200 OK\r\n\r\n", "answered with what is not HTTP/1.1 (illegal status line: 'HTTP/2 200 OK')"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "does `proxy` name the right port and scheme?"),
        (OK[:-6] + b"X: " + b"x" * 300_000, "answered with headers, or a line of them, of more than 100 KiB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", "conflicting Content-Length headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "bad Content-Length"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "Only Transfer-Encoding: chunked is supported",
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "answered with what is not"),
        (b"HTTP/1.1 000 Hm\r\n\r\n", "answered with what is not HTTP/1.1"),
    ],
)
async def test_an_answer_that_is_not_http_is_told_with_what_came(
    network: MemoryNetwork, reply: bytes, says: str
) -> None:
    network.handle(BACK, replies(reply))
    sent = Sent()
    with pytest.raises(BrokenOff) as caught:
        await relay(network.upstream(BACK), sent)
    assert says in str(caught.value)
    assert "bytearray" not in str(caught.value)
    assert sent.messages == []


@in_virtual_time
@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nwhole", 200, b"whole"),
        (b"HTTP/1.1 200 OK\r\n\r\nwhole", 200, b"whole"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok"),
        (b"HTTP/1.1 999 Hm\r\nContent-Length: 2\r\n\r\nok", 999, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", 200, b"ok"),
        (b"HTTP/1.1 307 Elsewhere\r\nLocation: http://elsewhere/\r\nContent-Length: 2\r\n\r\nok", 307, b"ok"),
    ],
    ids=["HTTP/1.0", "no length", "no reason", "bare LF", "status 999", "more than its length", "a redirect"],
)
async def test_an_answer_that_is_unusual_and_clear_is_passed_on(
    network: MemoryNetwork, reply: bytes, status: int, body: bytes
) -> None:
    sent, _ = await answered(network, reply)
    assert (sent.head["status"], b"".join(sent.bodies)) == (status, body)
    assert len(network.accepted) == 1, "it was followed"


# Answers that break off


@in_virtual_time
@pytest.mark.parametrize(
    "pieces",
    [
        (EVENTS, b"6\r\ndata: "),
        (EVENTS, b"6\r\ndata: \r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b"half"),
        (EVENTS, b"this is no chunk\r\n"),
    ],
)
async def test_a_server_that_breaks_off_in_its_answer_is_told_from_one_that_ends_it(
    network: MemoryNetwork, pieces: tuple[bytes, ...]
) -> None:
    network.handle(BACK, replies(*pieces))
    sent, upstream = Sent(), network.upstream(BACK)
    job = Relay(upstream, scope_of(), b"", sent)
    with pytest.raises(BrokenOff) as caught:
        await job.run()
    assert (caught.value.after_head, job.started) == (True, True)
    assert all(message.get("more_body", True) for message in sent.messages)
    assert upstream.connections == 0


async def run_cut_short(network: MemoryNetwork, head: bytes, *pieces: bytes, method: str = "POST") -> list[bytes]:
    """Return what the client is sent when its answer breaks off after these bytes, and the caller says so."""
    network.handle(BACK, replies(head, *pieces))
    sent = Sent()
    job = Relay(network.upstream(BACK), scope_of(method), b"", sent)
    with pytest.raises(BrokenOff):
        await job.run()
    await job.cut_short(BROKE_OFF)
    return sent.bodies


ERROR_EVENT = b'\n\nevent: error\ndata: {"error":{"message":"the server broke off","code":"bad_gateway"}}\n\n'


@in_virtual_time
async def test_an_event_stream_that_breaks_off_ends_with_an_error_event_of_its_own(network: MemoryNetwork) -> None:
    """R57: the half-written record before it is not made longer."""
    assert await run_cut_short(network, EVENTS, b"9\r\ndata: hal\r\n") == [b"", b"data: hal", ERROR_EVENT]


@in_virtual_time
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        EVENTS[:-2] + b"Content-Encoding: gzip\r\n\r\n",
    ],
)
async def test_nothing_is_written_into_an_answer_that_has_no_place_for_it(network: MemoryNetwork, head: bytes) -> None:
    assert await run_cut_short(network, head, b"4\r\nhalf\r\n") == [b"", b"half"]


@in_virtual_time
async def test_nothing_is_written_into_an_answer_whose_length_was_announced(network: MemoryNetwork) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\n"
    assert await run_cut_short(network, head, b"half") == [b"", b"half"]


@in_virtual_time
async def test_a_client_that_does_not_read_delays_the_last_words_by_a_second(network: MemoryNetwork) -> None:
    network.handle(BACK, replies(EVENTS))
    stuck = False

    async def send(_message: Message) -> None:
        if stuck:
            await trio.sleep_forever()

    job = Relay(network.upstream(BACK), scope_of(), b"", send)
    with pytest.raises(BrokenOff):
        await job.run()
    stuck = True
    began = trio.current_time()
    with trio.CancelScope(deadline=-inf):  # also when the caller has been cancelled
        await job.cut_short(BROKE_OFF)
    assert trio.current_time() - began == pytest.approx(LAST_WORD_S)


@in_virtual_time
@pytest.mark.parametrize("cause", ["the server breaks off", "the seat is cut off"])
async def test_the_whole_chain_shows_the_client_that_its_answer_is_not_whole(
    network: MemoryNetwork, cause: str
) -> None:
    """R57."""
    pieces = (EVENTS, b"9\r\ndata: one\r\n", b"2\r\n\n\n\r\n")
    network.handle(BACK, replies(*pieces, then_close=cause == "the server breaks off"))
    upstream = network.upstream(BACK)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        job = Relay(upstream, scope, await read_body(receive), send)
        with trio.move_on_after(100), suppress(UpstreamError):
            await job.run()
        await job.cut_short(BROKE_OFF)
        raise AbortResponse

    await network.serve(FRONT, front)
    got = b""
    async with network.client(FRONT) as client:
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012
            async with client.stream("POST", "/", content=b"{}") as response:
                async for piece in response.aiter_raw():
                    got += piece
    assert got == b"data: one\n\n" + ERROR_EVENT
    upstream.close()


@in_virtual_time
async def test_last_words_after_a_send_that_was_cut_off_halfway_are_still_http(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, capacity_bytes=1000)
    network.handle(BACK, replies(EVENTS, b"bb8\r\n" + b"x" * 3000 + b"\r\n", then_close=False))
    upstream = network.upstream(BACK)
    was_cut = trio.Event()

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        job = Relay(upstream, scope, await read_body(receive), send)
        with trio.move_on_after(100):
            await job.run()
        was_cut.set()
        await job.cut_short(BROKE_OFF)
        raise AbortResponse

    await network.serve(FRONT, front)
    got = b""
    async with network.client(FRONT) as client:
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012
            async with client.stream("POST", "/", content=b"{}") as response:
                await was_cut.wait()
                async for piece in response.aiter_raw():
                    got += piece
    assert got.endswith(ERROR_EVENT)
    assert got.replace(b"x", b"") == ERROR_EVENT.replace(b"x", b"")
    upstream.close()
