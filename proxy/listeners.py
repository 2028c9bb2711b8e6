"""Addresses to listening sockets, or a sentence that says which address is taken and what to do."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

BACKLOG: Final = 1024
"""Connections that the system keeps for us; it cuts the number down to its own limit (Linux: net.core.somaxconn)."""

UNIX_PREFIX: Final = "unix:"


class ListenError(Exception):
    """An address cannot be listened on; the message is for whoever chose it."""


def open_listeners(address: str) -> list[socket.socket]:
    """Listen on `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`: a name may have several addresses; port 0 takes a free one.

    A unix socket that a dead process left behind is removed; anything else that lies there is not.

    Raises:
        ListenError: it cannot be had; nothing is left open.
    """
    if address.startswith(UNIX_PREFIX):
        return [_listen_unix(Path(address.removeprefix(UNIX_PREFIX)), address)]
    host, port = _split(address)
    return _listen_tcp(host, port, address)


def address_of(listener: socket.socket) -> str:
    """Return where a listener listens, as `open_listeners` would read it."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"{UNIX_PREFIX}{name}"
    return f"[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def close_listener(listener: socket.socket) -> None:
    """Close it, with a unix socket's file while that is surely ours. The caller has told Trio; may be repeated."""
    if listener.fileno() < 0:
        return
    if listener.family == socket.AF_UNIX:
        Path(listener.getsockname()).unlink(missing_ok=True)
    listener.close()


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ListenError(f"{address}: an IPv6 address needs brackets, as in [::1]:8080")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004  TCP's last port
        raise ListenError(f"{address} is not an address: HOST:PORT, [IPV6]:PORT or unix:PATH is wanted")
    return host, int(port)


def _listen_tcp(host: str, port: int, address: str) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        advice = "check the name, or listen on 127.0.0.1 (this machine only) or 0.0.0.0"
        raise ListenError(f"{address}: there is no host {host} ({error.strerror}); {advice}") from error
    listeners: list[socket.socket] = []
    missing = OSError(errno.EADDRNOTAVAIL, "no address")
    try:
        for family, _, _, _, where in dict.fromkeys(found):
            try:
                # The first listener's port goes for all of them, also when it was "any".
                chosen = port or (listeners[0].getsockname()[1] if listeners else 0)
                listeners.append(_bind_tcp(family, (where[0], chosen, *where[2:])))
            except OSError as error:
                # "localhost" is often also ::1 on machines without IPv6.
                if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT} and (listeners or len(found) > 1):
                    missing = error
                    continue
                raise
        if not listeners:
            raise missing
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise ListenError(_explain(error, address)) from error
    return listeners


def _bind_tcp(family: int, where: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003
        # Connections of the last run that linger in TIME_WAIT do not keep the port; a listener does.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _listen_unix(path: Path, address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path, address)
        listener.setblocking(False)  # noqa: FBT003
        listener.bind(os.fspath(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(_explain_path(error, path, address)) from error
    except ListenError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path, address: str) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ListenError(f"{address}: {path} is something else than a socket; move it or listen elsewhere")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # noqa: FBT003
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
        except BlockingIOError:
            raise ListenError(_in_use(address)) from None  # so busy that its backlog is full, but alive
        else:
            raise ListenError(_in_use(address))


def _in_use(address: str) -> str:
    return f"{address} is in use by another program; stop it or pass --listen HOST:PORT"


def _explain_path(error: OSError, path: Path, address: str) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"{address}: there is no directory {path.absolute().parent}; create it or listen elsewhere"
        case errno.EACCES | errno.EPERM:
            return f"{address}: this user may not create a socket in {path.absolute().parent}; listen elsewhere"
        case errno.EPROTOTYPE:
            return f"{address}: {path} is a socket of another kind; move it or listen elsewhere"
        case None:
            return f"{address}: a path of more than about 100 bytes is too long for a socket; take a shorter one"
        case _:
            return _explain(error, address)


def _explain(error: OSError, address: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return _in_use(address)
        case errno.EACCES | errno.EPERM:
            return f"{address} needs more rights than this user has; pass --listen with a port from 1024 on"
        case errno.EADDRNOTAVAIL:
            return f"{address} is not an address of this machine; pass --listen HOST:PORT with one that is"
        case _:
            return f"{address} cannot be listened on: {error.strerror or error}"
