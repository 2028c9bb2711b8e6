"""`trio-swap top` and the proxy that it asks: every way to have no answer, and looking again and again."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from proxy.answers import CountsAnswer, QueueAnswer
from proxy.asgi import ASGIApp, Receive, Scope, Send
from proxy.top import watching
from proxy.top.layout import ASCII
from proxy.top.painting import Painter
from proxy.top.polling import TIMEOUT_S, NoAnswer, Source
from proxy.top.screen import TerminalGone
from proxy.top.target import Target, target_of
from proxy.top.watching import POLL_S, REDRAW_S, Watch
from states.errors import CoreError
from tests.memory_network import MemoryNetwork, MemoryStream, answer, in_virtual_time

from .fake_fleet import PROXY_PORT, Behaviour, stage, table

TARGET = target_of(f"127.0.0.1:{PROXY_PORT}")
MODELS = table("a") + table("b", "unload_delay = 5")
BEHAVIOURS = {"a": Behaviour(), "b": Behaviour()}
NOTHING = QueueAnswer(
    groups=[],
    waiting=[],
    swaps=[],
    counts=CountsAnswer(served=0, refused=0, cut_off=0, left=0, loads=0, swaps=0),
    strategy="fifo+",
    uptime_s=7.0,
    shutting_down=False,
)
PLAIN = Painter(is_terminal=False)


@pytest.fixture
def network(nursery: trio.Nursery) -> MemoryNetwork:
    return MemoryNetwork(nursery)


def source(network: MemoryNetwork, key: str | None = None, target: Target = TARGET) -> Source:
    return Source(target, key, connect=network.connect)


async def no_answer(network: MemoryNetwork, key: str | None = None) -> tuple[str, str]:
    """What is said of a proxy that does not answer, and what to do."""
    with pytest.raises(NoAnswer) as caught:
        await source(network, key).look()
    return str(caught.value), caught.value.advice


def says(status: int = 200, body: bytes = b"", **headers: str) -> ASGIApp:
    """An app that has one answer to everything."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, body, status=status, **headers)

    return app


# Where it is


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost", "http://localhost"),
        ("http://h:1/", "http://h:1"),
        ("https://h/swap/", "https://h/swap"),
        ("http://h:1/v1", "http://h:1"),
        ("http://h:1/api/queue", "http://h:1"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_may_be_written_as_people_do(text: str, url: str) -> None:
    assert target_of(text) == Target(url=url)
    assert str(target_of(text)) == url


def test_a_socket_in_the_file_system_is_an_address_too() -> None:
    assert target_of("unix:///run/x.sock").socket == "/run/x.sock"
    assert str(target_of("unix:x.sock")) == "unix:x.sock"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a URL of http or https: wanted is one like http://127.0.0.1:8080"),
        ("ftp://h", "is not a URL of http or https"),
        ("http://h:x", "is not a URL (port"),
        ("http://[::1", "is not a URL (invalid ipv6 url)"),
        ("two words", "is not a URL of http"),
        ("unix:", "names no socket"),
        ("http://me:secret@h", "a key goes into --key or TRIO_SWAP_KEY"),
    ],
)
def test_what_is_no_address_is_said_to_be_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        target_of(text)
    assert "secret" not in str(caught.value)


# What it says


async def test_the_whole_answer_of_a_proxy_is_read(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with stage(tmp_path, MODELS, BEHAVIOURS) as scene:
        await scene.ask("a")
        await scene.ask("b")
        look = await source(scene.network).look()
    assert look.ailment == ""
    (group,) = look.queue.groups
    assert (group.model, group.state, group.hold_s) == ("b", "active", 5.0)
    assert [swap.model_in for swap in look.queue.swaps] == ["b", "a"]
    assert look.queue.counts.served == 2


async def test_a_proxy_that_is_stuck_is_looked_at_and_its_complaint_is_told(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    def broken() -> None:
        raise CoreError("two and two is five")

    async with stage(tmp_path, MODELS, BEHAVIOURS) as scene:
        scene.proxy.driver.check_health = broken
        assert (await source(scene.network).look()).ailment == "the scheduler is broken: two and two is five"


async def test_a_key_is_sent_and_a_missing_or_wrong_one_is_asked_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, BEHAVIOURS, '[server]\napi_keys = ["secret"]\n') as scene:
        assert (await source(scene.network, "secret").look()).ailment == ""
        assert await no_answer(scene.network) == (
            "it wants an API key",
            "pass it with --key KEY, or in the environment as TRIO_SWAP_KEY",
        )
        assert "does not know this API key" in (await no_answer(scene.network, "other"))[0]


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (says(404), "/api/queue is answered with 404"),
        (says(302, location="https://h/login"), "/api/queue is answered with 302, to https://h/login"),
        (says(body=b"<html>"), "with something else than JSON"),
        (says(body=b'{"queue": []}'), "with other fields: Object missing required field `groups`"),
        (says(body=b" " * (16 * 2**20 + 1)), "with more than 16 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "app",
)
@in_virtual_time
async def test_what_is_no_proxy_of_ours_is_told_by_its_answer(
    network: MemoryNetwork, app: ASGIApp, message: str
) -> None:
    await network.serve(PROXY_PORT, app)
    told, advice = await no_answer(network)
    assert told.startswith("no trio-swap of this version is there (")
    assert message in told
    assert advice == "check the URL"


async def _silent(stream: MemoryStream) -> None:
    await stream.receive_all()


async def _hangs_up(stream: MemoryStream) -> None:
    await stream.receive_some()
    stream.close()


async def _drips(stream: MemoryStream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        await trio.sleep(1)
        await stream.send_all(b" ")


@pytest.mark.parametrize(
    ("server", "message"),
    [(_silent, "nothing within 5 s"), (_drips, "nothing within 5 s"), (_hangs_up, "the answer broke off: ")],
)
@in_virtual_time
async def test_whoever_says_nothing_whole_is_given_up_in_time(
    network: MemoryNetwork, server: Callable[[MemoryStream], Awaitable[None]], message: str
) -> None:
    network.handle(PROXY_PORT, server)
    began = trio.current_time()
    told, advice = await no_answer(network)
    assert told.startswith(message)
    assert advice.startswith("start a proxy there with `trio-swap serve CONFIG`")
    assert trio.current_time() - began <= TIMEOUT_S


@in_virtual_time
async def test_a_path_before_ours_is_kept(network: MemoryNetwork) -> None:
    asked: list[str] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await answer(send, msgspec.json.encode(NOTHING))

    await network.serve(PROXY_PORT, app)
    await source(network, target=target_of(f"http://127.0.0.1:{PROXY_PORT}/swap/")).look()
    assert asked == ["/swap/api/queue", "/swap/health"]


@in_virtual_time
async def test_once_is_one_frame_and_no_more(network: MemoryNetwork) -> None:
    await network.serve(PROXY_PORT, says(body=msgspec.json.encode(NOTHING)))
    lines = await watching.once(source(network), PLAIN, ASCII, 80, None)
    assert lines == [
        "trio-swap  http://127.0.0.1:80  healthy  up 7.0s  fifo+",
        "0 loaded | 0 waiting | 0 served | 0 swaps",
        "",
        "GROUP STATE     MODEL SEATS   HOLD",
        "",
        "nobody waits",
        "",
        "nothing was loaded yet",
    ]


# Again and again


class Display:
    """A terminal that remembers its last frame and how many there were."""

    def __init__(self) -> None:
        self.size = os.terminal_size((80, 24))
        self.lines: list[str] = []
        self.frames = 0
        self.pressed, self._keys = trio.open_memory_channel[bytes](9)

    async def show(self, lines: list[str]) -> None:
        await trio.lowlevel.checkpoint()
        self.lines = lines
        self.frames += 1

    async def keys(self) -> bytes:
        pressed = await self._keys.receive()
        if not pressed:
            raise TerminalGone
        return pressed


async def watch_of(network: MemoryNetwork, display: Display) -> Callable[[], Awaitable[None]]:
    asked = source(network)
    watch = Watch(asked, await asked.look())
    return lambda: watch.run(display, PLAIN, ASCII)


async def a_little_later() -> None:
    """Off the instants at which it polls and draws, so that nothing falls together."""
    await trio.sleep(POLL_S + REDRAW_S / 2)


async def test_a_proxy_that_goes_away_is_missed_and_found_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with stage(tmp_path, MODELS, BEHAVIOURS) as scene, trio.open_nursery() as nursery:
        await scene.ask("b")
        display = Display()
        nursery.start_soon(await watch_of(scene.network, display))
        await a_little_later()
        assert "healthy" in display.lines[0]
        assert display.lines[-1] == "q quits"
        assert any(line.endswith(" 4.0s") and "active" in line for line in display.lines)

        attach = scene.network._ports.pop(PROXY_PORT)
        scene.network.accepted[-1].reset()
        await a_little_later()
        assert "healthy" not in display.lines[0]
        assert "no answer for " in display.lines[2]
        assert "trying again" in display.lines[2]
        then = [line for line in display.lines if "active" in line]
        await trio.sleep(60)
        assert "no answer for 1m0" in display.lines[2]
        assert [line for line in display.lines if "active" in line] == then  # time stands still for what is not known

        scene.network._ports[PROXY_PORT] = attach
        await a_little_later()
        assert "healthy" in display.lines[0]
        assert display.lines[2] == ""
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_it_polls_once_a_second_and_draws_more_often(network: MemoryNetwork) -> None:
    asked: list[str] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await answer(send, msgspec.json.encode(NOTHING))

    await network.serve(PROXY_PORT, app)
    display = Display()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(await watch_of(network, display))
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert len(asked) == pytest.approx(2 * 60, abs=4)
    assert 240 <= display.frames <= 310


@in_virtual_time
async def test_a_slow_proxy_is_not_asked_twice_at_once(network: MemoryNetwork) -> None:
    now, most = 0, 0

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await trio.sleep(2.2)
        now -= 1
        await answer(send, msgspec.json.encode(NOTHING))

    await network.serve(PROXY_PORT, app)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(await watch_of(network, Display()))
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert most == 1


@pytest.mark.parametrize("key", [b"q", b"Q", b"xq"])
@in_virtual_time
async def test_q_ends_it(network: MemoryNetwork, key: bytes) -> None:
    await network.serve(PROXY_PORT, says(body=msgspec.json.encode(NOTHING)))
    display = Display()
    display.pressed.send_nowait(b"x")
    display.pressed.send_nowait(key)
    await (await watch_of(network, display))()


@in_virtual_time
async def test_a_terminal_that_is_closed_ends_it(network: MemoryNetwork) -> None:
    await network.serve(PROXY_PORT, says(body=msgspec.json.encode(NOTHING)))
    display = Display()
    display.pressed.send_nowait(b"")
    with pytest.RaisesGroup(TerminalGone, flatten_subgroups=True):
        await (await watch_of(network, display))()
