"""What a service manager is told, when, and what becomes of the variables that ask for it."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from proxy.notify import ServiceManager, take_service_manager
from states.errors import CoreError

from .fake_fleet import Behaviour, stage, table

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(address)
        ear.setblocking(False)  # noqa: FBT003
        yield ear


def heard(ear: socket.socket) -> list[str]:
    """Return what has come since the last time."""
    news = []
    while True:
        try:
            news.append(ear.recv(4096).decode())
        except BlockingIOError:
            return news


async def test_who_is_not_asked_says_nothing(autojump_clock: trio.testing.MockClock) -> None:
    nobody = take_service_manager({})
    assert nobody == ServiceManager(address=None, watchdog_s=None)
    await nobody.ready("here")
    await nobody.stopping("gone", 1)
    await nobody.feed_watchdog(lambda: None)


async def test_news_is_a_datagram_of_assignments(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with listening(address) as ear:
        manager = take_service_manager({"NOTIFY_SOCKET": address})
        await manager.ready("serving a, b")
        await manager.stopping("about to end", 47.5)
        assert heard(ear) == [
            "READY=1\nSTATUS=serving a, b",
            "STOPPING=1\nEXTEND_TIMEOUT_USEC=47500000\nSTATUS=about to end",
        ]


@linux_only
async def test_a_name_after_an_at_sign_is_an_abstract_socket() -> None:
    name = f"trio-swap-test-{os.getpid()}"
    with listening(f"\0{name}") as ear:
        await take_service_manager({"NOTIFY_SOCKET": f"@{name}"}).ready("here")
        assert heard(ear) == ["READY=1\nSTATUS=here"]


def test_what_asks_is_taken_out_of_the_environment() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    assert take_service_manager(environment) == ServiceManager(address="/x", watchdog_s=30.0)
    assert environment == {"HOME": "/"}


def test_a_watchdog_for_another_process_is_not_fed() -> None:
    asked = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    assert take_service_manager(asked).watchdog_s is None


@pytest.mark.parametrize("microseconds", ["0", "-1", "1e6", "soon", "²"])
def test_a_watchdog_time_that_is_none_is_told_of(microseconds: str, caplog: pytest.LogCaptureFixture) -> None:
    asked = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": microseconds}
    with caplog.at_level(logging.WARNING, "trio_swap"):
        assert take_service_manager(asked) == ServiceManager(address="/x")
    assert f"WATCHDOG_USEC is {microseconds!r}" in caplog.text


def test_an_address_of_another_kind_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "trio_swap"):
        assert take_service_manager({"NOTIFY_SOCKET": "vsock:2:1234"}) == ServiceManager()
    assert "NOTIFY_SOCKET is 'vsock:2:1234'" in caplog.text


async def test_a_manager_that_is_gone_is_told_of_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "trio_swap"):
        await ServiceManager(address=str(tmp_path / "none")).ready("here")
    assert "the service manager was not told READY=1" in caplog.text


async def test_a_manager_that_does_not_read_delays_nothing_for_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    address = str(tmp_path / "notify")
    manager = ServiceManager(address=address)
    with listening(address), caplog.at_level(logging.WARNING, "trio_swap"):
        while not caplog.records:  # as many as the system keeps for it: 10, say, or 512
            await manager.ready("here")
    assert trio.current_time() == pytest.approx(1.0)
    assert "the service manager was not told READY=1: it does not read" in caplog.text


async def test_the_watchdog_is_fed_twice_in_its_time_and_only_while_the_core_is_healthy(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    address = str(tmp_path / "notify")
    models = {"a": Behaviour(load_s=500)}
    with listening(address) as ear:
        async with stage(tmp_path, table("a"), models) as scene, trio.open_nursery() as nursery:
            manager = ServiceManager(address=address, watchdog_s=30)
            nursery.start_soon(manager.feed_watchdog, scene.proxy.driver.check_health)
            nursery.start_soon(scene.ask, "a")
            await trio.sleep(40)
            assert heard(ear) == ["WATCHDOG=1"] * 3  # at 0, 15 and 30 s

            def explode(_event: object, _now: float) -> list[object]:
                raise CoreError("two and two is five\nand more")

            scene.proxy.driver._core.handle = explode
            await trio.sleep(35)
            assert heard(ear) == ["STATUS=unhealthy: two and two is five"] * 2
            nursery.cancel_scope.cancel()


async def test_a_core_that_recovers_is_vouched_for_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    troubles = iter([False, True, False])

    def check() -> None:
        if next(troubles, False):
            raise CoreError("stuck")

    address = str(tmp_path / "notify")
    with listening(address) as ear:
        with trio.move_on_after(0.25):
            await ServiceManager(address=address, watchdog_s=0.2).feed_watchdog(check)
        assert heard(ear) == ["WATCHDOG=1", "STATUS=unhealthy: stuck", "WATCHDOG=1"]
