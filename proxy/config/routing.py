"""Where a name that a client asks for leads, and what is changed of a request on the way: frozen, without mistakes.

A name goes through these, each at most once: the active profile's pins, selectors, then models by id, models by alias,
peers by `peer/model`, peers by the bare name of a model that only one of them has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is changed of a JSON body. Keys are paths: `a.b` is a field in a field, `a.0` an item of a list."""

    strip: tuple[str, ...] = ()
    """Taken out, before anything is set."""
    set: Mapping[str, Json] = field(default_factory=dict)
    """Written over whatever is there."""
    set_by_name: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """The same, by the name that was asked for; wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Patience with a server, in seconds; inf: without end."""

    connect_s: float = 30.0
    """For a connection, with its TLS handshake."""
    response_header_s: float = float("inf")
    """From the request sent to the head of the answer."""
    idle_s: float = 90.0
    """An unused connection is kept so long."""


NO_FILTERS: Final = Filters()
DEFAULT_TIMEOUTS: Final = Timeouts()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """Another proxy or provider that has models of its own."""

    id: str
    url: str
    """Without a slash at the end; the path of a request is appended."""
    models: tuple[str, ...]
    """The names that the peer knows."""
    api_key: str | None = field(repr=False)
    """Sent in place of the client's; None: the client's own is passed on."""
    filters: Filters
    timeouts: Timeouts
    concurrency: int
    """Requests that are sent to it at once; more wait. 0: no bound."""


class SelectorStrategy(Enum):
    """How a selector picks one of its targets."""

    PIN = "pin"
    """Always the first."""
    WARM = "warm"
    """The first that is loaded, else the first that loads, else the first."""
    SPILLOVER = "spillover"
    """The least busy of those in use, until each has `spillover` requests; then one more is put to use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorConfig:
    """A name that stands for one of several models."""

    id: str
    strategy: SelectorStrategy
    targets: tuple[str, ...]
    """Names of models, local ones or a peer's, at least one."""
    spillover: int
    name: str | None
    description: str | None
    unlisted: bool
    metadata: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileConfig:
    """Names that lead elsewhere while the profile is the active one."""

    id: str
    description: str | None
    pins: Mapping[str, str | None]
    """From a name to a target; None: the name is switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model can do, for listings. Nothing set: nothing is listed."""

    inputs: tuple[str, ...] = ()
    """Of `text`, `audio`, `image`."""
    outputs: tuple[str, ...] = ()
    tools: bool = False
    reranker: bool = False
    context: int = 0
    """Tokens; 0: not told."""


NO_CAPABILITIES: Final = Capabilities()
