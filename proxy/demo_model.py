"""A small OpenAI-compatible server that pretends to be a model: `trio-swap demo-model`.

It takes as long as it is told to load, to answer and to stop, and its answers say which model speaks. It listens at
once and says 503 until it is loaded, as llama-server does. It is written on h11 rather than on Hypercorn because it
starts in half the time, and starting is what it is for.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import itertools
import math
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn

import h11
import trio

from .demo_answers import Answer, Ask, BadRequestError, parse_ask
from .demo_wire import MAX_BODY_BYTES, Wire
from .ports import LAST_PORT

__all__ = ["DemoModel", "DemoOptions", "add_arguments", "run", "serve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the demo model pretends. Times are seconds."""

    name: str
    port: int
    host: str = "127.0.0.1"
    load_s: float = 0.0
    service_s: float = 0.0
    """Before the first token of each answer."""
    stop_s: float = 0.0
    """Between SIGTERM and the end."""
    tokens_per_second: float = 0.0
    """0: as fast as possible."""
    tokens: int | None = None
    """Length of an answer; None: as long as what it says."""
    ignore_sigterm: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `demo-model`."""
    parser.add_argument("--name", default="demo", help="the model's name, which its answers tell (default: demo)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, required=True, help="port to listen on; 0: any, named in the first line")
    parser.add_argument("--load", type=_seconds, default=0.0, metavar="SECONDS", help="time until it is loaded")
    parser.add_argument("--service", type=_seconds, default=0.0, metavar="SECONDS", help="time to the first token")
    parser.add_argument("--stop", type=_seconds, default=0.0, metavar="SECONDS", help="time from SIGTERM to the end")
    parser.add_argument(
        "--tokens-per-second", type=_seconds, default=0.0, metavar="N", help="pace of an answer (default: no pause)"
    )
    parser.add_argument("--tokens", type=_count, metavar="N", help="length of an answer (default: what it has to say)")
    parser.add_argument("--ignore-sigterm", action="store_true", help="end only when killed")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status: 0, or 1 when the port is in use."""
    options = DemoOptions(
        name=arguments.name,
        host=arguments.host,
        port=arguments.port,
        load_s=arguments.load,
        service_s=arguments.service,
        stop_s=arguments.stop,
        tokens_per_second=arguments.tokens_per_second,
        tokens=arguments.tokens,
        ignore_sigterm=arguments.ignore_sigterm,
    )
    return trio.run(serve, options)


async def serve(options: DemoOptions) -> int:
    """Listen, load, answer; end when told to. Returns the exit status."""
    try:
        listeners = await trio.open_tcp_listeners(options.port, host=options.host)
    except OSError as error:
        what = "is in use: end its user or choose another --port" if error.errno == errno.EADDRINUSE else str(error)
        _say(f"{options.name}: port {options.port} {what}")
        return 1
    port = listeners[0].socket.getsockname()[1]
    model = DemoModel(options, loaded_at=trio.current_time() + options.load_s)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, model.serve_connection, listeners)
            _say(f"{options.name}: listening on http://{options.host}:{port}")
            await _told_to_end(signals, options)
            nursery.cancel_scope.cancel()
        # No connection is left now; a second signal finds its receiver still there and changes nothing.
        await trio.sleep(options.stop_s)
    _say(f"{options.name}: stopped")
    return 0


async def _told_to_end(signals: AsyncIterator[int], options: DemoOptions) -> None:
    async for signum in signals:
        ignored = options.ignore_sigterm and signum == signal.SIGTERM
        _say(f"{options.name}: {signal.Signals(signum).name}{', ignored' if ignored else ''}")
        if not ignored:
            return


class DemoModel:
    """Answers requests, one connection at a time in a task of its own."""

    def __init__(self, options: DemoOptions, *, loaded_at: float) -> None:
        self._options = options
        self._loaded_at = loaded_at
        self._ids = itertools.count(1)

    async def serve_connection(self, stream: trio.SocketStream) -> None:
        """Answer one request after the other until the client has enough."""
        wire = Wire(stream)
        try:
            async with stream:
                while (request := await self._next_request(wire)) is not None:
                    await self._answer_while_connected(wire, request)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
            pass  # the client is gone, and with it whatever could be done for it

    async def _next_request(self, wire: Wire) -> h11.Request | None:
        try:
            return await wire.next_request()
        except h11.RemoteProtocolError as error:
            await self._refuse(wire, BadRequestError(HTTPStatus(error.error_status_hint), str(error)))
            return None

    async def _answer_while_connected(self, wire: Wire, request: h11.Request) -> None:
        started_at = time.monotonic()
        try:
            async with trio.open_nursery() as nursery:
                body = await wire.body()
                nursery.start_soon(wire.watch_for_disconnect, nursery.cancel_scope)
                await self._answer(wire, request, body)
                nursery.cancel_scope.cancel()
        finally:
            took_s = time.monotonic() - started_at
            what = f"{request.method.decode()} {request.target.decode()} {wire.status or '-'}"
            end = "" if wire.is_answered else ", cut off"
            _say(f"{self._options.name}: {what}, {wire.events_sent} events, {took_s:.3f} s{end}")

    async def _answer(self, wire: Wire, request: h11.Request, body: bytes | None) -> None:
        try:
            await self._route(wire, request.method.decode(), request.target.decode().partition("?")[0], body)
        except BadRequestError as error:
            await self._refuse(wire, error)

    async def _refuse(self, wire: Wire, error: BadRequestError) -> None:
        await wire.send_json(error.status, error.content())

    async def _route(self, wire: Wire, method: str, path: str, body: bytes | None) -> None:
        if body is None:
            raise BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body exceeds {MAX_BODY_BYTES} bytes")
        is_loaded = trio.current_time() >= self._loaded_at
        match "GET" if method == "HEAD" else method, path:
            case "GET", "/health":
                status = HTTPStatus.OK if is_loaded else HTTPStatus.SERVICE_UNAVAILABLE
                await wire.send_json(status, {"status": "ok" if is_loaded else "loading"})
            case "GET", "/v1/models":
                models = [{"id": self._options.name, "object": "model", "created": 0, "owned_by": "trio-swap"}]
                await wire.send_json(HTTPStatus.OK, {"object": "list", "data": models})
            case "POST", "/v1/chat/completions" | "/v1/completions":
                if not is_loaded:
                    raise BadRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "Loading model")
                await self._complete(wire, parse_ask(body, is_chat=path == "/v1/chat/completions"))
            case _, "/health" | "/v1/models" | "/v1/chat/completions" | "/v1/completions":
                raise BadRequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not allowed here")
            case _:
                raise BadRequestError(HTTPStatus.NOT_FOUND, f"there is nothing at {path}")

    async def _complete(self, wire: Wire, ask: Ask) -> None:
        tokens, finish_reason = self._tokens(ask)
        answer = Answer(name=self._options.name, ask=ask, number=next(self._ids), finish_reason=finish_reason)
        if ask.stream:
            await wire.start_events()
        await trio.sleep(self._options.service_s)
        if not ask.stream:
            await self._pace(trio.current_time(), len(tokens) - 1)
            await wire.send_json(HTTPStatus.OK, answer.whole(tokens))
            return
        await self._stream(wire, answer, tokens)

    async def _stream(self, wire: Wire, answer: Answer, tokens: list[str]) -> None:
        for event in answer.first_events():
            await wire.send_event(event)
        first_at = trio.current_time()
        for index, token in enumerate(tokens):
            await self._pace(first_at, index)
            await wire.send_event(answer.token_event(token))
        for event in answer.last_events(len(tokens)):
            await wire.send_event(event)
        await wire.end_events()

    async def _pace(self, first_at: float, index: int) -> None:
        rate = self._options.tokens_per_second
        await trio.sleep_until(first_at + max(index, 0) / rate if rate > 0 else first_at)

    def _tokens(self, ask: Ask) -> tuple[list[str], str]:
        """Return the answer's tokens, a word each, and the reason for their end."""
        words = f"This is {self._options.name} speaking: {ask.prompt}".split()
        tokens = [words[0], *(f" {word}" for word in words[1:])]
        if self._options.tokens is not None:
            again = itertools.cycle([*tokens[:-1], f"{tokens[-1]}."])
            tokens = list(itertools.islice(again, self._options.tokens))
        if ask.max_tokens is not None and ask.max_tokens < len(tokens):
            return tokens[: ask.max_tokens], "length"
        return tokens, "stop"


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (number := float(text)) < math.inf:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more")


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")


def _port(text: str) -> int:
    if (port := _count(text)) <= LAST_PORT:
        return port
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to {LAST_PORT}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> NoReturn:
    """Run as `python -m proxy.demo_model`."""
    parser = argparse.ArgumentParser(prog="demo-model", description="A small OpenAI-compatible server for trying out.")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
