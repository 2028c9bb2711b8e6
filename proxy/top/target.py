"""Where a proxy is, as people type it: `127.0.0.1:8080`, a URL, perhaps with a path before ours, or `unix:PATH`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

DEFAULT: Final = "http://127.0.0.1:8080"
"""Where a proxy listens when its file does not say."""

_UNIX: Final = "unix:"
_TOO_MUCH: Final = ("/api/queue", "/v1")
"""What the URL at hand often ends with: the very page, or what clients of OpenAI are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A proxy's address."""

    url: str
    """What requests go below, without a slash at its end."""
    socket: str | None = None
    """The unix socket to connect to instead of the URL's host."""

    def __str__(self) -> str:
        """As it can be typed again."""
        return self.url if self.socket is None else f"{_UNIX}{self.socket}"


def target_of(text: str) -> Target:
    """Return what is meant.

    Raises:
        ValueError: it is no address; the message says what is wrong and what is wanted.
    """
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX).removeprefix("//")
        if not path:
            raise ValueError(f"{text!r} names no socket: unix:PATH is wanted")
        return Target(url="http://localhost", socket=path)
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not a URL ({str(error).lower()}): {_wanted()}") from None
    if parts.scheme not in {"http", "https"} or not host or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is not a URL of http or https: {_wanted()}")
    if "@" in parts.netloc:
        raise ValueError("a name or password in the URL is not sent; a key goes into --key or TRIO_SWAP_KEY")
    path = parts.path.rstrip("/")
    for ending in _TOO_MUCH:
        path = path.removesuffix(ending)
    return Target(url=f"{parts.scheme}://{parts.netloc}{path}")


def _wanted() -> str:
    return f"wanted is one like {DEFAULT}, 127.0.0.1:8080 or unix:PATH"
