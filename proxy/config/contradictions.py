"""What is wrong between values that are right by themselves: placeholders, ports, times, and who has which name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit

from states.residency import policy_of
from states.settings import DEFAULT_GROUP

from . import kinds, name_clashes
from .building import core_settings, texts_in
from .mistakes import Finding, KeyPath, quoted
from .placeholders import fill, from_environment, names_in, slips
from .schema import DEFAULT_PROXY, FiltersTable, ModelTable, Tables

Check = Callable[[object], object]

_PLAIN: Final = ("name", "description", "use_model_name", "metadata")
"""Keys of a model whose text is for people, or for other programs."""
_NEARLY_PORT: Final = re.compile(r"\$PORT\b|\$?\{\{?PORT\}?\}|\$\(PORT\)|%PORT%")
"""`${PORT}`, as other tools write it."""


class Written:
    """Where things stand in the file, those included that are no values because something is wrong with them."""

    def __init__(self, file: Mapping[str, object]) -> None:
        self._file = file

    def of_model(self, model: str, key: str) -> KeyPath | None:
        """The path of a key of a model, in its own table or in `defaults`; None: it is not written."""
        paths = (("models", model, key), ("defaults", key))
        return next((path for path in paths if self._at(path) is not None), None)

    def items(self, path: KeyPath, read: Iterable[str]) -> Iterator[tuple[KeyPath, str]]:
        """The path of each item that was read from the list at `path`; those that were left out are skipped."""
        written = self._at(path)
        places = iter(enumerate(written if isinstance(written, list) else []))
        for item in read:
            yield (*path, *next(([index] for index, each in places if each == item), [])), item

    def _at(self, path: KeyPath) -> object:
        value: object = self._file
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value


def find(tables: Tables, written: Written, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield every contradiction; one that `defaults` brings into several models comes as often, in the same words.

    Args:
        tables: the file, defaults merged into the models, without the values that are findings already.
        written: where things stand in it.
        environment: the variables that are set.
    """
    for name, model in tables.models.items():
        yield from _of_model(name, model, written, environment)
        yield from _of_own_address(name, model, tables.server.listen, written)
    yield from _of_texts(tables, environment)
    yield from _of_names(tables, written)
    yield from _of_aliases(tables.models, written)
    of_residency = [*_of_groups(tables, written), *_of_matrix(tables)]
    yield from of_residency
    yield from name_clashes.find(tables, written, None if of_residency else policy_of(core_settings(tables)))
    yield from _of_preload(tables, written)
    for path, key in written.items(("server", "api_keys"), tables.server.api_keys):
        for slip in _of_text(key, {}, environment, kinds.secret):
            yield Finding(path=path, message=slip)
    seen: set[str] = set()
    for path, address in written.items(("server", "listen"), tables.server.listen):
        if address in seen:
            yield Finding(path=path, message=f"{quoted(address)} is listened on already: leave one of them out")
        seen.add(address)


def _of_model(name: str, model: ModelTable, written: Written, environment: Mapping[str, str]) -> Iterator[Finding]:
    if written.of_model(name, "cmd") is None:
        message = "cmd is missing: expected the command that starts the server, here or in [defaults]"
        yield Finding(path=("models", name), message=message, at_key=True)
    if 0 < model.ttl < model.unload_delay:
        message = (
            f"would unload the model {model.ttl:g} s after its last request, but unload_delay holds it for"
            f" {model.unload_delay:g} s: make ttl at least as long, or 0 for never"
        )
        yield Finding(path=written.of_model(name, "ttl") or ("models", name), message=message)
    known = {"MODEL_ID": name, "PORT": "1"}
    texts: list[tuple[str, tuple[str, ...], dict[str, str], Check]] = [
        ("cmd", model.cmd, known, kinds.word),
        ("cmd_stop", model.cmd_stop or (), {**known, "PID": "1"}, kinds.word),
        ("proxy", (DEFAULT_PROXY if model.proxy is None else model.proxy,), known, kinds.url),
        ("check_endpoint", (model.check_endpoint,), {"MODEL_ID": name}, kinds.endpoint),
        ("env", tuple(model.env.values()), known, kinds.word),
        ("cwd", (model.cwd or ".",), {"MODEL_ID": name}, kinds.word),
    ]
    for key, templates, values, check in texts:
        for template in templates:
            for slip in _of_text(template, values, environment, check):
                yield Finding(path=written.of_model(name, key) or ("models", name), message=slip)
    yield from _of_port(name, model, written)


def _of_texts(tables: Tables, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Placeholders in what is neither a command nor an address."""
    said: list[tuple[KeyPath, object]] = []
    for name, model in tables.models.items():
        said += [(("models", name, key), getattr(model, key)) for key in _PLAIN]
        said += _of_filters(("models", name), model.filters)
    for name, selector in tables.selectors.items():
        said += [(("selectors", name, key), getattr(selector, key)) for key in ("name", "description", "metadata")]
    for name, profile in tables.profiles.items():
        said.append((("profiles", name, "description"), profile.description))
    for name, peer in tables.peers.items():
        said += _of_filters(("peers", name), peer.filters)
        for slip in _of_text(peer.proxy, {}, environment, kinds.url):
            yield Finding(path=("peers", name, "proxy"), message=slip)
        for slip in _of_text(peer.api_key or "-", {}, environment, kinds.secret):
            yield Finding(path=("peers", name, "api_key"), message=slip)
    for path, value in said:
        for text in texts_in(value):
            for slip in slips(text, (), environment):
                yield Finding(path=path, message=slip)


def _of_names(tables: Tables, written: Written) -> Iterator[Finding]:
    """Placeholders in what stands for itself: only macros can, and they have been expanded."""
    lists = [(("models", name, "aliases"), model.aliases) for name, model in tables.models.items()]
    lists += [(("peers", name, "models"), peer.models) for name, peer in tables.peers.items()]
    filters = [(("models", name, "filters"), model.filters) for name, model in tables.models.items()]
    filters += [(("peers", name, "filters"), peer.filters) for name, peer in tables.peers.items()]
    said = [(path, text, False) for at, texts in lists for path, text in written.items(at, texts)]
    for at, table in filters:
        said += [(path, text, False) for path, text in written.items((*at, "strip_params"), table.strip_params)]
        said += [((*at, "set_params_by_id", name), name, True) for name in table.set_params_by_id]
    for path, text, at_key in said:
        for use in names_in(text):
            message = f"${{{use}}} is unknown here: nothing but macros can be part of a name"
            yield Finding(path=path, message=message, at_key=at_key)


def _of_filters(path: KeyPath, filters: FiltersTable) -> list[tuple[KeyPath, object]]:
    return [((*path, "filters", key), getattr(filters, key)) for key in ("set_params", "set_params_by_id")]


def _of_text(
    template: str,
    known: Mapping[str, str],
    environment: Mapping[str, str],
    check: Check,
) -> Iterator[str]:
    found = list(slips(template, known, environment))
    yield from found
    if not found:
        try:
            check(fill(template, {**known, **from_environment(environment, template)}))
        except kinds.Slip as slip:
            yield str(slip)


def _of_port(name: str, model: ModelTable, written: Written) -> Iterator[Finding]:
    if not model.cmd or "PORT" in names_in(*model.cmd, *model.env.values()):
        return
    if written.of_model(name, "proxy") is None:
        message = "neither cmd nor env says ${PORT}, so the server cannot know where to answer: add it, or set proxy"
        if nearly := _NEARLY_PORT.search(" ".join((*model.cmd, *model.env.values()))):
            message = f"says {nearly[0]}, which stays as it is, as no shell is involved: write ${{PORT}}"
        yield Finding(path=written.of_model(name, "cmd") or ("models", name), message=message)
    elif model.proxy is not None and "PORT" in names_in(model.proxy):
        message = "says ${PORT}, but neither cmd nor env does, so the server cannot know it"
        yield Finding(path=written.of_model(name, "proxy") or ("models", name), message=message)


def _of_own_address(name: str, model: ModelTable, listen: Iterable[str], written: Written) -> Iterator[Finding]:
    """A server where the proxy itself listens: the proxy would find itself there, and ask itself for ever."""
    try:
        parts = urlsplit(model.proxy or DEFAULT_PROXY)
        port = parts.port
    except ValueError:  # ${PORT}, or a finding already
        return
    for address in listen:
        host, _, ours = address.rpartition(":")
        reaches_us = host in {"0.0.0.0", "[::]"} or kinds.is_loopback(address) or parts.hostname == host  # noqa: S104
        if ours == str(port) and reaches_us and kinds.is_loopback(f"{parts.hostname}:{port}"):
            message = f"trio-swap itself listens on {address} (server.listen): give one of the two another port"
            yield Finding(path=written.of_model(name, "proxy") or ("models", name), message=message)


def _of_aliases(models: Mapping[str, ModelTable], written: Written) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, model in models.items():
        for path, alias in written.items(("models", name, "aliases"), model.aliases):
            if alias in models:
                message = f"{quoted(alias)} is the id of a model: the alias would never be used"
                yield Finding(path=path, message=message)
            elif alias in taken:
                owner = "this model" if taken[alias] == name else f"the model {quoted(taken[alias])}"
                yield Finding(path=path, message=f"{quoted(alias)} is an alias of {owner} already")
            taken.setdefault(alias, name)


def _of_groups(tables: Tables, written: Written) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, group in tables.groups.items():
        if name == DEFAULT_GROUP:
            message = f"{quoted(name)} is the group of the models that are in no other: choose another name"
            yield Finding(path=("groups", name), message=message, at_key=True)
        if "/" in name:
            # The process groups of a group without swap are named group/model.
            yield Finding(path=("groups", name), message="a slash cannot be in the name of a group", at_key=True)
        for path, member in written.items(("groups", name, "members"), group.members):
            if member not in tables.models:
                yield Finding(path=path, message=_unknown_model(member, tables.models))
            elif member in taken:
                owner = "this group" if taken[member] == name else f"the group {quoted(taken[member])}"
                message = f"{quoted(member)} is in {owner} already: a model is in one group, once"
                yield Finding(path=path, message=message)
            taken.setdefault(member, name)


def _of_matrix(tables: Tables) -> Iterator[Finding]:
    if tables.matrix is None:
        return
    if tables.groups:
        message = "there are groups too: which models may be there together is said by one of the two"
        yield Finding(path=("matrix",), message=message, at_key=True)
    yield from name_clashes.of_matrix(tables.matrix, tables.models)


def _of_preload(tables: Tables, written: Written) -> Iterator[Finding]:
    names = name_clashes.Names(tables)
    known = {*names.models, *names.aliases}
    for path, name in written.items(("hooks", "on_startup", "preload"), tables.hooks.on_startup.preload):
        if name not in known:
            yield Finding(path=path, message=_unknown_model(name, tables.models))


def _unknown_model(name: str, models: Mapping[str, ModelTable]) -> str:
    if owner := _owners(models).get(name):
        return f"{quoted(name)} is an alias: write the id, {quoted(owner)}"
    near = get_close_matches(name, models, n=1)
    return f"there is no model {quoted(name)}" + (f": did you mean {quoted(near[0])}?" if near else "")


def _owners(models: Mapping[str, ModelTable]) -> dict[str, str]:
    return {alias: name for name, model in models.items() for alias in model.aliases}
