"""`trio-swap simulate`: what a configuration does with a workload, in virtual time and beside other ways to decide."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .reading_config import CONFIG_HELP, load

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.simulating.running import Played
    from proxy.simulating.variants import Variant
    from states.settings import ModelId, Settings

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

_EVERY: Final = "fifo,peer,drain-first,no-priorities,no-holds,unload_delay=1,unload_delay=15,no-bounds,fifo+"
"""What `--compare` without names compares."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `simulate`."""
    parser.add_argument("config", metavar="CONFIG", help=CONFIG_HELP)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--workload", metavar="NAME", default="story", help="a workload that ships (default: story)")
    what.add_argument("--trace", metavar="FILE", type=Path, help="requests as lines of JSON instead")
    parser.add_argument("--map", metavar="ROLE=MODEL", action="append", default=[], help="let a model play a role")
    parser.add_argument("--requests", metavar="N", type=_whole, help="how many requests an open-ended workload has")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of everything random (default: 0)")
    for name, doing in (("load", "loads take"), ("stop", "stops take"), ("service", "requests take, if not said")):
        forms = "S, MODEL=S or FROM..TO=S" if name == "load" else "S or MODEL=S"
        parser.add_argument(
            f"--{name}", metavar="S", action="append", default=[], help=f"seconds that {doing}: {forms}"
        )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--compare",
        metavar="NAMES",
        nargs="?",
        const=_EVERY,
        help="variants side by side, such as fifo,peer,fifo+,unload_delay=2; without names: the usual ones",
    )
    which.add_argument("--sweep", metavar="KEY=A,B,C", help="the same for several values of one setting")
    parser.add_argument("--optimum", action="store_true", help="say how far that is from the best possible")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw which model was loaded when, and who waited")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the waits of every variant")
    parser.add_argument("--no-timeline", action="store_true", help="draw nothing in the terminal")
    parser.add_argument("--ascii", action="store_true", help="draw in the terminal without block characters")


def run(options: argparse.Namespace) -> int:
    """Simulate, and return the exit code."""
    config = load(options.config)
    if config is None:
        return 2
    try:
        if "list" in (options.workload, options.compare):
            _list(workloads=options.workload == "list")
        else:
            _simulate(options, config)
    except ValueError as error:
        print(f"trio-swap simulate: {error}", file=sys.stderr)
        return 2
    return 0


def _list(*, workloads: bool) -> None:
    from proxy.simulating.variants import KEYS, NAMES
    from states.workloads import WORKLOADS

    named = {name: workload.summary for name, workload in WORKLOADS.items()} if workloads else dict(NAMES)
    if not workloads:
        named |= {f"{key}=VALUE": f"every model with this {key}" for key in KEYS}
    width = max(map(len, named))
    for name, summary in named.items():
        print(f"{name:<{width}}  {summary}")


def _simulate(options: argparse.Namespace, config: Config) -> None:
    from proxy.simulating.judging import judge, optimum_table
    from proxy.simulating.reporting import outcome_table, worth_telling
    from proxy.simulating.running import play, used
    from proxy.simulating.showing import terminal_timelines
    from proxy.simulating.staging import Wishes, stage

    wishes = Wishes(
        workload=options.workload,
        trace=options.trace,
        roles=dict(_pair(word) for word in options.map),
        requests=options.requests,
        seed=options.seed,
        load=options.load,
        stop=options.stop,
        service=options.service,
    )
    set_up = stage(wishes, config)
    variants = _variants(options, set_up.settings)
    played = play(variants, set_up.clients, set_up.servers, set_up.settings)
    models = used(played, set_up.settings.models)
    print(f"{config.path}, {set_up.name}, seed {options.seed}")
    print("\n".join(outcome_table(played, models)))
    if options.optimum:
        print("\n".join(["", *optimum_table(judge(played, set_up.settings, set_up.servers))]))
    drawn = worth_telling([each.outcome for each in played], models)
    if not options.no_timeline:
        plain = options.ascii or not (sys.stdout.encoding or "").lower().startswith("utf")
        print("\n".join(["", *terminal_timelines(played, drawn, plain=plain)]))
    _draw(options, played, drawn)


def _draw(options: argparse.Namespace, played: list[Played], models: list[ModelId]) -> None:
    from proxy.simulating.showing import timelines_svg, waits_svg

    if options.svg is not None:
        _write(options.svg, timelines_svg(played, models))
    if options.plot is not None:
        _write(options.plot, waits_svg(played, curve=options.sweep is not None))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from None


def _variants(options: argparse.Namespace, settings: Settings) -> list[Variant]:
    from proxy.simulating.variants import changed_variant, variant

    if options.sweep is not None:
        key, equals, values = options.sweep.partition("=")
        if not equals:
            raise ValueError(f"--sweep {options.sweep}: expected KEY=A,B,C, such as unload_delay=0,1,5")
        return [changed_variant(settings, key, value) for value in values.split(",")]
    names = [settings.strategy.value] if options.compare is None else options.compare.split(",")
    return [variant(name, settings) for name in names]


def _pair(word: str) -> tuple[str, str]:
    role, equals, model = word.partition("=")
    if not equals:
        raise ValueError(f"--map {word}: expected ROLE=MODEL")
    return role, model


def _whole(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not at least 1")
    return number
