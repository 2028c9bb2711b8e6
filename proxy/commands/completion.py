"""`trio-swap completion`: what a shell needs to complete this command line, made from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

DESCRIPTION: Final = """\
Write a script that has a shell complete verbs, options and files with the Tab
key."""

EXAMPLES: Final = """\
for the shell that is running:
  eval "$(trio-swap completion bash)"
  eval "$(trio-swap completion zsh)"         after: autoload -U compinit && compinit
  trio-swap completion fish | source

for good:
  trio-swap completion bash > ~/.local/share/bash-completion/completions/trio-swap
  trio-swap completion zsh > ~/.zfunc/_trio-swap             a folder on $fpath
  trio-swap completion fish > ~/.config/fish/completions/trio-swap.fish"""

SHELLS: Final = ("bash", "zsh", "fish")
_FILES: Final = frozenset({"CONFIG", "FILE", "PATH"})
"""What stands for the name of a file in the usage of a verb."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `completion`."""
    parser.add_argument("shell", choices=SHELLS, help="whose script")


def run(options: argparse.Namespace) -> int:
    """Write the script, and return the exit code."""
    import shtab

    from proxy.cli import VERBS, parser_of

    parser = parser_of()
    for name, verb in _verbs(parser):
        verb.description = VERBS[name][1]  # beside a name in a list, a line has room
        for action in verb._actions:  # noqa: SLF001  argparse has no other door
            if action.metavar in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # what shtab looks for
    print(shtab.complete(parser, options.shell))
    return 0


def _verbs(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield from action.choices.items()
