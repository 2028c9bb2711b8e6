"""Real servers: a port, a process, the connections to it and the question whether it is ready, as one block."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from states.settings import ModelId

from .config import ModelConfig
from .groups import LaunchError
from .ports import PortPool, PortsExhausted
from .processes import Command, ServerProcess, SpawnError, describe_exit, open_process
from .readiness import NO_CHECK, Readiness
from .upstream import Upstream

VACANT_WITHIN_S: Final = 2.0
"""A container's port outlives its container by moments; whoever still listens after so long is somebody else."""
_LOOK_AGAIN_S: Final = 0.05
_LAST_WORDS: Final = 8
"""Lines of output in an error message; the log has the rest. llama.cpp gives its reason six lines before its last."""
_LONGEST_LINE: Final = 300
"""Characters of each; of a longer one its end."""


class ProcessServer:
    """A server that runs as a process; see `groups.Server`."""

    def __init__(self, model: ModelConfig, process: ServerProcess, url: str) -> None:
        self.upstream: Final = Upstream(
            url,
            connect_timeout_s=model.timeouts.connect_s,
            answer_timeout_s=model.timeouts.response_header_s,
            idle_timeout_s=model.timeouts.idle_s,
        )
        self._process = process
        self._readiness = Readiness(url, model.check_endpoint or NO_CHECK)

    async def until_ready(self) -> None:
        """Return once it answers."""
        await self._readiness.until_ready()

    def unready(self) -> str:
        """Say what its last probe brought, and its last words."""
        return f"{self._readiness.last}{self._last_words()}"

    async def ended(self) -> str:
        """Wait until it ends by itself, and say how, with its last words."""
        status = await self._process.exited()
        # Wrappers that leave their server running in the background are the usual case of this.
        why = " (cmd has to stay as long as its server runs)" if status == 0 else ""
        return f"{describe_exit(status)}{why}{self._last_words()}"

    async def stop(self) -> None:
        """Ask it to end and wait until nothing is left of it."""
        await self._process.stop()

    def _last_words(self) -> str:
        lines = [line.strip()[-_LONGEST_LINE:] for line in self._process.output.tail(_LAST_WORDS) if line.strip()]
        return f"; its last words: {' | '.join(lines)}" if lines else ""


class ProcessLauncher:
    """Starts servers, each on a port of its own; the instance is the `groups.Launcher`."""

    def __init__(self, start_port: int) -> None:
        self._ports = PortPool(start_port)
        self._last_port: dict[ModelId, int] = {}

    @asynccontextmanager
    async def __call__(self, model: ModelConfig) -> AsyncIterator[ProcessServer]:
        """Start a model's server; at the end of the block nothing is left of it.

        Raises:
            LaunchError: no port is free, its own is taken, or the command cannot be started.
        """
        if model.is_port_fixed and model.check_endpoint is not None:
            await _until_vacant(model)
        log = logging.getLogger(f"trio_swap.models.{model.id}")
        try:
            port = self._ports.take(self._last_port.get(model.id)) if model.needs_port else 0
        except PortsExhausted as error:
            raise LaunchError(f"{model.id} has no port: {error}") from error
        try:
            async with open_process(_command(model, port), name=model.id, on_line=log.debug) as process:
                self._last_port[model.id] = port
                yield ProcessServer(model, process, model.url(port))
        except SpawnError as error:
            raise LaunchError(str(error)) from error
        finally:
            self._ports.give_back(port)


async def _until_vacant(model: ModelConfig) -> None:
    """Wait until nobody listens where the server is to: a stranger's answers would pass for its own.

    Raises:
        LaunchError: somebody stays there.
    """
    readiness = Readiness(model.url(0), NO_CHECK)
    with trio.move_on_after(VACANT_WITHIN_S):
        while await readiness.is_taken():  # noqa: ASYNC110  it is another process
            await trio.sleep(_LOOK_AGAIN_S)
        return
    raise LaunchError(
        f"{model.id} is not started: something else listens on {readiness.where} already, and would pass for it; stop"
        f' that or change the port. If that is the server you mean, set check_endpoint = "none"'
    )


def _command(model: ModelConfig, port: int) -> Command:
    # The pid is known once it runs: `processes` fills it in.
    stop = model.stop_command(port, "${PID}")
    return Command(
        argv=tuple(model.command(port)),
        env=model.environment(port),
        cwd=model.cwd,
        stop_argv=None if stop is None else tuple(stop),
    )
