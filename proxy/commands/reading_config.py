"""The argument CONFIG of several verbs: the file, or everything that is wrong with it on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.config import Config

CONFIG_HELP: Final = "configuration file, such as config.toml"
CONFIGS_HELP: Final = "configuration file, TOML or llama-swap's YAML; several, or a folder, are read as one"


def add_configs(parser: argparse.ArgumentParser) -> None:
    """Declare the argument of verbs that take several files."""
    parser.add_argument("config", metavar="CONFIG", nargs="+", help=CONFIGS_HELP)


def load(path: str, *more: str) -> Config | None:
    """Return the configuration; None: the mistakes were shown, and the verb is to end with exit code 2."""
    both = load_both(path, *more)
    return None if both is None else both[0]


def load_both(path: str, *more: str) -> tuple[Config, Mapping[str, object]] | None:
    """Return the configuration, and the file that would say the same in TOML; None: as `load`."""
    from proxy.config import ConfigError, load_written

    try:
        return load_written(path, more=more)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return None
