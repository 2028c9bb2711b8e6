"""The argument CONFIG of several verbs: the file, or everything that is wrong with it on standard error."""

from __future__ import annotations

import sys
from typing import Final

from proxy.config import Config, ConfigError, load_config

CONFIG_HELP: Final = "configuration file, such as config.toml"


def load(path: str) -> Config | None:
    """Return the configuration; None: the mistakes were shown, and the verb is to end with exit code 2."""
    try:
        return load_config(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return None
