"""`trio-swap check`: what is wrong with a configuration file, or what it means."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

from proxy.config import Config, effective
from proxy.config.routing import SelectorStrategy
from states.residency import policy_of

from .reading_config import add_configs, load

DESCRIPTION: Final = """\
Read a configuration file, say everything that is wrong with it at once, or else
what loading each model unloads. No server is started."""

EXAMPLES: Final = """\
examples:
  trio-swap check config.toml
  trio-swap check llama-swap.yaml
  trio-swap check config.toml --print > everything.toml"""


MOST_COMPARED: Final = 10_000
"""Combinations of a matrix, times models, that are looked through to say what happens at worst: a moment's work."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `check`."""
    add_configs(parser)
    parser.add_argument("--print", action="store_true", help="write the whole configuration, every default filled in")


def run(options: argparse.Namespace) -> int:
    """Check, and return the exit code."""
    config = load(*options.config)
    if config is None:
        return 2
    if options.print:
        import tomli_w

        print(tomli_w.dumps(effective(config)), end="")
    else:
        print("\n".join(_explanation(config)))
    return 0


def _explanation(config: Config) -> list[str]:
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
