"""An httpx client over the connections of `upstream`, for questions of our own and for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import httpx

from .upstream import Answer, ConnectFailed, Upstream, UpstreamError


class UpstreamTransport(httpx.AsyncBaseTransport):
    """The same connections for an httpx client; its timeouts are left to Trio's scopes."""

    def __init__(self, upstream: Upstream) -> None:
        """Does not own `upstream`."""
        self._upstream = upstream

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send what httpx has prepared. Raises httpx.TransportError."""
        exchange = self._upstream.exchange(
            request.method.encode(), request.url.raw_path, request.headers.raw, await request.aread()
        )
        try:
            answer = await exchange.__aenter__()
        except UpstreamError as error:
            raise _httpx_error(error, request) from error
        body = _Body(exchange, answer, request)
        return httpx.Response(answer.status, headers=list(answer.headers), stream=body, request=request)


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: AbstractAsyncContextManager[Answer], answer: Answer, request: httpx.Request) -> None:
        self._exchange = exchange
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._answer:
                yield piece
        except UpstreamError as error:
            raise _httpx_error(error, self._request) from error

    async def aclose(self) -> None:
        await self._exchange.__aexit__(None, None, None)


def plain_client(upstream: Upstream) -> httpx.AsyncClient:
    """Return a client for questions of our own: no proxies of the environment, no timeout, no headers but Host."""
    client = httpx.AsyncClient(transport=UpstreamTransport(upstream), timeout=None, trust_env=False)  # noqa: S113
    client.headers.clear()
    return client


def _httpx_error(error: UpstreamError, request: httpx.Request) -> httpx.TransportError:
    kind = httpx.ConnectError if isinstance(error, ConnectFailed) else httpx.RemoteProtocolError
    return kind(str(error), request=request)
