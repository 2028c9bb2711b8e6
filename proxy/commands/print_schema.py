"""`trio-swap schema`: the configuration file as JSON Schema, for editors."""

from __future__ import annotations

import argparse
from typing import Final

DESCRIPTION: Final = """\
Write a JSON Schema (2020-12) of the configuration file. An editor that knows it
completes keys, shows what they mean and marks mistakes; `trio-swap check` says
more, because a schema cannot compare one value with another."""

EXAMPLES: Final = """\
examples:
  trio-swap schema > trio-swap.schema.json

then, as the first line of config.toml, for editors that use Taplo (Even Better
TOML among them):
  #:schema ./trio-swap.schema.json"""


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Declare no arguments: there is one schema."""


def run(_: argparse.Namespace) -> int:
    """Write it, and return the exit code."""
    import msgspec

    from proxy.config.json_schema import json_schema

    print(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode())
    return 0
