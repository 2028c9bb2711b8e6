"""What is wrong between names: who may be asked for how, and whether what names lead to is there.

A name is a model's id, one of its aliases (those of `set_params_by_id` too), a selector, `peer/model`, or a profile's
pin. Each leads to one thing; only a pin may stand before another name, since that is what it is for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Protocol

from states.matrix import SetError
from states.residency import Policy
from states.settings import ModelId

from .building import matrix_of
from .mistakes import Finding, KeyPath, quoted
from .schema import MatrixTable, ModelTable, SelectorTable, Tables


class Places(Protocol):
    """Where things stand in the file."""

    def items(self, path: KeyPath, read: Iterable[str]) -> Iterator[tuple[KeyPath, str]]:
        """The path of each item that was read from the list at `path`."""


class Names:
    """Every name of a file but for those of profiles."""

    def __init__(self, tables: Tables) -> None:
        self.models = tables.models
        self.aliases = {
            name: model
            for model, table in tables.models.items()
            for name in (*table.aliases, *table.filters.set_params_by_id)
            if name not in tables.models
        }
        self.selectors = tables.selectors
        self.remote = {f"{peer}/{model}": peer for peer, table in tables.peers.items() for model in table.models}
        known = [(peer, model) for peer, table in tables.peers.items() for model in dict.fromkeys(table.models)]
        count = Counter(model for _, model in known)
        self.bare = {model: f"{peer}/{model}" for peer, model in known if count[model] == 1}
        """By the bare name of a model that only one peer has: its whole name."""

    def local(self, name: str) -> str | None:
        """The id of the model of ours that a name leads to; None: none."""
        return name if name in self.models else self.aliases.get(name)

    def leads_to_a_model(self, name: str) -> bool:
        """Whether a name leads to a model, of ours or of a peer."""
        return self.local(name) is not None or name in self.remote or name in self.bare

    def unknown(self, name: str) -> str:
        """Say that a name leads nowhere, and which was meant."""
        known = [*self.models, *self.aliases, *self.selectors, *self.remote, *self.bare]
        near = get_close_matches(name, known, n=1)
        return f"there is no model {quoted(name)}" + (f": did you mean {quoted(near[0])}?" if near else "")


def find(tables: Tables, places: Places, policy: Policy | None) -> Iterator[Finding]:
    """Yield what is wrong with selectors, profiles, peers and names of `set_params_by_id`.

    Args:
        tables: the file.
        places: where things stand in it.
        policy: which models may be there together; None: that could not be worked out.
    """
    names = Names(tables)
    yield from _of_variants(tables.models)
    yield from _of_peers(tables, names)
    for name, selector in tables.selectors.items():
        taken = names.local(name) or names.remote.get(name)
        if taken:
            what = "the name of a model of" if name in names.remote else "a name of the model"
            message = f"{quoted(name)} is {what} {quoted(taken)} already: choose another name"
            yield Finding(path=("selectors", name), message=message, at_key=True)
        yield from _of_selector(name, selector, names, places, policy)
    for name, profile in tables.profiles.items():
        for pin, target in profile.pins.items():
            path: KeyPath = ("profiles", name, "pins", pin)
            if pin in names.remote:
                message = (
                    f"{quoted(pin)} is a model of the peer {quoted(names.remote[pin])}, which no pin can stand before"
                )
                yield Finding(path=path, message=message, at_key=True)
            if target and target not in names.selectors and not names.leads_to_a_model(target):
                yield Finding(path=path, message=names.unknown(target))


def _of_variants(models: Mapping[str, ModelTable]) -> Iterator[Finding]:
    owners = {alias: model for model, table in models.items() for alias in table.aliases}
    variants: dict[str, str] = {}
    for model, table in models.items():
        for name in table.filters.set_params_by_id:
            owner = name if name in models else owners.get(name, variants.get(name, model))
            if owner != model:
                message = f"{quoted(name)} is a name of the model {quoted(owner)} already: a name leads to one model"
                path: KeyPath = ("models", model, "filters", "set_params_by_id", name)
                yield Finding(path=path, message=message, at_key=True)
            variants.setdefault(name, model)


def _of_peers(tables: Tables, names: Names) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for peer, table in tables.peers.items():
        for model in dict.fromkeys(table.models):
            name = f"{peer}/{model}"
            if (ours := names.local(name)) is not None:
                message = (
                    f"its model {quoted(model)} is asked for as {quoted(name)}, a name of the model {quoted(ours)}"
                )
                yield Finding(path=("peers", peer), message=message, at_key=True)
            elif name in owners:
                message = (
                    f"its model {quoted(model)} is asked for as {quoted(name)}, as one of {quoted(owners[name])} is"
                )
                yield Finding(path=("peers", peer), message=message, at_key=True)
            owners.setdefault(name, peer)


def _of_selector(
    name: str, selector: SelectorTable, names: Names, places: Places, policy: Policy | None
) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for path, target in places.items(("selectors", name, "targets"), selector.targets):
        local = names.local(target)
        if target in names.selectors:
            yield Finding(path=path, message=f"{quoted(target)} is a selector: a selector leads to models only")
        elif not names.leads_to_a_model(target):
            yield Finding(path=path, message=names.unknown(target))
        elif selector.strategy == "warm" and local is None:
            message = (
                f"{quoted(target)} is a peer's: whether it is loaded there, which is what warm goes by, nobody knows"
            )
            yield Finding(path=path, message=message)
        elif selector.strategy == "spillover":
            meant = local or names.bare.get(target, target)
            if meant in first:
                message = (
                    f"{quoted(target)} is the same model as {quoted(first[meant])}: with spillover each is another one"
                )
                yield Finding(path=path, message=message)
            elif (rival := _rival(local, first, names, policy)) is not None:
                message = (
                    f"{quoted(target)} and {quoted(rival)} cannot be loaded together, as spillover asks of its targets"
                )
                yield Finding(path=path, message=message)
            first.setdefault(meant, target)


def _rival(local: str | None, others: Iterable[str], names: Names, policy: Policy | None) -> str | None:
    """The first of the other models that must leave for this one, or the other way round."""
    if local is None or policy is None:
        return None
    displaced = policy.displaced_by(ModelId(local))
    for other in others:
        if other in names.models and (other in displaced or local in policy.displaced_by(ModelId(other))):
            return other
    return None


def of_matrix(table: MatrixTable, models: Mapping[str, ModelTable]) -> Iterator[Finding]:
    """Yield what is wrong with `[matrix]`."""
    found = False
    for name, model in table.vars.items():
        if model not in models:
            found = True
            near = get_close_matches(model, models, n=1)
            hint = f": did you mean {quoted(near[0])}?" if near else ""
            yield Finding(path=("matrix", "vars", name), message=f"there is no model {quoted(model)}{hint}")
    for name in table.evict_costs:
        if name not in models and name not in table.vars:
            message = f"{quoted(name)} is neither a model nor in vars"
            yield Finding(path=("matrix", "evict_costs", name), message=message, at_key=True)
    if found:
        return
    try:
        matrix_of(table, models)
    except SetError as error:
        before = table.sets[error.name][: error.offset]
        where = f"after {quoted(before[-30:])}, " if before.strip() else ""
        yield Finding(path=("matrix", "sets", error.name), message=f"{where}{error}")
