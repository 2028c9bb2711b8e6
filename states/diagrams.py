"""Diagrams of a group's machine, each drawn from the machine itself: no list of its edges is kept here.

What states, events and guards mean is what `states.group` says of them. The picture is in `states.chart`.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import getdoc
from typing import Final

from .group import GroupMachine, GroupState, Signal

INTRODUCTION: Final = """\
# The machine of a process group

Every process group lives by this state machine, declared in `states/group.py`. The [rules](scheduling.md) decide what
it is told; [what runs in each state](architecture.md#the-shell-is-a-tree-of-tasks) is a table of its own.

[![The states, and the arrows between them; the tables say the same in words](pictures/states.svg)](pictures/states.svg)

An arrow that leaves the dashed frame leaves every state in it; a word in brackets is a condition. In the green states
the server answers.

This page and the picture are what `trio-swap diagram` prints about the machine, and a test holds them to it
([how](contributing.md#pages-that-are-printed)).
"""
"""What docs/states.md begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One transition of the machine."""

    source: GroupState
    target: GroupState
    event: str
    guard: str = ""
    """The name of its condition, "else" where that of its sibling must not hold; empty: none."""

    @property
    def label(self) -> str:
        """Event and condition in words, the condition in brackets."""
        return spoken(f"{self.event} [{self.guard}]" if self.guard else self.event)


def edges() -> tuple[Edge, ...]:
    """Return every transition of the machine, in the order in which it declares them."""
    return tuple(
        Edge(
            source=transition.source.value,
            target=target.value,
            event=str(transition.event),
            guard=" ".join(
                str(condition.func) if condition.expected_value else "else" for condition in transition.cond
            ),
        )
        for state in GroupMachine.states
        for transition in state.transitions
        for target in transition.targets
    )


def initial() -> GroupState:
    """Return the state in which a group begins."""
    [state] = (state.value for state in GroupMachine.states if state.initial)
    return GroupState(state)


def spoken(name: str) -> str:
    """Return a name of the machine as people read it."""
    return name.replace("_", " ")


def mermaid() -> str:
    """Return the machine as a Mermaid state diagram, as its library writes it."""
    return f"{GroupMachine:mermaid}"


def dot() -> str:
    """Return the machine in the language of Graphviz."""
    lines = ["digraph {", '  node [shape=box, style=rounded, fontname="sans-serif"]', '  edge [fontname="sans-serif"]']
    lines.append(f'  start [shape=point]; start -> "{initial().value}"')
    lines += [f'  "{state.value}" [tooltip="{state.meaning}"]' for state in GroupState]
    lines += [f'  "{edge.source.value}" -> "{edge.target.value}" [label="{edge.label}"]' for edge in edges()]
    return "\n".join([*lines, "}", ""])


def markdown() -> str:
    """Return the page about the machine: docs/states.md."""
    states = _table(("state", "means"), [(state.value, state.meaning) for state in GroupState])
    transitions = _table(("from", "event", "when", "to"), _transitions())
    events = _table(("event", "means"), [(spoken(signal.value), signal.meaning) for signal in Signal])
    names = dict.fromkeys(edge.guard for edge in edges() if edge.guard not in ("", "else"))
    guards = _table(("when", "means"), [(spoken(name), _asked(name)) for name in names])
    parts = ("States", states), ("Transitions", transitions), ("Events", events), ("Conditions", guards)
    return "\n".join([INTRODUCTION, *(f"## {title}\n\n{table}" for title, table in parts)])


def _transitions() -> list[tuple[str, ...]]:
    """Edges that differ only in where they begin, in one row."""
    sources: dict[tuple[str, str, str], list[str]] = {}
    for edge in sorted(edges(), key=lambda edge: [signal.value for signal in Signal].index(edge.event)):
        key = spoken(edge.event), spoken(edge.guard), edge.target.value
        sources.setdefault(key, []).append(edge.source.value)
    return [(", ".join(begins), *key) for key, begins in sources.items()]


def _asked(guard: str) -> str:
    """What the machine asks in a condition: its docstring without the "Whether" and the full stop."""
    return (getdoc(getattr(GroupMachine, guard)) or "").removeprefix("Whether ").removesuffix(".")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
