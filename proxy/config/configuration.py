"""What a configuration file says, as frozen values: read once (`load_config`), never changed while the proxy runs.

Scheduling has its own frozen settings in `states.settings`; here is everything else. Commands keep their placeholders:
what is known at load (`${MODEL_ID}`, `${env.NAME}`) is in `substitutions`, what is not (`${PORT}`, `${PID}`) is handed
in, and all are filled in in one pass, so that a value that looks like a placeholder stays what it is.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from states.settings import ModelId, Settings

from .kinds import is_loopback
from .mistakes import Mistake
from .placeholders import fill, names_in
from .routing import (
    DEFAULT_TIMEOUTS,
    NO_CAPABILITIES,
    NO_FILTERS,
    Capabilities,
    Filters,
    Json,
    PeerConfig,
    ProfileConfig,
    SelectorConfig,
    Timeouts,
)
from .schema import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """How one model's server is started, found and stopped. Times are seconds."""

    id: ModelId
    cmd: tuple[str, ...]
    """Words with placeholders, at least one: `command` fills them in."""
    cmd_stop: tuple[str, ...] | None
    """Words with placeholders; None: the server is stopped by SIGTERM."""
    proxy: str
    """URL with placeholders: `url` fills them in."""
    check_endpoint: str | None
    """Path that answers 200 when the server is ready, `/health`; None: it is ready when it has started."""
    load_timeout_s: float
    env: Mapping[str, str]
    """Added to the proxy's own environment; values with placeholders: `environment` fills them in."""
    cwd: str | None
    """None: where the proxy was started."""
    aliases: tuple[str, ...]
    name: str | None
    description: str | None
    unlisted: bool
    use_model_name: str | None = None
    """Written into the body in place of the name that was asked for; None: that stays."""
    filters: Filters = NO_FILTERS
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    capabilities: Capabilities = NO_CAPABILITIES
    metadata: Mapping[str, Json] = field(default_factory=dict)
    """For listings."""
    substitutions: Mapping[str, str] = field(repr=False)
    """What `${MODEL_ID}` and the `${env.NAME}` of this model stand for. Not shown: the environment holds secrets."""

    @property
    def needs_port(self) -> bool:
        """Whether anything of this model says `${PORT}`: if not, a fixed port is written into the file."""
        return "PORT" in names_in(*self.cmd, *(self.cmd_stop or ()), *self.env.values(), self.proxy)

    @property
    def is_port_fixed(self) -> bool:
        """Whether `url` is the same whatever port is handed out: who listens there is not ours to choose."""
        return "PORT" not in names_in(self.proxy)

    def command(self, port: int) -> list[str]:
        """Return the words to start the server with, which is to answer on `port`."""
        words = self._filled(self.cmd, PORT=port)
        if words[0] == "trio-swap" and shutil.which("trio-swap", path=self.environment(port).get("PATH")) is None:
            # Run as .venv/bin/trio-swap, its folder is not on PATH; the root config.toml must work all the same.
            words[:1] = this_program()
        return words

    def stop_command(self, port: int, pid: int | str) -> list[str] | None:
        """Return the words that stop the server which runs as `pid`, or as what stands for it; None: send SIGTERM."""
        return None if self.cmd_stop is None else self._filled(self.cmd_stop, PORT=port, PID=pid)

    def url(self, port: int) -> str:
        """Return where the server answers, without a slash at the end: `http://127.0.0.1:5800`."""
        return self._filled([self.proxy], PORT=port)[0].rstrip("/")

    def environment(self, port: int) -> dict[str, str]:
        """Return the variables to add to the proxy's own for this server."""
        return dict(zip(self.env, self._filled(list(self.env.values()), PORT=port), strict=True))

    def _filled(self, templates: Sequence[str], **known_now: int | str) -> list[str]:
        values = {**self.substitutions, **{name: str(value) for name, value in known_now.items()}}
        return [fill(template, values) for template in templates]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration file without mistakes. Times are seconds, sizes are bytes."""

    path: Path
    files: tuple[Path, ...] = ()
    """What it was read from; folders stand for the files in them."""
    digest: bytes = field(default=b"", repr=False, compare=False)
    """Of what they said, as `sources.digest` makes it, for whoever watches them."""
    listen: tuple[str, ...]
    """`host:port`, `[ipv6]:port` or `unix:PATH`, at least one; port 0: any free one."""
    start_port: int
    shutdown_timeout_s: float
    send_timeout_s: float
    """inf: never."""
    max_body_bytes: int
    api_keys: tuple[str, ...] = field(repr=False)
    """Empty: open to everyone who can connect."""
    log_level: str
    """`debug`, `info`, `warning` or `error`."""
    log_format: str
    """`text` or `json`."""
    preload: tuple[ModelId, ...]
    models: Mapping[ModelId, ModelConfig]
    """In file order."""
    peers: Mapping[str, PeerConfig] = field(default_factory=dict)
    selectors: Mapping[str, SelectorConfig] = field(default_factory=dict)
    profiles: Mapping[str, ProfileConfig] = field(default_factory=dict)
    settings: Settings
    notes: tuple[Mistake, ...] = field(default=(), repr=False, compare=False)
    """What is not carried over from a llama-swap file, each with its place."""
    tables: Tables = field(repr=False, compare=False)
    """The file as it was understood, defaults filled in, placeholders as written: what `effective` prints."""

    @property
    def unprotected(self) -> tuple[str, ...]:
        """The addresses that other machines can reach without a key: worth a warning."""
        return () if self.api_keys else tuple(each for each in self.listen if not is_loopback(each))

    def resolve(self, name: str) -> ModelId | None:
        """Return the model that a client means by `name`, its id or one of its aliases; None: there is none."""
        model = ModelId(name)
        return model if model in self.models else self._aliases().get(name)

    def _aliases(self) -> dict[str, ModelId]:
        return {
            alias: model.id for model in self.models.values() for alias in (*model.aliases, *model.filters.set_by_name)
        }


def this_program() -> list[str]:
    """Return the words that run the trio-swap that is running now."""
    script = Path(sys.executable).with_name("trio-swap")
    return [str(script)] if script.exists() else [sys.executable, "-m", "proxy.cli"]
