"""`trio-swap simulate`: what a configuration does with a workload, in virtual time and beside other ways to decide."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .reading_config import CONFIG_HELP, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.config import Config
    from proxy.simulating.playing import Played
    from proxy.simulating.variants import Variant
    from states.clients import Client
    from states.simulation import Servers

DESCRIPTION: Final = """\
Play a workload against the scheduler of a configuration, in virtual time: no
server is started, hours take milliseconds, and the same seed gives the same
result. Say how often models were loaded and how long requests waited."""

EXAMPLES: Final = """\
examples:
  trio-swap simulate config.toml
  trio-swap simulate config.toml --workload story --compare fifo,peer,fifo+ --svg story.svg
  trio-swap simulate config.toml --workload thread --optimum
  trio-swap simulate config.toml --sweep unload_delay=0,1,2,5,10 --plot holds.svg
  trio-swap simulate config.toml --trace requests.jsonl --load 30 --load coder=90

`--workload list` says which workloads there are, `--compare list` which variants.
A trace has an object in JSON on each line: arrival (seconds), model, service
(seconds), session, and for what follows in a session gap (seconds after the
answer before) instead of arrival."""

_SHOWN_S: Final = 1e5
"""Longer simulations are not drawn in the terminal unasked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `simulate`."""
    parser.add_argument("config", metavar="CONFIG", help=CONFIG_HELP)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--workload", metavar="NAME", default="story", help="a workload that ships (default: story)")
    what.add_argument("--trace", metavar="FILE", type=Path, help="requests as lines of JSON instead")
    parser.add_argument("--map", metavar="ROLE=MODEL", action="append", default=[], help="let a model play a role")
    parser.add_argument("--requests", metavar="N", type=int, help="how many requests an open-ended workload has")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of everything random (default: 0)")
    for name, doing in (("load", "loads take"), ("stop", "stops take"), ("service", "requests take, if not said")):
        forms = "S, MODEL=S or FROM..TO=S" if name == "load" else "S or MODEL=S"
        parser.add_argument(
            f"--{name}", metavar="S", action="append", default=[], help=f"seconds that {doing}: {forms}"
        )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--compare", metavar="NAMES", help="variants side by side, such as fifo,peer,fifo+,unload_delay=2"
    )
    which.add_argument("--sweep", metavar="KEY=A,B,C", help="the same for several values of one setting")
    parser.add_argument("--optimum", action="store_true", help="say how far that is from the best possible")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw which model was loaded when, and who waited")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the waits of every variant")
    parser.add_argument("--ascii", action="store_true", help="draw in the terminal without block characters")


def run(options: argparse.Namespace) -> int:
    """Simulate, and return the exit code."""
    config = load(options.config)
    if config is None:
        return 2
    try:
        return _simulate(options, config)
    except ValueError as error:
        print(f"trio-swap simulate: {error}", file=sys.stderr)
        return 2


def _simulate(options: argparse.Namespace, config: Config) -> int:
    from proxy.simulating.playing import play, used
    from proxy.simulating.reporting import outcome_table

    workload_name, clients, servers = _scene(options, config)
    variants = _variants(options, config)
    played = play(variants, clients, servers, config.settings)
    models = used(played, config.models)
    print(f"{config.path}, {workload_name}, seed {options.seed}")
    print("\n".join(outcome_table(played, models)))
    if options.svg is not None:
        _draw(options.svg, played)
    return 0


def _scene(options: argparse.Namespace, config: Config) -> tuple[str, Callable[[], list[Client]], Servers]:
    """Return what is played, in words, a maker of its clients, and how long its servers take."""
    from random import Random

    from proxy.simulating.casting import cast_of
    from proxy.simulating.timing import durations
    from proxy.simulating.traces import read_trace
    from states.simulation import Servers
    from states.workloads import WORKLOADS

    usual = Servers()
    servers = Servers(
        load=durations(options.load, usual.load, config.resolve),
        stop=durations(options.stop, usual.stop, config.resolve),
        service=durations(options.service, usual.service, config.resolve),
    )
    if options.trace is not None:
        return f"trace {options.trace}", read_trace(options.trace, config.resolve).clients, servers
    workload = WORKLOADS.get(options.workload)
    if workload is None:
        raise ValueError(f"there is no workload {options.workload!r}: expected one of {', '.join(WORKLOADS)}")
    chosen = dict(_pair(word) for word in options.map)
    cast = cast_of(workload, config, chosen)
    seed = options.seed
    return (
        f"workload {workload.name}",
        lambda: workload.clients(cast, Random(seed), options.requests or workload.requests),  # noqa: S311 (a simulation keeps no secrets)
        servers,
    )


def _pair(word: str) -> tuple[str, str]:
    role, equals, model = word.partition("=")
    if not equals:
        raise ValueError(f"--map {word}: expected ROLE=MODEL")
    return role, model


def _variants(options: argparse.Namespace, config: Config) -> list[Variant]:
    from proxy.simulating.variants import changed_variant, variant

    if options.sweep is not None:
        key, _, values = options.sweep.partition("=")
        return [changed_variant(config.settings, key, value) for value in values.split(",")]
    names = [config.settings.strategy.value] if options.compare is None else options.compare.split(",")
    return [variant(name, config.settings) for name in names]


def _draw(path: Path, played: list[Played]) -> None:
    from proxy.pictures.lanes import Block, draw_timelines
    from states.timeline import timeline

    models = list(played[0].variant.settings.models)
    blocks = []
    for each in played:
        found = each.outcome
        remark = f"{len(found.loads)} loads, {found.makespan_s:.0f} s"
        blocks.append(Block(f"{each.variant.name}: {each.variant.summary}", remark, timeline(each.record, models)))
    path.write_text(draw_timelines(blocks), encoding="utf-8")
