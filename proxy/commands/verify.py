"""`trio-swap verify`: what can happen under a configuration, by its rules and by looking at every order of events."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from .reading_config import CONFIG_HELP, load

DESCRIPTION: Final = """\
Say what can happen under a configuration: who can be made to wait without bound
and by whom, how long the others wait at most, which models are never loaded
together, which settings can never matter; and what to do about it. Small worlds
of its models are explored in every order of events. No server is started."""

EXAMPLES: Final = """\
examples:
  trio-swap verify config.toml
  trio-swap verify config.toml --story       step by step, how somebody starves
  trio-swap verify config.toml --time 300    explore for up to five minutes
  trio-swap verify config.toml --json        for programs

exit codes: 0 nobody waits without bound; 1 somebody can; 2 wrong usage or
configuration"""

_USUAL_TIME_S: Final = 30.0
_USUAL_STATES: Final = 500_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `verify`."""
    parser.add_argument("config", metavar="CONFIG", help=CONFIG_HELP)
    parser.add_argument(
        "--time", metavar="S", type=_limit, default=_USUAL_TIME_S, help="seconds to explore for at most (default: 30)"
    )
    parser.add_argument(
        "--states",
        metavar="N",
        type=_limit,
        default=float(_USUAL_STATES),
        help="states to explore at most (default: 500000); 0: explore nothing",
    )
    parser.add_argument("--story", action="store_true", help="tell step by step how somebody waits without bound")
    parser.add_argument("--json", action="store_true", help="write the verdict as JSON")


def run(options: argparse.Namespace) -> int:
    """Verify, and return the exit code."""
    config = load(options.config)
    if config is None:
        return 2

    from time import monotonic

    from proxy.verifying.exploring import explore_all
    from proxy.verifying.paragraphs import text
    from proxy.verifying.verdict import as_json, verdict
    from states.contention import Contention
    from states.excerpts import excerpts

    contention, end = Contention(config.settings), monotonic() + options.time
    findings = explore_all(
        excerpts(contention),
        most=int(options.states),
        is_late=lambda: monotonic() >= end,
        progress=_show if sys.stderr.isatty() else None,
    )
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    found = verdict(config, contention, findings)
    if options.json:
        import json

        print(json.dumps(as_json(found), indent=2))
    else:
        print("\n".join(text(found, stories=options.story)))
    return 0 if found.is_calm else 1


def _show(done: int, worlds: int, states: int) -> None:
    print(f"\r\x1b[Kexploring world {done + 1} of {worlds}, {states:,} states", end="", file=sys.stderr, flush=True)


def _limit(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{word}: expected a number that is not negative")
    return number
