"""Where the name that a client asks for leads: a model of ours, or a peer's; and what is changed of the body for it.

In this order, each at most once: the active profile's pins, selectors, ids, aliases, `peer/model`, and the bare name of
a model that one peer alone has. Nothing here waits: who asks where a name leads can act on the answer at once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from states.group import GroupState
from states.settings import ModelId

from .asking import no_model
from .config import Config
from .config.routing import PeerConfig, SelectorConfig
from .filtering import Change, changes_of, rewritten
from .replies import Problem
from .selecting import Standing, choose, standing_of

_LOG: Final = logging.getLogger("trio_swap.names")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Which target a selector picked."""

    selector: str
    place: int
    """In the selector's list."""
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request goes."""

    model: ModelId
    """Ours, or as the peer calls it."""
    peer: str | None
    """None: the model is ours."""
    sent_as: str
    """What the body is to call the model."""
    changes: tuple[Change, ...]
    pick: Pick | None = None
    """Of the selector that led here."""

    def body(self, given: bytes, named: str) -> bytes:
        """Return what is sent of a body that calls its model `named`. Raises Problem."""
        if self.sent_as == named and not self.changes:
            return given
        return rewritten(given, named, self.sent_as, self.changes)


class Names:
    """Every name that leads somewhere.

    Args:
        config: what holds at first.
        states: the models that have a server or are about to, each with the state of its group.
        is_down: whether a peer takes no requests for now.
    """

    def __init__(
        self,
        config: Config,
        states: Callable[[], Mapping[ModelId, GroupState]],
        is_down: Callable[[str], bool],
    ) -> None:
        self.profile: str | None = None
        """The active one."""
        self._states = states
        self._is_down = is_down
        self._busy: Counter[tuple[str, str]] = Counter()
        """Requests under way, by selector and target."""
        self._last: dict[str, Pick] = {}
        """By selector."""
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Let names lead where another configuration says. The active profile stays, if it is still there."""
        self._config = config
        self._routes = _routes(config)
        if self.profile is not None and self.profile not in config.profiles:
            _LOG.warning("the active profile %s is gone: none is active now", self.profile)
            self.profile = None
        self._last = {name: pick for name, pick in self._last.items() if name in config.selectors}

    def switch(self, profile: str | None) -> None:
        """Make a profile the active one; None: none is. Raises Problem: there is no such profile."""
        if profile is not None and profile not in self._config.profiles:
            known = f"there are {', '.join(self._config.profiles)}" if self._config.profiles else "there are none"
            raise Problem(
                status=HTTPStatus.NOT_FOUND,
                code="profile_not_found",
                message=f"there is no profile {profile!r}; {known}",
                param="name",
            )
        if profile != self.profile:
            _LOG.info("the active profile is %s now, and was %s", profile or "none", self.profile or "none")
        self.profile = profile

    @property
    def pins(self) -> Mapping[str, str | None]:
        """Of the active profile."""
        return {} if self.profile is None else self._config.profiles[self.profile].pins

    def example(self) -> str:
        """Return a name that leads somewhere, to be shown."""
        return next(iter(self._routes), "...")

    def find(self, name: str) -> Route:
        """Return where a name leads now. Raises Problem: nowhere."""
        if self.profile is not None and name in self.pins:
            target = self.pins[name]
            if target is None:
                raise Problem(
                    status=HTTPStatus.NOT_FOUND,
                    code="model_not_found",
                    message=f"{name} is switched off by the active profile, {self.profile}",
                    param="model",
                )
            name = target
        selector = self._config.selectors.get(name)
        if selector is not None:
            return self._pick(selector)
        route = self._routes.get(name)
        if route is None:
            raise no_model(name, [*self._routes, *self._config.selectors, *self.pins])
        return route

    def find_model(self, name: str) -> ModelId:
        """Return the model of ours that an id or an alias means. Raises Problem: there is none."""
        route = self._routes.get(name)
        if route is None or route.peer is not None:
            raise no_model(name, [known for known, route in self._routes.items() if route.peer is None])
        return route.model

    @contextmanager
    def under_way(self, route: Route) -> Iterator[None]:
        """Count a request for whoever picks next, as long as the block lasts."""
        if route.pick is None:
            yield
            return
        key = (route.pick.selector, route.pick.target)
        self._busy[key] += 1
        try:
            yield
        finally:
            self._busy[key] -= 1
            if not self._busy[key]:
                del self._busy[key]

    def standings(self, selector: SelectorConfig) -> list[Standing]:
        """Return how each target of a selector stands now."""
        states = self._states()
        return [self._standing(self._routes[target], states) for target in selector.targets]

    def _standing(self, route: Route, states: Mapping[ModelId, GroupState]) -> Standing:
        if route.peer is None:
            return standing_of(states.get(route.model))
        return Standing.LEAVING if self._is_down(route.peer) else Standing.COLD

    def _pick(self, selector: SelectorConfig) -> Route:
        last = self._last.get(selector.id)
        choice = choose(
            selector,
            self.standings(selector),
            [self._busy[selector.id, target] for target in selector.targets],
            -1 if last is None else last.place,
        )
        pick = Pick(selector=selector.id, place=choice.place, target=selector.targets[choice.place])
        is_news = last is None or last.target != pick.target
        _LOG.log(logging.INFO if is_news else logging.DEBUG, "%s leads to %s: %s", selector.id, pick.target, choice.why)
        self._last[selector.id] = pick
        return replace(self._routes[pick.target], pick=pick)


def _routes(config: Config) -> dict[str, Route]:
    """Return every name of one model; of two claims to a name the first counts."""
    routes: dict[str, Route] = {}
    for model in config.models.values():
        for name in (model.id, *model.aliases, *model.filters.set_by_name):
            if name == model.id or name not in config.models:
                route = Route(
                    model=model.id,
                    peer=None,
                    sent_as=model.use_model_name or name,
                    changes=changes_of(model.filters, name),
                )
                routes.setdefault(name, route)
    for peer in config.peers.values():
        for remote in peer.models:
            routes.setdefault(f"{peer.id}/{remote}", _remote(peer, remote, f"{peer.id}/{remote}"))
    offered = Counter(remote for peer in config.peers.values() for remote in set(peer.models))
    for peer in config.peers.values():
        for remote in peer.models:
            if offered[remote] == 1:
                routes.setdefault(remote, _remote(peer, remote, remote))
    return routes


def _remote(peer: PeerConfig, remote: str, name: str) -> Route:
    filtered_as = name if name in peer.filters.set_by_name else remote
    return Route(model=ModelId(remote), peer=peer.id, sent_as=remote, changes=changes_of(peer.filters, filtered_as))
