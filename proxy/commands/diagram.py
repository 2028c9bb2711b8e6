"""`trio-swap diagram`: the machine that every process group lives by, drawn."""

from __future__ import annotations

import argparse
from typing import Final

DESCRIPTION: Final = """\
Draw the state machine that every process group lives by, from the machine
itself. Needs no configuration, no server and no other program."""

EXAMPLES: Final = """\
examples:
  trio-swap diagram                            for a page that shows Mermaid
  trio-swap diagram --format svg > states.svg  light and dark
  trio-swap diagram --format dot | dot -Tpdf > states.pdf"""

_FORMATS: Final = ("mermaid", "markdown", "svg", "dot")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `diagram`."""
    what = "mermaid (the default), markdown: a page with tables, svg: a picture, or dot: for Graphviz"
    parser.add_argument("--format", choices=_FORMATS, default=_FORMATS[0], help=what)


def run(options: argparse.Namespace) -> int:
    """Print the diagram, and return the exit code."""
    from states import chart, diagrams

    draw = {"mermaid": diagrams.mermaid, "markdown": diagrams.markdown, "svg": chart.svg, "dot": diagrams.dot}
    print(draw[options.format]().rstrip("\n"))
    return 0
