"""What a configuration means, in a few lines for whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from states.residency import policy_of

from .configuration import Config
from .routing import SelectorStrategy

MOST_COMPARED: Final = 10_000
"""Combinations of a matrix, times models, that are looked through to say what happens at worst: a moment's work."""


def explanation(config: Config) -> list[str]:
    """Return what loading each model unloads, where other names lead, what is passed over, and a warning."""
    strategy = config.settings.strategy.value
    lines = [f"{config.path} is right: {_count(len(config.models), 'model')}, strategy {strategy}"]
    lines += ["", *_residency(config)]
    if elsewhere := [*_selectors(config), *_profiles(config), *_peers(config)]:
        lines += ["", *elsewhere]
    if config.notes:
        lines += ["", "What llama-swap reads and nothing here answers to:"]
        lines += [f"  line {note.line}: {note.message}" for note in config.notes]
    if config.unprotected:
        open_to = ", ".join(config.unprotected)
        lines += ["", f"warning: other machines can reach {open_to} without a key: set server.api_keys"]
    return lines


def _residency(config: Config) -> Iterator[str]:
    policy = policy_of(config.settings)
    matrix = config.settings.matrix
    is_small = matrix is not None and matrix.combinations() * len(config.models) <= MOST_COMPARED
    verb = "unloads at worst" if is_small else "unloads"
    widest = max(len(model) for model in config.models)
    for model in config.models:
        displaced = policy.victims(model, config.models) if is_small else policy.displaced_by(model)
        victims = [each for each in config.models if each in displaced]
        yield f"loading  {model:<{widest}}  {verb}  {', '.join(victims) or 'nothing'}"
    if is_small:
        yield "at worst: were all the others there; whoever fits beside it, as the sets and costs have it, stays"
    elif matrix is not None:
        yield "there are too many combinations to say the worst: these are the models that no set has beside it"


def _selectors(config: Config) -> Iterator[str]:
    for selector in config.selectors.values():
        targets = ", ".join(selector.targets)
        busy = _count(selector.spillover, "request")
        how = {
            SelectorStrategy.PIN: f"the first of {targets}",
            SelectorStrategy.WARM: f"one that is loaded of {targets}, else the first",
            SelectorStrategy.SPILLOVER: f"the least busy of {targets}; one more of them when each in use has {busy}",
        }[selector.strategy]
        yield f"selector {selector.id}: {how}"


def _profiles(config: Config) -> Iterator[str]:
    for profile in config.profiles.values():
        pins = (f"{pin} -> {target}" if target else f"{pin} is off" for pin, target in profile.pins.items())
        yield f"profile {profile.id}, when it is the active one: {', '.join(pins)}"


def _peers(config: Config) -> Iterator[str]:
    for peer in config.peers.values():
        bound = f", {_count(peer.concurrency, 'request')} at once" if peer.concurrency else ""
        names = ", ".join(f"{peer.id}/{model}" for model in peer.models)
        yield f"peer {peer.id} at {config.tables.peers[peer.id].proxy}{bound}: {names}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
