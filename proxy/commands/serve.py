"""`trio-swap serve`: serve the models of a configuration file."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Final

from proxy.config import Config, load_config

from .reading_config import CONFIG_HELP, load

DESCRIPTION: Final = """\
Serve the models of a configuration file until SIGINT (Ctrl-C) or SIGTERM. Then
no request is accepted any more, those being served may finish within
server.shutdown_timeout, and every model server is stopped; a second signal
hurries all of that. SIGHUP reads the file again: models that did not change
never notice, others drain first, and a file that is wrong changes nothing."""

EXAMPLES: Final = """\
examples:
  trio-swap serve config.toml
  trio-swap serve config.toml --listen 0.0.0.0:9000
  trio-swap serve config.toml --listen 127.0.0.1:9000 --listen unix:/tmp/swap.sock

then:
  curl http://127.0.0.1:8080/v1/models"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `serve`."""
    parser.add_argument("config", metavar="CONFIG", help=CONFIG_HELP)
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        action="append",
        type=_address,
        help="where to listen, or unix:PATH, in place of server.listen; may be given again",
    )
    parser.add_argument("--watch", action="store_true", help="reload when the file changes, as SIGHUP does")


def run(options: argparse.Namespace) -> int:
    """Serve until told to end, and return the exit code."""
    if sys.platform == "win32":
        why = "it needs sessions, process groups and signals. WSL has them."
        print(f"trio-swap: trio-swap does not run on Windows: {why}", file=sys.stderr)
        return 1
    config = load(options.config)
    if config is None:
        return 2
    from proxy.app import serve

    return serve(_listening(config, options), lambda: _read(options), is_watched=options.watch)


def _read(options: argparse.Namespace) -> Config:
    return _listening(load_config(options.config), options)


def _listening(config: Config, options: argparse.Namespace) -> Config:
    return replace(config, listen=tuple(options.listen)) if options.listen else config


def _address(text: str) -> str:
    from proxy.config.kinds import Slip, address

    try:
        address(text)
    except Slip as slip:
        raise argparse.ArgumentTypeError(str(slip)) from None
    return text
