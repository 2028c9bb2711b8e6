"""How many states the listed small worlds have, and how long it takes to visit them all.

Run it from the project's root: `python -m tests.benchmarks.explore`, with `--deep` for those that take minutes, or with
names of worlds. Its lines are those of the table in docs/verification.md, and seconds.
"""

# ruff: noqa: T201 (it is a program)

from __future__ import annotations

import argparse
from dataclasses import replace
from time import process_time

from tests.states.listed_worlds import ALL, DEEP, LISTED, find, row


def main() -> None:
    """Explore, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", nargs="*", choices=[[], *ALL], help="all that are explored on every change")
    parser.add_argument("--deep", action="store_true", help="those that take minutes")
    words = parser.parse_args()
    chosen = [ALL[name] for name in words.world] or (DEEP if words.deep else LISTED)
    states, steps, begun_all = 0, 0, process_time()
    for world in chosen:
        begun = process_time()
        found = find(world.name)
        seen = replace(world, states=found.states, steps=found.steps, starves=found.starves)
        states, steps = states + found.states, steps + found.steps
        note = "" if found.is_listed(world) else "  <- not what is listed"
        print(f"{row(seen)} {process_time() - begun:.1f} s{note}", flush=True)
    print(f"{states:,} states, {steps:,} steps, {process_time() - begun_all:.0f} s of one core")


if __name__ == "__main__":
    main()
