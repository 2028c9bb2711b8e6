"""The configuration again, while everything runs: read when asked, one reading after the other, in order.

Whoever asks while a file is being read gets another reading, of what is there then: two quick edits are two reloads,
or one of both, and never half of one. A file that is wrong changes nothing. A model that did not change never notices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import trio

from states.settings import ModelId

from .config import Config, ConfigError
from .config.differences import Differences, differences

_LOG: Final = logging.getLogger("trio_swap.config")

Apply = Callable[[Config, frozenset[ModelId]], trio.Event]
"""Goes over to a configuration, restarting some models; the event: what had to end for it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """How a reload went."""

    at: float
    """Trio's time."""
    cause: str
    differences: Differences | None
    """None: the file is wrong, and nothing has changed."""
    report: str
    """What has changed, or everything that is wrong with the file."""


class Asked:
    """Somebody's wish for a reload."""

    def __init__(self, cause: str) -> None:
        self.cause: Final = cause
        self._done = trio.Event()
        self._outcome: Reloaded | None = None

    def settle(self, outcome: Reloaded) -> None:
        """Say how it went."""
        self._outcome = outcome
        self._done.set()

    async def outcome(self) -> Reloaded:
        """Wait until it was carried out, or refused; what has to end for it may still be ending."""
        await self._done.wait()
        return cast(Reloaded, self._outcome)


class Reloader:
    """Reads the configuration again whenever it is asked to.

    Args:
        config: what holds.
        read: reads what is to hold; raises ConfigError.
        apply: goes over to it.
        settle: called when what had to end for a reload has ended.
    """

    def __init__(self, config: Config, read: Callable[[], Config], apply: Apply, settle: Callable[[], None]) -> None:
        self.last: Reloaded | None = None
        """None: there was none."""
        self._config = config
        self._read = read
        self._apply = apply
        self._settle = settle
        self._asked: list[Asked] = []
        self._wake = trio.Event()

    def ask(self, cause: str) -> Asked:
        """Ask for a reload, to be begun after this."""
        asked = Asked(cause)
        self._asked.append(asked)
        self._wake.set()
        return asked

    async def run(self) -> None:
        """Reload as asked, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                asked, self._asked = self._asked, []
                cause = ", ".join(dict.fromkeys(each.cause for each in asked))
                self.last = await self._reload(cause, nursery)
                for each in asked:
                    each.settle(self.last)

    async def _reload(self, cause: str, nursery: trio.Nursery) -> Reloaded:
        try:
            # In a thread: a large file must not hold up anybody's tokens. Nothing is started from that thread.
            config = await trio.to_thread.run_sync(self._read)
        except ConfigError as error:
            _LOG.error("%s: the configuration is wrong, and stays as it was:\n%s", cause, error)
            return Reloaded(at=trio.current_time(), cause=cause, differences=None, report=str(error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours in reading a file ends nothing that is served
            _LOG.exception("%s: the configuration cannot be read, and stays as it was; please report this", cause)
            report = f"{type(error).__name__}: {error}"
            return Reloaded(at=trio.current_time(), cause=cause, differences=None, report=report)
        found = differences(self._config, config)
        _LOG.info("%s: the configuration was read again; %s", cause, found)
        if found.fixed:
            _LOG.warning("%s cannot be changed while the proxy runs: start it anew for that", ", ".join(found.fixed))
        self._config = config
        nursery.start_soon(self._until_settled, self._apply(config, frozenset(found.restarted)))
        return Reloaded(at=trio.current_time(), cause=cause, differences=found, report=str(found))

    async def _until_settled(self, ended: trio.Event) -> None:
        await ended.wait()
        self._settle()
