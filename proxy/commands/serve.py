"""`trio-swap serve`: serve the models of a configuration file."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .reading_config import add_configs, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.config import Config
    from proxy.journal.recorder import Recorder

DESCRIPTION: Final = """\
Serve the models of a configuration file until SIGINT (Ctrl-C) or SIGTERM. Then
no request is accepted any more, those being served may finish within
server.shutdown_timeout, and every model server is stopped; a second signal
hurries all of that. SIGHUP reads the file again: models that did not change
never notice, others drain first, and a file that is wrong changes nothing."""

EXAMPLES: Final = """\
examples:
  trio-swap serve config.toml
  trio-swap serve llama-swap.yaml
  trio-swap serve config.toml --listen 0.0.0.0:9000
  trio-swap serve config.toml --listen 127.0.0.1:9000 --listen unix:/tmp/swap.sock
  trio-swap serve config.toml --journal swap.jsonl     then: trio-swap replay swap.jsonl

then:
  curl http://127.0.0.1:8080/v1/models"""

_JOURNAL_BYTES: Final = 16 * 2**20
"""Some 60,000 requests."""
_JOURNAL_FILES: Final = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `serve`."""
    add_configs(parser)
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        action="append",
        type=_address,
        help="where to listen, or unix:PATH, in place of server.listen; may be given again",
    )
    parser.add_argument("--watch", action="store_true", help="reload when the file changes, as SIGHUP does")
    parser.add_argument("--journal", metavar="FILE", type=Path, help="write down everything that `replay` plays again")
    parser.add_argument(
        "--journal-size",
        metavar="SIZE",
        type=_size,
        default=_JOURNAL_BYTES,
        help="of one of its files, such as 64MiB (default: 16MiB)",
    )
    parser.add_argument(
        "--journal-files",
        metavar="N",
        type=_number,
        default=_JOURNAL_FILES,
        help="keep so many: FILE, FILE.1 and so on (default: 8)",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until told to end, and return the exit code."""
    if sys.platform == "win32":
        why = "it needs sessions, process groups and signals. WSL has them."
        print(f"trio-swap: trio-swap does not run on Windows: {why}", file=sys.stderr)
        return 1
    config = load(*options.config)
    if config is None:
        return 2
    from proxy.app import serve

    return serve(
        _listening(config, options),
        lambda: _read(options),
        is_watched=options.watch,
        open_journal=_journal(options),
    )


def _journal(options: argparse.Namespace) -> Callable[[], Recorder] | None:
    if options.journal is None:
        return None
    from proxy.journal.parts import Parts
    from proxy.journal.recorder import Recorder

    return lambda: Recorder(Parts(options.journal, max_bytes=options.journal_size, files=options.journal_files))


def _read(options: argparse.Namespace) -> Config:
    from proxy.config import load_config

    return _listening(load_config(options.config[0], more=options.config[1:]), options)


def _listening(config: Config, options: argparse.Namespace) -> Config:
    return replace(config, listen=tuple(options.listen)) if options.listen else config


def _size(text: str) -> int:
    from proxy.config.kinds import size

    found = size(text)
    if not isinstance(found, int) or found < 1:
        raise argparse.ArgumentTypeError(f'expected a size of at least 1 byte, such as "64MiB", got "{text}"')
    return found


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a number of files, at least 1, got "{text}"')
    return int(text)


def _address(text: str) -> str:
    from proxy.config.kinds import Slip, address

    try:
        address(text)
    except Slip as slip:
        raise argparse.ArgumentTypeError(str(slip)) from None
    return text
