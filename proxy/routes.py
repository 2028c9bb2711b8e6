"""Every request from its path to its answer: who may ask, which model is meant, a place in line, a seat, the relay.

A POST below /v1/, or on one of llama.cpp's own paths, whose JSON body names a model is relayed as it is. The rest is
about us, and is answered in JSON.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import trio

from states.errors import CoreError

from .asgi import AbortResponse, Receive, Scope, Send
from .asking import Gone, find_model, key_of, model_of, nothing_at, read_body
from .config import Config
from .driver import Driver, Place, Refused
from .relay import Relay
from .reload import Reloader
from .replies import Problem, problem_of, send_json, send_problem
from .status import model_entry, model_list, queue_view, reload_view, running_view
from .upstream import ConnectFailed, UpstreamError

_LOG: Final = logging.getLogger("trio_swap.requests")
_RELAYED: Final = frozenset({"/rerank", "/reranking", "/infill", "/completion"})
"""Paths of llama.cpp's server outside /v1/ that name a model."""
_KEY_HEADERS: Final = frozenset({b"authorization", b"x-api-key"})
_OPEN_PATHS: Final = frozenset({"/health"})
_MODELS: Final = "/v1/models/"
_UNLOAD: Final = "/api/models/unload/"
_VERDICT_S: Final = 0.05
"""How long a broken connection waits for the news that its server has ended; an exit is noticed within milliseconds."""

_Answer = Callable[[str], Awaitable[object]]
"""From a path to what is sent as JSON."""


class Routes:
    """The ASGI application."""

    def __init__(self, config: Config, driver: Driver) -> None:
        """Serve the models of `config` through `driver`."""
        self._driver = driver
        self._reloader: Reloader | None = None
        self.reconfigure(config)
        self._own: dict[str, dict[str, _Answer]] = {
            "/health": {"GET": self._health},
            "/v1/models": {"GET": self._models},
            "/running": {"GET": self._running},
            "/api/queue": {"GET": self._queue},
            "/api/models/unload": {"POST": self._unload_all},
            "/api/reload": {"GET": self._last_reload, "POST": self._reload},
        }
        self._below: dict[str, dict[str, _Answer]] = {
            _MODELS: {"GET": self._model},
            _UNLOAD: {"POST": self._unload_one},
        }
        """By how a path begins; the rest of it says what is meant."""

    def attach(self, reloader: Reloader) -> None:
        """Let clients ask for a reload too."""
        self._reloader = reloader

    def reconfigure(self, config: Config) -> None:
        """Answer by another configuration from now on."""
        self._config = config
        self._keys = tuple(key.encode() for key in config.api_keys)
        # Keys of ours are none of a server's business; keys that we do not ask for may be the server's own.
        self._withheld = _KEY_HEADERS if self._keys else frozenset[bytes]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._route(scope, receive, send)
        except Problem as problem:
            await send_problem(scope, send, problem)
        except Gone:
            pass

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if self._keys and path not in _OPEN_PATHS:
            self._authorize(scope)
        answers = self._answers(path)
        asked = "GET" if method == "HEAD" else method
        if asked not in answers:
            raise _wrong_method(path, method, tuple(answers))
        answer = answers[asked]
        if answer is None:
            await self._relay(scope, receive, send)
        else:
            await send_json(scope, send, await answer(path))

    def _answers(self, path: str) -> Mapping[str, _Answer | None]:
        """What a path takes: the answer of our own to each method; None: it is relayed."""
        if path in self._own:
            return self._own[path]
        for beginning, answers in self._below.items():
            if path.startswith(beginning):
                return answers
        if (path.startswith("/v1/") and not path.startswith("/v1/v1/")) or path in _RELAYED:
            return {"POST": None}
        raise nothing_at(path)

    def _authorize(self, scope: Scope) -> None:
        given = key_of(dict(scope["headers"]))
        # Every key is compared, each in constant time, so that an answer's time tells nothing about them.
        if sum(hmac.compare_digest(given, key) for key in self._keys) == 0:
            raise Problem(
                status=HTTPStatus.UNAUTHORIZED,
                code="unauthorized",
                message="the API key is missing or wrong; send it as `Authorization: Bearer KEY` or `x-api-key: KEY`",
                headers=((b"www-authenticate", b'Bearer realm="trio-swap"'),),
            )

    # The main job

    async def _relay(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, self._config.max_body_bytes)
        model = model_of(self._config, scope["path"], body)
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

    # About us

    async def _health(self, _path: str) -> object:
        try:
            self._driver.check_health()
        except CoreError as error:
            _LOG.critical("unhealthy: %s", error)
            reason = f"the scheduler is broken: {str(error).splitlines()[0]}"
            raise Problem(status=HTTPStatus.SERVICE_UNAVAILABLE, code="broken", message=reason) from error
        return {"status": "ok"}

    async def _models(self, _path: str) -> object:
        return model_list(self._config)

    async def _model(self, path: str) -> object:
        return model_entry(self._config.models[find_model(self._config, path.removeprefix(_MODELS))])

    async def _running(self, _path: str) -> object:
        return running_view(self._driver.snapshot())

    async def _queue(self, _path: str) -> object:
        driver = self._driver
        return queue_view(driver.snapshot(), driver.history, self._config.settings.strategy)

    async def _reload(self, _path: str) -> object:
        if self._reloader is None:
            raise nothing_at("/api/reload")
        outcome = await self._reloader.ask("asked to reload").outcome()
        if outcome.differences is None:
            message = f"the configuration is wrong, and stays as it was:\n{outcome.report}"
            raise Problem(status=HTTPStatus.UNPROCESSABLE_ENTITY, code="invalid_configuration", message=message)
        return reload_view(outcome, trio.current_time())

    async def _last_reload(self, _path: str) -> object:
        outcome = None if self._reloader is None else self._reloader.last
        return {"reload": None if outcome is None else reload_view(outcome, trio.current_time())}

    async def _unload_all(self, _path: str) -> object:
        await self._driver.unload(tuple(self._config.models))
        return {"msg": "ok"}

    async def _unload_one(self, path: str) -> object:
        await self._driver.unload((find_model(self._config, path.removeprefix(_UNLOAD)),))
        return {"msg": "ok"}


async def _watch_client(receive: Receive, work: trio.CancelScope) -> None:
    """End the work for a client that goes away, at once: its place in line, its seat, the request to the server."""
    while (await receive())["type"] != "http.disconnect":
        pass
    work.cancel()


def _broken_off(place: Place, broken: UpstreamError | None) -> Problem:
    if place.refusal is not None:
        return problem_of(place.refusal)
    how = f"cannot be reached: {broken}" if isinstance(broken, ConnectFailed) else str(broken)
    message = f"{place.model} {how}"
    return Problem(status=HTTPStatus.BAD_GATEWAY, code="bad_gateway", message=message)


def _wrong_method(path: str, method: str, taken: Sequence[str]) -> Problem:
    allowed = ", ".join("GET, HEAD" if each == "GET" else each for each in taken)
    return Problem(
        status=HTTPStatus.METHOD_NOT_ALLOWED,
        code="method_not_allowed",
        message=f"{path} takes {allowed}, not {method}",
        headers=((b"allow", allowed.encode()),),
    )
