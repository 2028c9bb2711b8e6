"""Real servers: a port, a process, the connections to it and the question whether it is ready, as one block."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from states.settings import ModelId

from .config import ModelConfig
from .groups import LaunchError
from .ports import PortPool, PortsExhausted
from .processes import Command, ServerProcess, SpawnError, describe_exit, open_process
from .readiness import NO_CHECK, Readiness
from .upstream import Upstream

_LAST_WORDS: Final = 3
"""Lines of output in an error message; the log has the rest."""


class ProcessServer:
    """A server that runs as a process; see `groups.Server`."""

    def __init__(self, model: ModelConfig, process: ServerProcess, url: str) -> None:
        self.upstream: Final = Upstream(url)
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
        return f"{describe_exit(status)}{self._last_words()}"

    async def stop(self) -> None:
        """Ask it to end and wait until nothing is left of it."""
        await self._process.stop()

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._process.output.tail(_LAST_WORDS) if line.strip()]
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
            LaunchError: no port is free, or the command cannot be started.
        """
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


def _command(model: ModelConfig, port: int) -> Command:
    # The pid is known once it runs: `processes` fills it in.
    stop = model.stop_command(port, "${PID}")
    return Command(
        argv=tuple(model.command(port)),
        env=model.environment(port),
        cwd=model.cwd,
        stop_argv=None if stop is None else tuple(stop),
    )
