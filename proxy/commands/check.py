"""`trio-swap check`: what is wrong with a configuration file, or what it means."""

from __future__ import annotations

import argparse
from typing import Final

from proxy.config import Config, effective
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
    policy = policy_of(config.settings)
    strategy = config.settings.strategy.value
    lines = [f"{config.path} is right: {_count(len(config.models), 'model')}, strategy {strategy}", ""]
    widest = max(len(model) for model in config.models)
    for model in config.models:
        displaced = policy.displaced_by(model)
        victims = [each for each in config.models if each in displaced]
        lines.append(f"loading  {model:<{widest}}  unloads  {', '.join(victims) or 'nothing'}")
    if config.notes:
        lines += ["", "What llama-swap reads and nothing here answers to:"]
        lines += [f"  line {note.line}: {note.message}" for note in config.notes]
    if config.unprotected:
        open_to = ", ".join(config.unprotected)
        lines += ["", f"warning: other machines can reach {open_to} without a key: set server.api_keys"]
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
