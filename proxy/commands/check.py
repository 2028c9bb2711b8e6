"""`trio-swap check`: what is wrong with a configuration file, or what it means."""

from __future__ import annotations

import argparse
from typing import Final

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

        from proxy.config import effective

        print(tomli_w.dumps(effective(config)), end="")
    else:
        from proxy.config.explaining import explanation

        print("\n".join(explanation(config)))
    return 0
