"""`trio-swap demo-model`: a server that pretends to be a model."""

from __future__ import annotations

from typing import Final

from proxy.demo_model import add_arguments, run

__all__ = ["DESCRIPTION", "EXAMPLES", "add_arguments", "run"]

DESCRIPTION: Final = """\
A small server that speaks the OpenAI protocol and pretends to be a model: takes
its time to load, to answer and to stop, as told, and says its name."""

EXAMPLES: Final = """\
examples:
  trio-swap demo-model --port 9001
  trio-swap demo-model --port 9001 --name slow --load 10 --tokens-per-second 5"""
