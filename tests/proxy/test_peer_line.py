"""The line and the seats of a peer, whatever comes in whatever order."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from proxy.naming import Route
from proxy.peer import Call, Peer
from proxy.replies import Problem
from proxy.upstream import ConnectFailed
from states.settings import ModelId
from tests.memory_network import stream_pair

from .routed import peer

ROUTE = Route(model=ModelId("m"), peer="far", sent_as="m", changes=())
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["arrive", "leave", "fail", "connect", "limit", "wait", "move"]), st.integers(0, 7)),
    max_size=60,
)


class Line:
    """A peer, and everybody who has come."""

    def __init__(self, clock: MockClock) -> None:
        self.clock = clock
        self.peer = Peer(peer("far", "http://far.example", "m", concurrency=1), self.connect)
        self.here: dict[Call, AbstractContextManager[Call]] = {}
        self.waited: list[Call] = []
        """In order of arrival."""

    async def connect(self, _host: str, _port: int) -> object:
        return stream_pair()[0]

    async def arrive(self, _number: int) -> None:
        manager = self.peer.place()
        call = manager.__enter__()
        self.here[call] = manager
        if not call.settled.is_set():
            self.waited.append(call)

    async def leave(self, number: int) -> None:
        if self.here:
            call = list(self.here)[number % len(self.here)]
            self.here.pop(call).__exit__(None, None, None)
            if call in self.waited:
                self.waited.remove(call)

    async def fail(self, number: int) -> None:
        if seated := [call for call in self.here if call in self.peer._seated]:
            self.peer._failed(seated[number % len(seated)], ROUTE, ConnectFailed("refused"))

    async def connected(self, _number: int) -> None:
        (await self.peer._open("far.example", 80)).close()

    async def limit(self, number: int) -> None:
        self.peer.reconfigure(replace(self.peer.config, concurrency=number % 4))

    async def wait(self, number: int) -> None:
        self.clock.jump(number * 5.0)

    async def move(self, number: int) -> None:
        self.peer.reconfigure(replace(self.peer.config, url=f"http://far{number}.example"))

    async def do(self, operation: str, number: int) -> None:
        seated = set(self.peer._seated)
        await getattr(self, "connected" if operation == "connect" else operation)(number)
        self.check(seated)

    def check(self, seated_before: set[Call]) -> None:
        limit, seated, line = self.peer.config.concurrency, self.peer._seated, list(self.peer._line)
        assert not line or (limit and len(seated) >= limit), "somebody waits, and there is room"
        assert not limit or len(seated) <= limit or seated <= seated_before, "more were seated than may be"
        for call in self.here:
            assert (call in seated) + (call in line) + (call.refusal is not None) == 1, "one of the three"
            assert call.settled.is_set() == (call not in line)
        assert [call for call in self.waited if call in line] == line, "they do not stand as they came"
        passed = [place for place, call in enumerate(self.waited) if call.settled.is_set()]
        assert passed == list(range(len(passed))), "somebody overtook"
        assert seated <= set(self.here)
        assert self.peer.is_idle == (not seated and not line)


@settings(max_examples=200, deadline=None)
@given(operations=OPERATIONS)
def test_seats_are_kept_to_the_limit_and_nobody_waits_beside_a_free_one(operations: list[tuple[str, int]]) -> None:
    clock = MockClock()

    async def main() -> None:
        line = Line(clock)
        for operation, number in operations:
            await line.do(operation, number)
        for number in range(len(line.here)):
            await line.do("leave", number)
        assert line.peer.is_idle
        line.peer.close(Problem(status=503, code="unloaded", message="gone"))
        with line.peer.place() as call:
            assert call.refusal is not None

    trio.run(main, clock=clock)
