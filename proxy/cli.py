"""The command line: `serve`, `check`, `demo-model`.

Exit codes: 0, 1 (something went wrong while running), 2 (usage, configuration). Whatever only one verb needs is
imported when that verb runs: `check`, `--version` and help answer in under 100 ms.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .config import Config

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

SERVE: Final = """\
Serve the models of a configuration file until SIGINT (Ctrl-C) or SIGTERM. Then
no request is accepted any more, those being served may finish within
server.shutdown_timeout, and every model server is stopped; a second signal
hurries all of that."""

SERVE_EXAMPLES: Final = """\
examples:
  trio-swap serve config.toml
  trio-swap serve config.toml --listen 0.0.0.0:9000
  trio-swap serve config.toml --listen 127.0.0.1:9000 --listen unix:/tmp/swap.sock

then:
  curl http://127.0.0.1:8080/v1/models"""

CHECK: Final = """\
Read a configuration file, say everything that is wrong with it at once, or else
what loading each model unloads. No server is started."""

CHECK_EXAMPLES: Final = """\
examples:
  trio-swap check config.toml
  trio-swap check config.toml --print > everything.toml"""

DEMO: Final = """\
A small server that speaks the OpenAI protocol and pretends to be a model: takes
its time to load, to answer and to stop, as told, and says its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: words after the program's name; None: those of the process.

    Raises:
        SystemExit: with code 2 for wrong usage, 0 for help and `--version`.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(words).parse_args(words)
    try:
        code = {"serve": _serve, "check": _check, "demo-model": _demo_model}[options.verb](options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough of it; the interpreter's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trio-swap", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is and end")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(verb: str, summary: str, description: str, examples: str | None = None) -> argparse.ArgumentParser:
        return verbs.add_parser(
            verb,
            help=summary,
            description=description,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    serve = add("serve", "serve the models of a configuration file", SERVE, SERVE_EXAMPLES)
    serve.add_argument("config", metavar="CONFIG", help="configuration file, such as config.toml")
    serve.add_argument(
        "--listen",
        metavar="HOST:PORT",
        action="append",
        type=_address,
        help="where to listen, or unix:PATH, in place of server.listen; may be given again",
    )
    check = add("check", "say what is wrong with a configuration file, or what it means", CHECK, CHECK_EXAMPLES)
    check.add_argument("config", metavar="CONFIG", help="configuration file, such as config.toml")
    check.add_argument("--print", action="store_true", help="write the whole configuration, every default filled in")
    demo = add("demo-model", "run a server that pretends to be a model", DEMO)
    if "demo-model" in words:
        from .demo_model import add_arguments

        add_arguments(demo)
    return parser


class _Version(argparse.Action):
    """Looks up the version only when asked for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"trio-swap {version('trio-swap')}")
        parser.exit()


def _address(text: str) -> str:
    from .config.kinds import Slip, address

    try:
        address(text)
    except Slip as slip:
        raise argparse.ArgumentTypeError(str(slip)) from None
    return text


def _serve(options: argparse.Namespace) -> int:
    if sys.platform == "win32":
        return _fail("trio-swap does not run on Windows: it needs sessions, process groups and signals. WSL has them.")
    config = _load(options.config)
    if config is None:
        return 2
    if options.listen:
        config = replace(config, listen=tuple(options.listen))
    from .app import serve

    return serve(config)


def _check(options: argparse.Namespace) -> int:
    config = _load(options.config)
    if config is None:
        return 2
    if options.print:
        import tomli_w

        from .config import effective

        print(tomli_w.dumps(effective(config)), end="")
    else:
        print("\n".join(_explanation(config)))
    return 0


def _demo_model(options: argparse.Namespace) -> int:
    from .demo_model import run

    return run(options)


def _load(path: str) -> Config | None:
    from .config import ConfigError, load_config

    try:
        return load_config(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return None


def _explanation(config: Config) -> list[str]:
    from states.residency import Residency

    residency = Residency(config.settings)
    strategy = config.settings.strategy.value
    lines = [f"{config.path} is right: {_count(len(config.models), 'model')}, strategy {strategy}", ""]
    widest = max(len(model) for model in config.models)
    for model in config.models:
        displaced = residency.displaced_by(model)
        victims = [each for each in config.models if each in displaced]
        lines.append(f"loading  {model:<{widest}}  unloads  {', '.join(victims) or 'nothing'}")
    if config.unprotected:
        open_to = ", ".join(config.unprotected)
        lines += ["", f"warning: other machines can reach {open_to} without a key: set server.api_keys"]
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _fail(message: str) -> int:
    print(f"trio-swap: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
