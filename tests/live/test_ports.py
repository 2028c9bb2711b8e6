"""Ports are handed out once, skipped when somebody listens there, and kept for the model that had them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.ports import PortPool, PortsExhausted, is_free

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="proxies claim their ports on Linux only")


@contextmanager
def pool_from(start: int) -> Iterator[PortPool]:
    pool = PortPool(start)
    try:
        yield pool
    finally:
        for port in tuple(pool._taken):
            pool.give_back(port)


def listener(host: str = "127.0.0.1") -> socket.socket:
    return socket.create_server((host, 0))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_somebody_listens_on_is_skipped(host: str) -> None:
    """R29."""
    with listener(host) as foreign:
        busy = foreign.getsockname()[1]
        assert not is_free(busy)
        with pool_from(busy) as pool:
            assert pool.take() > busy


def test_a_preferred_port_that_somebody_listens_on_is_not_handed_out() -> None:
    """R29."""
    with listener() as foreign:
        busy = foreign.getsockname()[1]
        with pool_from(20000) as pool:
            assert pool.take(preferred=busy) != busy


def test_a_port_is_not_handed_out_twice() -> None:
    with pool_from(20000) as pool:
        ports = [pool.take() for _ in range(20)]
        assert len(set(ports)) == len(ports)
        assert pool.take(preferred=ports[0]) not in ports


def test_a_port_given_back_is_kept_for_the_model_that_had_it() -> None:
    with pool_from(20000) as pool:
        mine = pool.take()
        pool.give_back(mine)
        others = pool.take()
        assert others != mine
        assert pool.take(preferred=mine) == mine


def test_the_port_given_back_longest_ago_is_used_again_when_there_is_no_other() -> None:
    start = next(port for port in range(65534, 20000, -1) if is_free(port) and is_free(port + 1))
    with pool_from(start) as pool:
        pool._taken.update(dict.fromkeys(range(start + 2, 65536)))  # all but two
        first, second = pool.take(), pool.take()
        pool.give_back(second)
        pool.give_back(first)
        assert pool.take() == second
        assert pool.take() == first


@linux_only
def test_two_proxies_that_load_at_the_same_instant_get_different_ports() -> None:
    """R20, R29: neither server listens yet when the other's port is looked for."""
    with pool_from(20000) as one, pool_from(20000) as other:
        first = one.take()
        assert other.take(preferred=first) != first
        one.give_back(first)
        assert other.take(preferred=first) == first


CLAIMS = """
import sys, time
from proxy.ports import PortPool
pool = PortPool(20000)
print(pool.take(), flush=True)
time.sleep(600)
"""


@linux_only
def test_a_proxy_that_was_killed_claims_nothing() -> None:
    """R20."""
    with subprocess.Popen([sys.executable, "-c", CLAIMS], stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        port = int(proxy.stdout.readline())
        with pool_from(20000) as pool:
            assert pool.take(preferred=port) != port
        proxy.send_signal(signal.SIGKILL)
        proxy.wait()
    with pool_from(20000) as pool:
        assert pool.take(preferred=port) == port


def test_without_any_free_port_the_error_says_what_to_change() -> None:
    with pytest.raises(PortsExhausted, match=r"from 65536 to 65535 is in use; set `server\.start_port`"):
        PortPool(65536).take()


def test_connections_that_linger_after_a_server_has_closed_them_do_not_make_its_port_look_taken() -> None:
    with listener() as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # first: the server's side is the one that lingers in TIME_WAIT
        assert client.recv(1) == b""
        client.close()
    assert is_free(port)
