"""How long a server is waited for, how long a connection to it is kept, and how connections end that are retired."""

from __future__ import annotations

from math import inf

import pytest
import trio
from trio.testing import MockClock

from proxy.upstream import AnswerTimedOut, ConnectFailed, Upstream
from tests.memory_network import MemoryNetwork, MemoryStream

PORT = 700
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def upstream(network: MemoryNetwork, *, answer_s: float = inf, idle_s: float = inf) -> Upstream:
    url = f"http://127.0.0.1:{PORT}"
    return Upstream(url, connect=network.connect, answer_timeout_s=answer_s, idle_timeout_s=idle_s)


async def ask(to: Upstream, body: bytes = b"") -> bytes:
    headers = [(b"host", b"h"), (b"content-length", b"%d" % len(body))]
    async with to.exchange(b"POST", b"/", headers, body) as answer:
        return b"".join([piece async for piece in answer])


class Server:
    """Reads requests no faster than it is told, and answers late."""

    def __init__(self, *, read_s: float = 0.0, think_s: float = 0.0, body_s: float = 0.0) -> None:
        self.read_s, self.think_s, self.body_s = read_s, think_s, body_s
        self.connections = 0

    async def handle(self, stream: MemoryStream) -> None:
        self.connections += 1
        while head := await stream.receive_some():
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some()
            size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            size -= len(head.partition(b"\r\n\r\n")[2])
            await trio.sleep(self.read_s)
            while size > 0:
                size -= len(await stream.receive_some())
            await trio.sleep(self.think_s)
            await stream.send_all(OK[:-2])
            await trio.sleep(self.body_s)
            await stream.send_all(OK[-2:])


async def test_the_patience_begins_when_the_request_was_sent_and_ends_with_the_head(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery)
    network.handle(PORT, Server(read_s=60, think_s=4, body_s=60).handle)
    assert await ask(upstream(network, answer_s=5), b"x" * 1_000_000) == b"ok"
    assert trio.current_time() == pytest.approx(124)


@pytest.mark.parametrize("size", [0, 1_000_000])
async def test_a_head_that_comes_too_late_ends_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock, size: int
) -> None:
    network = MemoryNetwork(nursery)
    server = Server(think_s=6)
    network.handle(PORT, server.handle)
    to = upstream(network, answer_s=5)
    with pytest.raises(AnswerTimedOut, match=r"^did not begin to answer within 5 s$"):
        await ask(to, b"x" * size)
    assert (trio.current_time(), to.connections) == (pytest.approx(5), 0)
    server.think_s = 4
    assert await ask(to) == b"ok"


@pytest.mark.parametrize(("pause_s", "connections"), [(89, 1), (91, 2)])
async def test_a_connection_that_was_unused_for_too_long_is_not_used_again(
    nursery: trio.Nursery, autojump_clock: MockClock, pause_s: float, connections: int
) -> None:
    network = MemoryNetwork(nursery)
    server = Server()
    network.handle(PORT, server.handle)
    to = upstream(network, idle_s=90)
    await ask(to)
    await trio.sleep(pause_s)
    await ask(to)
    assert (server.connections, to.connections) == (connections, 1)


async def test_a_retired_upstream_closes_each_connection_behind_its_answer(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery)
    network.handle(PORT, Server(body_s=2).handle)
    to = upstream(network)
    await ask(to)
    async with trio.open_nursery() as asking:
        asking.start_soon(ask, to)
        await trio.sleep(0.5)
        asking.start_soon(ask, to)
        await trio.sleep(0.5)
        assert to.connections == 2
        to.retire()
        await trio.sleep(1.1)
        assert to.connections == 1
    assert to.connections == 0


async def test_a_closed_upstream_takes_no_request(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    to = upstream(MemoryNetwork(nursery))
    to.close()
    with pytest.raises(ConnectFailed, match="is being stopped"):
        await ask(to)
