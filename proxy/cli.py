"""The command line: which verbs there are, and how a command ends.

Exit codes: 0, 1 (something went wrong while running), 2 (usage, configuration). Whatever only one verb needs is
imported when that verb runs: `--version` and help answer in under 100 ms, `check` soon after.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, Protocol, cast

DESCRIPTION: Final = """\
One OpenAI-compatible address in front of many local model servers: starts them
when they are asked for, swaps them when they do not fit together, and decides
by priority, hold and bounded wait who is next."""

EXAMPLES: Final = """\
examples:
  trio-swap check config.toml            is it right, and what displaces what?
  trio-swap serve config.toml            serve it until Ctrl-C
  trio-swap serve config.toml --listen 0.0.0.0:9000
  trio-swap demo-model --port 9001       a server that pretends to be a model

exit codes: 0; 1 something went wrong while running; 2 wrong usage or configuration"""

VERBS: Final = {
    "serve": ("serve", "serve the models of a configuration file"),
    "init": ("init", "write a first configuration from the models and GPUs that are on this machine"),
    "import": ("import_file", "write a llama-swap file as one of ours"),
    "check": ("check", "say what is wrong with a configuration file, or what it means"),
    "verify": ("verify", "say what can happen under a configuration: who can wait for ever, and how long others wait"),
    "schema": ("print_schema", "write a JSON Schema of the configuration file, for editors"),
    "diagram": ("diagram", "draw the state machine of a process group"),
    "simulate": ("simulate", "play a workload in virtual time, and say how often models load and who waits"),
    "replay": ("replay", "play a journal of a proxy again, and tell what happened and why"),
    "top": ("top", "show what a running proxy does, live in the terminal"),
    "demo-model": ("demo", "run a server that pretends to be a model"),
    "completion": ("completion", "write a script that has a shell complete this command line"),
}
"""From each verb to its module in `proxy.commands` and what it does, in a line."""


class Command(Protocol):
    """What a module in `proxy.commands` has."""

    DESCRIPTION: str
    """The first paragraph of the verb's help, in lines of 80 characters at most."""
    EXAMPLES: str
    """The last one."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: words after the program's name; None: those of the process.

    Raises:
        SystemExit: with code 2 for wrong usage, 0 for help and `--version`.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    asked = next((word for word in words if word in VERBS), None)
    options = parser_of(() if asked is None else (asked,)).parse_args(words)
    try:
        code = command(options.verb).run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough of it; the interpreter's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def command(verb: str) -> Command:
    """Import what a verb does."""
    return cast(Command, import_module(f".commands.{VERBS[verb][0]}", __package__))


def parser_of(verbs: Sequence[str] = tuple(VERBS)) -> argparse.ArgumentParser:
    """Return the parser of the command line; it knows every verb, and the arguments of `verbs`."""
    parser = argparse.ArgumentParser(
        prog="trio-swap", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is and end")
    places = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, (_, summary) in VERBS.items():
        place = places.add_parser(verb, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if verb in verbs:
            module = command(verb)
            place.description, place.epilog = module.DESCRIPTION, module.EXAMPLES
            module.add_arguments(place)
    return parser


class _Version(argparse.Action):
    """Looks up the version only when asked for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"trio-swap {version('trio-swap')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
