"""Every request from its path to its answer: who may ask, which model is meant, a place in line, a seat, the relay.

A POST below /v1/, or on one of llama.cpp's own paths, whose JSON body names a model is relayed as it is. The rest is about us.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from http import HTTPStatus
from typing import Final

import msgspec
import trio

from states.errors import CoreError
from states.settings import ModelId

from .asgi import AbortResponse, Receive, Scope, Send
from .config import Config
from .driver import Driver, Place, Refused
from .relay import Relay
from .replies import Problem, problem_of, send_json, send_problem
from .status import model_entry, model_list, queue_view, running_view
from .upstream import UpstreamError

_LOG: Final = logging.getLogger("trio_swap.requests")
_RELAYED: Final = frozenset({"/rerank", "/reranking", "/infill", "/completion"})
"""Paths of llama.cpp's server outside /v1/ that name a model."""
_KEY_HEADERS: Final = frozenset({b"authorization", b"x-api-key"})
_VERDICT_S: Final = 0.05
"""How long a broken connection waits for the news that its server has ended; an exit is noticed within milliseconds."""
_OPEN_PATHS: Final = frozenset({"/health"})

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Asked(msgspec.Struct):
    """What we want to know of a body: the rest of it is the server's business."""

    model: object = msgspec.UNSET


class Gone(Exception):  # noqa: N818 - not an error
    """The client has gone: there is nobody to answer."""


class Routes:
    """The ASGI application."""

    def __init__(self, config: Config, driver: Driver) -> None:
        """Serve the models of `config` through `driver`."""
        self._config = config
        self._driver = driver
        self._keys = tuple(key.encode() for key in config.api_keys)
        # Keys of ours are none of a server's business; keys that we do not ask for may be the server's own.
        self._withheld = _KEY_HEADERS if self._keys else frozenset[bytes]()
        self._decode = msgspec.json.Decoder(_Asked).decode
        self._own: dict[str, tuple[str, Handler]] = {
            "/health": ("GET", self._health),
            "/v1/models": ("GET", self._models),
            "/running": ("GET", self._running),
            "/api/queue": ("GET", self._queue),
            "/api/models/unload": ("POST", self._unload_all),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._route(scope, receive, send)
        except Problem as problem:
            await send_problem(scope, send, problem)
        except Gone:
            pass

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if self._keys and path not in _OPEN_PATHS:
            self._authorize(scope)
        method, handler = self._handler(path)
        asked = "GET" if scope["method"] == "HEAD" else scope["method"]
        if asked != method:
            allowed = "GET, HEAD" if method == "GET" else method
            raise Problem(
                status=HTTPStatus.METHOD_NOT_ALLOWED,
                code="method_not_allowed",
                message=f"{path} takes {allowed}, not {scope['method']}",
                headers=((b"allow", allowed.encode()),),
            )
        await handler(scope, receive, send)

    def _handler(self, path: str) -> tuple[str, Handler]:
        if path in self._own:
            return self._own[path]
        if path.startswith("/v1/models/"):
            return "GET", self._model
        if path.startswith("/api/models/unload/"):
            return "POST", self._unload_one
        if path.startswith("/v1/") or path in _RELAYED:
            return "POST", self._relay
        raise Problem(
            status=HTTPStatus.NOT_FOUND,
            code="not_found",
            message=f"there is nothing at {path}; models are asked below /v1/, and listed at /v1/models",
        )

    def _authorize(self, scope: Scope) -> None:
        given = _key_of(dict(scope["headers"]))
        # Every key is compared, each in constant time, so that an answer's time tells nothing about them.
        if not any([hmac.compare_digest(given, key) for key in self._keys]):
            raise Problem(
                status=HTTPStatus.UNAUTHORIZED,
                code="unauthorized",
                message="the API key is missing or wrong; send it as `Authorization: Bearer KEY` or `x-api-key: KEY`",
                headers=((b"www-authenticate", b'Bearer realm="trio-swap"'),),
            )

    # The main job

    async def _relay(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._read_body(scope, receive)
        model = self._model_of(scope["path"], body)
        verdict: Problem | AbortResponse | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch_client, receive, nursery.cancel_scope)
            with self._driver.place(model) as place:
                verdict = await self._serve(place, scope, body, send)
            nursery.cancel_scope.cancel()
        if verdict is not None:
            raise verdict

    async def _serve(self, place: Place, scope: Scope, body: bytes, send: Send) -> Problem | AbortResponse | None:
        """Wait for a seat and relay; what is returned is for the client to be told, once its place is given back."""
        try:
            run = await self._driver.seated(place)
        except Refused as refused:
            return problem_of(refused.refusal)
        if run.server is None:
            raise CoreError(f"ticket {place.ticket} has a seat at {place.model}, which has no server")
        relay = Relay(run.server.upstream, scope, body, send, drop_headers=self._withheld)
        broken: UpstreamError | None = None
        with place.scope:
            try:
                await relay.run()
                place.served = True
            except UpstreamError as error:
                broken = error
                # A connection that breaks is often the first sign of a server's end: its verdict says more.
                await trio.sleep(_VERDICT_S)
        if broken is None and place.refusal is None:
            return None
        problem = _broken_off(place, broken)
        _LOG.warning("ticket %d for %s: %s", place.ticket, place.model, problem.message)
        if not relay.started:
            return problem
        await relay.cut_short(problem.body(scope["path"]))
        return AbortResponse(problem.message)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        limit = self._config.max_body_bytes
        headers = dict(scope["headers"])
        too_large = Problem(
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            code="body_too_large",
            message=f"the body is larger than {limit} bytes (server.max_body)",
        )
        if int(headers.get(b"content-length", 0)) > limit:
            raise too_large
        coding = headers.get(b"content-encoding", b"identity").decode("latin-1")
        if coding.lower() != "identity":
            raise _invalid(f"the body is encoded ({coding}); send it as it is, the model's name must be read from it")
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise too_large
            if not message.get("more_body", False):
                return b"".join(parts)

    def _model_of(self, path: str, body: bytes) -> ModelId:
        try:
            name = self._decode(body).model
        except msgspec.ValidationError:
            raise _invalid("the body is not a JSON object") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _invalid(f"the body is not JSON: {error}") from None
        if name is msgspec.UNSET:
            raise _invalid(f"{path} needs a model: name one in the body, such as {self._example()}", param="model")
        if not isinstance(name, str):
            raise _invalid("model is not a string", param="model")
        return self._resolve(name)

    def _resolve(self, name: str) -> ModelId:
        model = self._config.resolve(name)
        if model is not None:
            return model
        aliases = (alias for known in self._config.models.values() for alias in known.aliases)
        near = get_close_matches(name, [*self._config.models, *aliases], n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "GET /v1/models lists those that there are"
        raise Problem(
            status=HTTPStatus.NOT_FOUND,
            code="model_not_found",
            message=f"there is no model {name!r}; {hint}",
            param="model",
        )

    def _example(self) -> str:
        return f'{{"model": "{next(iter(self._config.models), "NAME")}", ...}}'

    # About us

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._driver.check_health()
        except CoreError as error:
            _LOG.critical("unhealthy: %s", error)
            await send_json(scope, send, {"status": "broken", "reason": str(error).splitlines()[0]}, status=503)
        else:
            await send_json(scope, send, {"status": "ok"})

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(scope, send, model_list(self._config))

    async def _model(self, scope: Scope, receive: Receive, send: Send) -> None:
        model = self._resolve(scope["path"].removeprefix("/v1/models/"))
        await send_json(scope, send, model_entry(self._config.models[model]))

    async def _running(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(scope, send, running_view(self._driver.snapshot()))

    async def _queue(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(scope, send, queue_view(self._driver.snapshot()))

    async def _unload_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._unload(scope, send, tuple(self._config.models))

    async def _unload_one(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._unload(scope, send, (self._resolve(scope["path"].removeprefix("/api/models/unload/")),))

    async def _unload(self, scope: Scope, send: Send, models: tuple[ModelId, ...]) -> None:
        await self._driver.unload(models)
        await send_json(scope, send, {"msg": "ok"})


def _broken_off(place: Place, broken: UpstreamError | None) -> Problem:
    if place.refusal is not None:
        return problem_of(place.refusal)
    message = f"{place.model} broke off: {broken}"
    return Problem(status=HTTPStatus.BAD_GATEWAY, code="bad_gateway", message=message)


def _invalid(message: str, param: str | None = None) -> Problem:
    return Problem(status=HTTPStatus.BAD_REQUEST, code="invalid_request", message=message, param=param)


def _key_of(headers: dict[bytes, bytes]) -> bytes:
    """The API key that a client sent, in one of three ways; empty: none."""
    kind, _, value = headers.get(b"authorization", b"").partition(b" ")
    match kind.lower():
        case b"bearer":
            return value.strip()
        case b"basic":
            try:
                return base64.b64decode(value).partition(b":")[2]
            except binascii.Error:
                return b""
        case _:
            return headers.get(b"x-api-key", b"")


async def _watch_client(receive: Receive, work: trio.CancelScope) -> None:
    """End the work for a client that goes away, at once: its place in line, its seat, the request to the server."""
    while (await receive())["type"] != "http.disconnect":
        pass
    work.cancel()
