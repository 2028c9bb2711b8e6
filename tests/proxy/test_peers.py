"""Peers in virtual time: seats and lines, keys and headers, pauses of one that is down, circles, the proxy's end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from proxy.app import shut_down
from proxy.asgi import ASGIApp, Receive, Scope, Send
from proxy.config.routing import Filters, ProfileConfig, SelectorConfig, Timeouts
from proxy.peer import LONGEST_LINE
from tests.memory_network import answer, read_body

from .fake_fleet import PROXY_PORT, Behaviour, Stage, stage, table
from .routed import peer, profile, routed, selector

PEER_PORT = 700
URL = f"http://peer.example:{PEER_PORT}"
CHAT = "/v1/chat/completions"
Part = SelectorConfig | ProfileConfig


class Peer:
    """A peer that the test plays: it remembers who asked for what, and takes its time."""

    def __init__(self, service_s: float = 1.0) -> None:
        self.service_s = service_s
        self.heads: list[dict[bytes, bytes]] = []
        self.raw_heads: list[list[tuple[bytes, bytes]]] = []
        self.paths: list[bytes] = []
        self.bodies: list[bytes] = []
        self.at_once = 0
        self.most_at_once = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        self.raw_heads.append(list(scope["headers"]))
        self.heads.append(dict(scope["headers"]))
        self.paths.append(scope["raw_path"])
        self.bodies.append(body)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await trio.sleep(self.service_s)
        finally:
            self.at_once -= 1
        await answer(send, b"from the peer")


@asynccontextmanager
async def scene(
    folder: Path, *parts: Part, app: ASGIApp | None = None, rest: str = "", url: str = URL, **more: Any
) -> AsyncIterator[Stage]:
    """A proxy with a model `here` and a peer `far` that has `large`."""
    change = routed(peer("far", url, "large", **more), *parts)
    async with stage(folder, table("here"), {"here": Behaviour()}, rest, change=change) as it:
        if app is not None:
            await it.network.serve(PEER_PORT, app)
        yield it


async def ask(it: Stage, model: str = "large", path: str = CHAT, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with it.network.client(PROXY_PORT) as client:
        return await client.post(path, json={"model": model}, headers=named)


def error_of(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    return error


async def test_a_peer_is_asked_below_its_own_path_for_the_model_as_it_knows_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    far = Peer()
    async with scene(tmp_path, app=far.app, url=f"{URL}/api", filters=Filters(set={"n": 1}, strip=("x",))) as it:
        for name in ("large", "far/large"):
            assert (await ask(it, name)).content == b"from the peer"
        assert set(far.paths) == {b"/api/v1/chat/completions"}
        assert set(far.bodies) == {b'{"model":"large","n":1}'}
        assert far.heads[0][b"host"] == b"peer.example:700"
        assert it.fleet.loads == []


@pytest.mark.parametrize(
    ("asks", "key", "seen"),
    [
        ("", "theirs", ("Bearer theirs", "theirs")),
        ("", None, ("Bearer mine", None)),
        ("api_keys = ['mine']", "theirs", ("Bearer theirs", "theirs")),
        ("api_keys = ['mine']", None, (None, None)),
    ],
    ids=["the peer's key", "no key", "ours and the peer's", "ours only"],
)
async def test_a_clients_key_goes_to_a_peer_only_if_it_is_neither_ours_nor_replaced(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    asks: str,
    key: str | None,
    seen: tuple[str | None, str | None],
) -> None:
    far = Peer()
    async with scene(tmp_path, app=far.app, rest=f"[server]\n{asks}", api_key=key) as it:
        private = {
            "cookie": "session=1",
            "x_forwarded_for": "10.0.0.7",
            "x_forwarded_access_token": "secret",
            "forwarded": "for=10.0.0.7",
        }
        assert (await ask(it, authorization="Bearer mine", **private)).status_code == 200
        head = far.heads[0]
        given = [value.encode() for value in seen if value is not None]
        assert [value for name, value in far.raw_heads[0] if name in {b"authorization", b"x-api-key"}] == given
        assert not {name.replace("_", "-").encode() for name in private} & set(head)


async def test_no_more_than_its_concurrency_are_sent_to_a_peer_and_the_rest_waits_in_order(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    far = Peer(service_s=1.0)
    async with scene(tmp_path, app=far.app, concurrency=2) as it:
        done: list[tuple[int, float]] = []
        began = trio.current_time()

        async def client(number: int) -> None:
            assert (await ask(it)).status_code == 200
            done.append((number, round(trio.current_time() - began, 2)))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(client, number)
                await trio.testing.wait_all_tasks_blocked()
        assert far.most_at_once == 2
        assert sorted(done) == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0), (4, 3.0)]


async def test_who_leaves_the_line_or_the_seat_makes_room(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    far = Peer(service_s=5.0)
    async with scene(tmp_path, app=far.app, concurrency=1) as it, trio.open_nursery() as nursery:
        leavers = [trio.CancelScope() for _ in range(2)]

        async def leaver(scope: trio.CancelScope) -> None:
            with scope:
                await ask(it)

        for scope in leavers:
            nursery.start_soon(leaver, scope)
            await trio.testing.wait_all_tasks_blocked()
        for scope in reversed(leavers):
            scope.cancel()
        with trio.fail_after(6):
            assert (await ask(it)).status_code == 200
        assert len(far.bodies) == 2


async def test_a_line_that_is_too_long_is_refused(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with scene(tmp_path, app=Peer().app, concurrency=1) as it:
        far = it.proxy.peers._peers["far"]
        far._line.extend([None] * LONGEST_LINE)  # type: ignore[list-item]
        with far.place() as seated, far.place() as refused:
            assert seated.refusal is None
            assert refused.refusal is not None
            assert (refused.refusal.status, refused.refusal.code) == (429, "queue_full")
            far._line.clear()


async def test_a_peer_that_is_down_is_tried_after_growing_pauses_by_one_request(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with scene(tmp_path) as it:
        for pause_s in (1, 2, 4, 8, 16, 30, 30):
            response = await ask(it)
            assert (response.status_code, error_of(response)["code"]) == (502, "peer_down")
            assert "peer far cannot be reached: no connection to peer.example:700: nobody listens" in response.text
            assert response.headers["retry-after"] == str(pause_s)
            await trio.sleep(pause_s / 2)
            again = await ask(it)
            assert "it could not be connected to a moment ago" in again.text
            assert again.headers["retry-after"] == str(max(1, -(-pause_s // 2)))
            await trio.sleep(pause_s / 2)
        far = it.proxy.peers._peers["far"]
        far._failures = 100_000  # a month
        assert (await ask(it)).headers["retry-after"] == "30"
        await trio.sleep(30)
        await it.network.serve(PEER_PORT, Peer().app)
        assert (await ask(it)).status_code == 200
        assert far._failures == 0


async def nowhere(_host: str, _port: int) -> Any:
    """A connection that is never made."""
    await trio.sleep_forever()


async def test_while_one_request_tries_a_peer_nobody_waits_for_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    timeouts = Timeouts(connect_s=10)
    async with scene(tmp_path, timeouts=timeouts, concurrency=1) as it, trio.open_nursery() as nursery:
        far = it.proxy.peers._peers["far"]
        far._connect = nowhere
        codes: list[tuple[float, str]] = []
        began = trio.current_time()

        async def client() -> None:
            response = await ask(it)
            codes.append((round(trio.current_time() - began, 1), error_of(response)["code"]))

        # Before anybody knows, one connects and one waits for its seat: both hear of it at once.
        nursery.start_soon(client)
        nursery.start_soon(client)
        await trio.sleep(11.5)
        assert codes == [(10.0, "peer_down")] * 2
        nursery.start_soon(client)
        await trio.sleep(0.5)
        await client()
        assert codes[2:] == [(12.0, "peer_down")]


async def test_many_that_fail_to_connect_at_once_are_one_failure(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with scene(tmp_path) as it, trio.open_nursery() as nursery:
        far = it.proxy.peers._peers["far"]

        async def late(_host: str, _port: int) -> Any:
            await trio.sleep(3)
            raise OSError("no route")

        far._connect = late
        for _ in range(5):
            nursery.start_soon(ask, it)
        await trio.sleep(3.5)
        assert far._failures == 1
        assert far.is_down


async def test_who_leaves_while_it_tries_a_peer_leaves_the_try_to_the_next(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with scene(tmp_path) as it:
        await ask(it)
        await trio.sleep(1)
        far = it.proxy.peers._peers["far"]
        connect, far._connect = far._connect, nowhere
        with trio.move_on_after(0.5):
            await ask(it)
        far._connect = connect
        await it.network.serve(PEER_PORT, Peer().app)
        assert (await ask(it)).status_code == 200


async def test_a_peer_that_thinks_for_long_is_not_down(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    far = Peer(service_s=3600)
    async with scene(tmp_path) as it, trio.open_nursery() as nursery:
        assert (await ask(it)).status_code == 502
        await trio.sleep(1)
        await it.network.serve(PEER_PORT, far.app)
        nursery.start_soon(ask, it)
        await trio.testing.wait_all_tasks_blocked()
        far.service_s = 1
        assert (await ask(it)).status_code == 200


async def test_a_peer_that_does_not_begin_to_answer_in_time_says_so(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    far = Peer(service_s=9)
    async with scene(tmp_path, app=far.app, timeouts=Timeouts(response_header_s=4)) as it:
        response = await ask(it)
        assert (response.status_code, error_of(response)["code"]) == (504, "response_timeout")
        assert error_of(response)["message"] == (
            "peer far, asked for large, did not begin to answer within 4 s (timeouts.response_header)"
        )
        far.service_s = 3
        assert (await ask(it)).status_code == 200


async def test_what_would_go_round_in_a_circle_is_refused(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The peer of this proxy is this proxy."""
    url = f"http://127.0.0.1:{PROXY_PORT}"
    async with scene(tmp_path, url=url) as it:
        response = await ask(it)
        assert (response.status_code, error_of(response)["code"]) == (508, "loop_detected")
        assert (await ask(it, via="1.0 somebody, 1.1 trio-swap-of-another")).status_code == 508


async def test_the_way_of_a_request_is_told_with_that_of_others(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    far = Peer()
    async with scene(tmp_path, app=far.app) as it:
        await ask(it, via="1.0 fred")
        assert far.heads[0][b"via"].startswith(b"1.0 fred, 1.1 trio-swap-")


async def test_a_selector_may_lead_to_a_peer_and_spills_over_to_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    far = Peer()
    async with scene(tmp_path, selector("wide", "spillover", "here", "far/large"), app=far.app) as it:
        got: list[bytes] = []

        async def client() -> None:
            got.append((await ask(it, "wide")).content)

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(client)
                await trio.testing.wait_all_tasks_blocked()
        assert sorted(got) == [b"from the peer", b"here"]
        assert far.bodies == [b'{"model":"large"}']


async def test_a_peer_that_is_gone_is_told_to_who_waits_and_not_to_who_is_served(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with scene(tmp_path, app=Peer(5.0).app, concurrency=1) as it:
        codes = await _codes_of_two(it, lambda: it.proxy.peers.reconfigure({}))
        assert codes == {"unloaded", "200"}
        assert it.proxy.peers._gone
        it.proxy.peers.reconfigure({})
        assert not it.proxy.peers._gone


async def test_a_peer_that_moves_is_asked_where_it_is_from_the_next_request_on(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    old, new = Peer(5.0), Peer(5.0)
    async with scene(tmp_path, app=old.app, concurrency=1) as it:
        await it.network.serve(PEER_PORT + 1, new.app)
        moved = peer("far", f"http://peer.example:{PEER_PORT + 1}", "large", concurrency=1)
        before = it.proxy.peers._peers["far"]._upstream
        codes = await _codes_of_two(it, lambda: it.proxy.peers.reconfigure({"far": moved}))
        assert codes == {"200"}
        assert (len(old.bodies), len(new.bodies)) == (1, 1)
        assert (before.connections, it.proxy.peers._peers["far"]._upstream.connections) == (0, 1)


async def test_that_nobody_is_where_a_peer_was_says_nothing_of_where_it_is(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with scene(tmp_path, timeouts=Timeouts(connect_s=3)) as it, trio.open_nursery() as nursery:
        far = it.proxy.peers._peers["far"]
        connect, far._connect = far._connect, nowhere
        nursery.start_soon(ask, it)
        await trio.sleep(1)
        far._connect = connect
        moved = peer("far", f"http://peer.example:{PEER_PORT + 1}", "large")
        it.proxy.peers.reconfigure({"far": moved})
        await trio.sleep(2.5)
        assert not far.is_down


async def test_no_connection_to_a_peer_that_is_gone_stays_open(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with scene(tmp_path, app=Peer().app) as it:
        await ask(it)
        far = it.proxy.peers._peers["far"]
        assert far._upstream.connections == 1
        it.proxy.peers.reconfigure({})
        assert far._upstream.connections == 0


async def _codes_of_two(it: Stage, meanwhile: Callable[[], None]) -> set[str]:
    """What one that is served and one that waits are told, when something happens meanwhile."""
    codes: set[str] = set()

    async def client() -> None:
        response = await ask(it)
        codes.add("200" if response.status_code == 200 else error_of(response)["code"])

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(client)
            await trio.testing.wait_all_tasks_blocked()
        meanwhile()
    return codes


@pytest.mark.parametrize(("drain_s", "served"), [(10.0, "200"), (2.0, "shutting_down")])
async def test_at_the_end_of_the_proxy_who_is_served_by_a_peer_may_finish_in_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, drain_s: float, served: str
) -> None:
    async with scene(tmp_path, app=Peer(5.0).app, concurrency=1) as it, trio.open_nursery() as nursery:
        began = trio.current_time()

        def end() -> None:
            nursery.start_soon(shut_down, it.proxy, it.http, drain_s)

        assert await _codes_of_two(it, end) == {served, "shutting_down"}
        assert trio.current_time() - began == pytest.approx(min(drain_s, 5.0), abs=0.2)


async def test_a_profile_is_switched_over_the_api(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    far = Peer()
    here = profile("local", "Nothing leaves", large="here", here=None)
    async with scene(tmp_path, here, app=far.app) as it, it.network.client(PROXY_PORT) as client:
        shown = {"id": "local", "description": "Nothing leaves", "pins": {"large": "here", "here": None}}
        assert (await client.get("/api/profiles")).json() == {"active": None, "profiles": [shown]}
        assert (await ask(it)).content == b"from the peer"
        switched = await client.put("/api/profiles/active", json={"name": "local"})
        assert (switched.status_code, switched.json()) == (200, {"active": "local"})
        assert (await ask(it)).content == b"here"
        assert error_of(await ask(it, "here"))["code"] == "model_not_found"
        for body, status in ((b"{}", 400), (b'{"name":7}', 400), (b"x", 400), (b'{"name":"no"}', 404)):
            refused = await client.put("/api/profiles/active", content=body)
            assert (refused.status_code, error_of(refused)["param"]) == (status, "name")
        for none in (None, ""):
            assert (await client.put("/api/profiles/active", json={"name": none})).json() == {"active": None}
        assert (await ask(it)).content == b"from the peer"
        assert (await client.post("/api/profiles/active")).headers["allow"] == "PUT"
