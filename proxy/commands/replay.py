"""`trio-swap replay`: what a journal tells of a proxy, and whether it would decide so again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.journal.notation import Opening
    from proxy.journal.playback import Listener, Replayed
    from states.retelling import PlaceStory, Retelling, TicketStory
    from states.simulation import Record
    from states.timeline import Timeline

DESCRIPTION: Final = """\
Play a journal of `trio-swap serve --journal` again: feed the same events to a
scheduler, check that it decides what was decided then, and tell what happened.
No server is started and no configuration file is needed."""

EXAMPLES: Final = """\
examples:
  trio-swap replay swap.jsonl
  trio-swap replay swap.jsonl --story coder           why it was loaded, held, unloaded
  trio-swap replay swap.jsonl --story 17              what ticket 17 waited for
  trio-swap replay swap.jsonl --svg swap.svg

Exit code 1: an event does not have the effects that were written down."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `replay`."""
    parser.add_argument("journal", metavar="FILE", type=Path, help="the journal; older parts (FILE.1, ...) are found")
    parser.add_argument("--story", metavar="NAME", help="tell of a group, a model, or a ticket by its number")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw which model was loaded when, and who waited")
    parser.add_argument("--ascii", action="store_true", help="draw in the terminal without block characters")


def run(options: argparse.Namespace) -> int:
    """Replay, and return the exit code."""
    from proxy.journal.playback import JournalError

    try:
        return _replay(options)
    except JournalError as error:
        print(f"trio-swap replay: {error}", file=sys.stderr)
        return 2


def _replay(options: argparse.Namespace) -> int:
    from importlib.metadata import version

    from proxy.journal.playback import replay
    from proxy.journal.telling import figures, verdict
    from proxy.pictures.strips import key, strips
    from states.retelling import Retelling

    told: list[Retelling] = []
    stories: list[PlaceStory | TicketStory] = []

    def listen(opening: Opening) -> Sequence[Listener]:
        told.append(Retelling(opening.at))
        if options.story is not None:
            stories.append(_story(options.story, opening))
        return [*told, *stories]

    replayed = replay(options.journal, listen)
    record = told[0].finish(replayed.ended_at)
    print("\n".join(verdict(replayed, version("trio-swap"))), end="\n\n")
    if options.svg is not None:
        options.svg.write_text(_drawing(record, replayed), encoding="utf-8")
    if not stories:
        print("\n".join(figures(record, list(replayed.models))), end="\n\n")
        print("\n".join([*strips(_timeline(record, replayed), plain=options.ascii), key(plain=options.ascii)]))
    elif stories[0].lines:
        print("\n".join(stories[0].lines))
    else:
        print(_nothing(options.story, replayed), file=sys.stderr)
        return 2
    return 0 if replayed.difference is None else 1


def _story(name: str, opening: Opening) -> PlaceStory | TicketStory:
    from states.retelling import PlaceStory, TicketStory
    from states.settings import TicketId

    is_number = name.isdecimal() and name not in opening.checkpoint.settings.models
    return TicketStory(TicketId(int(name)), opening.at) if is_number else PlaceStory(name, opening.at)


def _nothing(name: str, replayed: Replayed) -> str:
    if name in replayed.models or name in replayed.groups:
        return f"nothing happened to {name}"
    if name.isdecimal():
        return f"there was no ticket {name} in this time"
    there = ", ".join(dict.fromkeys([*replayed.groups, *replayed.models]))
    return f"trio-swap replay: --story {name}: expected {there}, or the number of a ticket"


def _timeline(record: Record, replayed: Replayed) -> Timeline:
    from states.timeline import timeline

    there = {request.model for request in record.requests} | set(record.loads)
    return timeline(record, [model for model in replayed.models if model in there])


def _drawing(record: Record, replayed: Replayed) -> str:
    from proxy.pictures.lanes import Block, draw_timelines

    remark = f"{len(record.loads)} loads, {record.ended_at:.0f} s"
    return draw_timelines([Block(f"{replayed.files[-1].name}, as it happened", remark, _timeline(record, replayed))])
