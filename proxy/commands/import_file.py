"""`trio-swap import`: a llama-swap file as one of ours."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from .reading_config import load_both

DESCRIPTION: Final = """\
Write a llama-swap file (YAML) as a config.toml that means the same, macros and
placeholders as they are. What nothing here answers to is listed, and what is
better here. No file is overwritten. A llama-swap file can be served as it is,
too."""

EXAMPLES: Final = """\
examples:
  trio-swap import llama-swap.yaml                     to standard output
  trio-swap import llama-swap.yaml -o config.toml
  trio-swap check config.toml"""

_BETTER: Final = (
    "a model stays for unload_delay after its last request, and min_loaded after loading, although others wait",
    "priorities hold among all models, and whoever has waited for max_wait is next (5 minutes, when nothing is said)",
    "a request over concurrency waits, up to queue_limit, and does not get 429",
    "ports are chosen when a server starts, so that one in use is no mistake",
    "a changed file is carried out by difference: models that did not change keep running, and so do their requests",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `import`."""
    parser.add_argument("file", metavar="FILE", nargs="+", help="llama-swap file; several, or a folder, become one")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to; without it, standard output")


def run(options: argparse.Namespace) -> int:
    """Read, write, and return the exit code."""
    output = None if options.output is None else Path(options.output)
    if output is not None and output.exists():
        print(
            f"trio-swap: {output} is there already, and is not overwritten: name another file with -o", file=sys.stderr
        )
        return 2
    both = load_both(*options.file)
    if both is None:
        return 2
    from proxy.config.toml_text import toml_text

    config, written = both
    text = toml_text(written, [str(Path(file).name) for file in options.file], [note.message for note in config.notes])
    if output is None:
        print(text, end="")
    else:
        try:
            with output.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            print(f"trio-swap: {output} cannot be written: {error.strerror}", file=sys.stderr)
            return 1
    for title, lines in (
        ("Not carried over:", [f"line {note.line}: {note.message}" for note in config.notes]),
        ("Better here:", _BETTER),
    ):
        if lines:
            print("\n".join([title, *(f"  {line}" for line in lines)]), file=sys.stderr)
    return 0
