"""Every request from its path to its answer: who may ask, which model is meant, a place in line, a seat, the relay.

A POST below /v1/, or on one of llama.cpp's own paths, whose JSON body names a model is relayed as it is, but for what
the model's settings change of the body. The rest is about us, and is answered in JSON.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

import trio

from states.errors import CoreError

from .asgi import AbortResponse, Receive, Scope, Send
from .asking import Gone, key_of, name_of, nothing_at, profile_of, read_body
from .config import Config
from .driver import Driver, Place, Refused
from .listing import find_entry, model_entry, model_list
from .naming import Names, Route
from .peers import Peers
from .relay import Relay, Request, problem_of_exchange
from .reload import Reloader
from .replies import Problem, problem_of, send_json, send_problem
from .status import profiles_view, queue_view, reload_view, running_view
from .upstream import UpstreamError

_LOG: Final = logging.getLogger("trio_swap.requests")
_RELAYED: Final = frozenset({"/rerank", "/reranking", "/infill", "/completion"})
"""Paths of llama.cpp's server outside /v1/ that name a model."""
_KEY_HEADERS: Final = frozenset({b"authorization", b"x-api-key"})
_OPEN_PATHS: Final = frozenset({"/health"})
_MODELS: Final = "/v1/models/"
_UNLOAD: Final = "/api/models/unload/"
_VERDICT_S: Final = 0.05
"""How long a broken connection waits for the news that its server has ended; an exit is noticed within milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A request that we answer ourselves."""

    path: str
    read: Callable[[], Awaitable[bytes]]
    """Return its body."""


_Answer = Callable[[_Question], Awaitable[object]]
"""From a request to what is sent as JSON."""


class Routes:
    """The ASGI application."""

    def __init__(self, config: Config, driver: Driver, peers: Peers) -> None:
        """Serve the models of `config` through `driver`, and those of `peers`."""
        self._driver = driver
        self._peers = peers
        self._reloader: Reloader | None = None
        self.names: Final = Names(config, driver.states, peers.is_down)
        self.reconfigure(config)
        self._own: dict[str, dict[str, _Answer]] = {
            "/health": {"GET": self._health},
            "/v1/models": {"GET": self._models},
            "/running": {"GET": self._running},
            "/api/queue": {"GET": self._queue},
            "/api/models/unload": {"POST": self._unload_all},
            "/api/profiles": {"GET": self._profiles},
            "/api/profiles/active": {"PUT": self._switch_profile},
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
        self._peers.reconfigure(config.peers)
        self.names.reconfigure(config)
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
            read = partial(read_body, scope, receive, self._config.max_body_bytes)
            await send_json(scope, send, await answer(_Question(path=path, read=read)))

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
        name = name_of(scope["path"], body, self.names.example())
        # From here to the place in line nothing waits: a reload would leave this request with what holds no more.
        route = self.names.find(name)
        request = Request(scope=scope, body=route.body(body, name), send=send, withheld=self._withheld)
        verdict: Problem | AbortResponse | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch_client, receive, nursery.cancel_scope)
            with self.names.under_way(route):
                if route.peer is None:
                    verdict = await self._ask_server(route, request)
                else:
                    verdict = await self._peers.relay(route.peer, route, request)
            nursery.cancel_scope.cancel()
        if verdict is not None:
            raise verdict

    async def _ask_server(self, route: Route, request: Request) -> Problem | AbortResponse | None:
        """Ask a server of ours once it is this request's turn; what is returned is for the client to be told."""
        with self._driver.place(route.model) as place:
            return await self._serve(place, request)

    async def _serve(self, place: Place, request: Request) -> Problem | AbortResponse | None:
        try:
            run = await self._driver.seated(place)
        except Refused as refused:
            return problem_of(refused.refusal)
        if run.server is None:
            raise CoreError(f"ticket {place.ticket} has a seat at {place.model}, which has no server")
        relay = Relay(run.server.upstream, request.scope, request.body, request.send, drop_headers=request.withheld)
        broken: UpstreamError | None = None
        with place.scope:
            try:
                await relay.run()
                place.served = True
            except UpstreamError as error:
                broken = error
                # A connection that breaks is often the first sign of a server's end: its verdict says more.
                await trio.sleep(_VERDICT_S)
        if place.refusal is not None:
            problem = problem_of(place.refusal)
        elif broken is not None:
            problem = problem_of_exchange(place.model, broken)
        else:
            return None
        _LOG.warning("ticket %d for %s: %s", place.ticket, place.model, problem.message)
        return await relay.give_up(problem)

    # About us

    async def _health(self, _question: _Question) -> object:
        try:
            self._driver.check_health()
        except CoreError as error:
            _LOG.critical("unhealthy: %s", error)
            reason = f"the scheduler is broken: {str(error).splitlines()[0]}"
            raise Problem(status=HTTPStatus.SERVICE_UNAVAILABLE, code="broken", message=reason) from error
        return {"status": "ok"}

    async def _models(self, _question: _Question) -> object:
        return model_list(self._config, self.names.profile, self._driver.states())

    async def _model(self, question: _Question) -> object:
        name, states = question.path.removeprefix(_MODELS), self._driver.states()
        entry = find_entry(self._config, name, self.names.profile, states)
        if entry is not None:
            return entry
        route = self.names.find(name)
        if route.peer is None:
            return model_entry(self._config.models[route.model], is_loaded=route.model in states)
        return find_entry(self._config, f"{route.peer}/{route.model}", self.names.profile, states)

    async def _running(self, _question: _Question) -> object:
        return running_view(self._driver.snapshot())

    async def _queue(self, _question: _Question) -> object:
        driver = self._driver
        return queue_view(driver.snapshot(), driver.history, self._config.settings.strategy)

    async def _profiles(self, _question: _Question) -> object:
        return profiles_view(self._config, self.names.profile)

    async def _switch_profile(self, question: _Question) -> object:
        self.names.switch(profile_of(await question.read()))
        return {"active": self.names.profile}

    async def _reload(self, _question: _Question) -> object:
        if self._reloader is None:
            raise nothing_at("/api/reload")
        outcome = await self._reloader.ask("asked to reload").outcome()
        if outcome.differences is None:
            message = f"the configuration is wrong, and stays as it was:\n{outcome.report}"
            raise Problem(status=HTTPStatus.UNPROCESSABLE_ENTITY, code="invalid_configuration", message=message)
        return reload_view(outcome, trio.current_time())

    async def _last_reload(self, _question: _Question) -> object:
        outcome = None if self._reloader is None else self._reloader.last
        return {"reload": None if outcome is None else reload_view(outcome, trio.current_time())}

    async def _unload_all(self, _question: _Question) -> object:
        await self._driver.unload(tuple(self._config.models))
        return {"msg": "ok"}

    async def _unload_one(self, question: _Question) -> object:
        await self._driver.unload((self.names.find_model(question.path.removeprefix(_UNLOAD)),))
        return {"msg": "ok"}


async def _watch_client(receive: Receive, work: trio.CancelScope) -> None:
    """End the work for a client that goes away, at once: its place in line, its seat, the request to the server."""
    while (await receive())["type"] != "http.disconnect":
        pass
    work.cancel()


def _wrong_method(path: str, method: str, taken: Sequence[str]) -> Problem:
    allowed = ", ".join("GET, HEAD" if each == "GET" else each for each in taken)
    return Problem(
        status=HTTPStatus.METHOD_NOT_ALLOWED,
        code="method_not_allowed",
        message=f"{path} takes {allowed}, not {method}",
        headers=((b"allow", allowed.encode()),),
    )
