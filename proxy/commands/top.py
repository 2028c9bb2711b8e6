"""`trio-swap top`: what a running proxy does, live in a terminal."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.top.target import Target

DESCRIPTION: Final = """\
Show what a running proxy does: which models are loaded and who uses them, who
waits and why, and what was swapped lately. Updated every second until q or
Ctrl-C; where the output is no terminal, once and without colours."""

EXAMPLES: Final = """\
examples:
  trio-swap top                          the proxy on this machine, port 8080
  trio-swap top 192.168.1.20:8080
  trio-swap top unix:/tmp/swap.sock
  TRIO_SWAP_KEY=secret trio-swap top https://models.example
  trio-swap top --once | head -3         for scripts; there is GET /api/queue too

exit codes: 0; 1 the proxy gave no answer from the start; 2 wrong usage"""

KEY_VARIABLE: Final = "TRIO_SWAP_KEY"
_DUMB: Final = frozenset({"", "dumb", "unknown"})
"""Values of TERM that stand for no terminal on which something can be drawn."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `top`."""
    where = "URL of the proxy, HOST:PORT or unix:PATH; %(default)s when nothing is said"
    parser.add_argument("url", metavar="URL", nargs="?", type=_target, default="http://127.0.0.1:8080", help=where)
    parser.add_argument("--once", action="store_true", help="show it once and end")
    shown = f"API key, if the proxy wants one; others see it in the list of processes, unlike {KEY_VARIABLE}"
    parser.add_argument("--key", type=_key, help=shown)


def run(options: argparse.Namespace) -> int:
    """Show it, and return the exit code."""
    if sys.platform == "win32":
        print("trio-swap: top needs a terminal as Linux and macOS have them. WSL has one.", file=sys.stderr)
        return 1
    key = options.key
    if key is None and os.environ.get(KEY_VARIABLE):
        try:
            key = _key(os.environ[KEY_VARIABLE])
        except argparse.ArgumentTypeError as error:
            print(f"trio-swap: {KEY_VARIABLE}: {error}", file=sys.stderr)
            return 2
    try:
        return _show(options.url, key, once=options.once)
    except KeyboardInterrupt:  # before signals are listened to
        return 1


def _show(target: Target, key: str | None, *, once: bool) -> int:
    import trio

    from proxy.top import watching
    from proxy.top.layout import UNICODE, harmless
    from proxy.top.painting import Painter, glyphs_of
    from proxy.top.polling import NoAnswer, Source

    is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "") not in _DUMB
    painter, glyphs = Painter(is_terminal=is_terminal), glyphs_of(sys.stdout.encoding, os.environ)
    source = Source(target, key)
    failure: NoAnswer | None = None
    if is_terminal and not once:
        from proxy.top.screen import Screen

        keys = sys.stdin.fileno() if sys.stdin.isatty() else None
        failure = trio.run(watching.live, source, Screen(keys, sys.stdout.fileno()), painter, glyphs)
    else:
        width, height = shutil.get_terminal_size()
        try:
            print("\n".join(trio.run(watching.once, source, painter, glyphs, width, height if is_terminal else None)))
        except NoAnswer as no_answer:
            failure = no_answer
    if failure is None:
        return 0
    told = harmless(f"no answer from {target}: {failure}; {failure.advice}", UNICODE)
    print(f"trio-swap: {told}", file=sys.stderr)
    return 1


def _target(text: str) -> Target:
    from proxy.top.target import target_of

    try:
        return target_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _key(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text.strip() == text != ""):
        raise argparse.ArgumentTypeError("a key is printable ASCII, without blanks around it")
    return text
