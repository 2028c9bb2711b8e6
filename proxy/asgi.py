"""The ASGI vocabulary between the HTTP edges and the routes, and the exception that cuts an answer short."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

# What ASGI's own specification says: mappings whose values depend on their "type".
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class AbortResponse(Exception):  # noqa: N818  it is an instruction to the server, not an error
    """Raised by the app: end the transfer so that the client can tell that its answer is not whole. Not a bug."""
