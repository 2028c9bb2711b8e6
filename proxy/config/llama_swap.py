"""A llama-swap file (YAML) in the words of ours: every key, its older spellings, and what nothing here answers to.

What llama-swap ignores is a note here, not a mistake: its users have such files. What it takes and cannot mean anything
is a mistake all the same, at its place. Macros stay macros; our own reading expands them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from .mistakes import KeyPath, quoted
from .translation import NO_USE, UNKNOWN, Convert, Key, Put, Translation, put_known, stripped, without_nulls
from .yaml_tree import Tree

_LEVELS: Final = {"debug": "debug", "info": "info", "warn": "warning", "error": "error"}
_SHORTEST_LOAD_S: Final = 15


def translate(tree: Tree, environment: Mapping[str, str], elsewhere: frozenset[str] = frozenset()) -> Translation:
    """Return a llama-swap file as one of ours.

    Args:
        tree: what the YAML says.
        environment: what `${env.NAME}` stands for where it has to be known at once.
        elsewhere: names of models in other files that are read with this one.
    """
    into = Translation(tree=tree, environment=environment, elsewhere=elsewhere)
    top = into.table((), tree.value)
    simple: dict[str, Callable[[KeyPath, object], None]] = {
        "healthCheckTimeout": lambda path, value: _load_timeout(into, path, value),
        "logLevel": lambda path, value: _log_level(into, path, value),
        "globalTTL": lambda path, value: into.put(("defaults", "ttl"), into.number(path, value), path),
        "unloadTimeout": lambda path, value: into.put(
            ("defaults", "unload_timeout"), into.number(path, value) or 10, path
        ),
        "startPort": lambda path, value: into.put(("server", "start_port"), into.number(path, value), path),
        "apiKeys": lambda path, value: into.put(("server", "api_keys"), into.texts(path, value), path),
        "macros": lambda path, value: into.put(
            ("macros",),
            {name: into.native((*path, name), each) for name, each in into.table(path, value).items()},
            path,
        ),
        "models": lambda path, value: _models(into, path, value),
        "selectors": lambda path, value: _named(into, path, value, _SELECTOR),
        "profiles": lambda path, value: _named(into, path, value, _PROFILE),
        "peers": lambda path, value: _named(into, path, value, _PEER),
    }
    late = {"groups", "matrix", "routing", "hooks"}
    for key, value in top.items():
        if key in simple:
            simple[key]((key,), value)
        elif key in NO_USE:
            into.note((key,), NO_USE[key])
        elif key not in late:
            into.note((key,), UNKNOWN)
    _residency(into, top)
    _preload(into, top)
    return into


def _load_timeout(into: Translation, path: KeyPath, value: object) -> None:
    seconds = into.number(path, value)
    if isinstance(seconds, int) and seconds < _SHORTEST_LOAD_S:
        seconds = _SHORTEST_LOAD_S
    into.put(("defaults", "load_timeout"), seconds, path)


def _log_level(into: Translation, path: KeyPath, value: object) -> None:
    said = into.name(path, value)
    level = _LEVELS.get(said.lower()) if isinstance(said, str) else None
    if level is None:
        into.note(path, f"{quoted(str(said))} is no level: info")
    into.put(("server", "log_level"), level or "info", path)


# Models


def _models(into: Translation, path: KeyPath, value: object) -> None:
    models = into.table(path, value)
    if not models:
        return
    into.put(("models",), {}, path)
    for written, table in models.items():
        here: KeyPath = (*path, written)
        model = into.key(here)
        if ("models", model) in into.sources:
            into.refuse(here, f"{quoted(model)} is here a second time", at_key=True)
            continue
        into.put(("models", model), {}, here)
        if table is None:
            into.refuse(here, "cmd is missing: expected the command that starts the server", at_key=True)
            continue
        put_known(into, ("models", model), here, table, _MODEL)


_FOR_PEOPLE: Final = {
    "name": Key("name", stripped, ("",)),
    "description": Key("description", stripped, ("",)),
    "unlisted": Key("unlisted", Translation.flag),
    "metadata": Key("metadata", without_nulls),
}
_TIMEOUTS: Final = {
    "connect": Key("connect", Translation.number),
    "responseHeader": Key("response_header", Translation.number),
    "idleConn": Key("idle", Translation.number),
}
_CAPABILITIES: Final = {
    "in": Key("in", Translation.texts),
    "out": Key("out", Translation.texts),
    "tools": Key("tools", Translation.flag),
    "reranker": Key("reranker", Translation.flag),
    "context": Key("context", Translation.number),
}


def _check_endpoint(into: Translation, ours: KeyPath, path: KeyPath, value: object) -> None:
    text = into.text(path, value)
    if isinstance(text, str):
        if "://" in text:
            parts = urlsplit(text)
            text = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            into.note(path, f"only its path counts: {text}")
        elif text and text != "none" and not text.startswith(("/", "${")):
            text = f"/{text}"
    if text:
        into.put((*ours, "check_endpoint"), text, path)


def _filters(into: Translation, ours: KeyPath, path: KeyPath, value: object) -> None:
    table = into.table(path, value)
    stripped = "stripParams" if table.get("stripParams") else "strip_params"
    for key, inner in table.items():
        here = (*path, key)
        if key in {"stripParams", "strip_params"}:
            text = into.text(here, inner) if key == stripped else ""
            if isinstance(text, str):
                names = sorted({each.strip() for each in text.split(",")} - {"", "model"})
                into.put((*ours, "filters", "strip_params"), names, here) if names else None
            else:
                into.put((*ours, "filters", "strip_params"), text, here)
        elif key == "setParams":
            into.put((*ours, "filters", "set_params"), _set(into, here, inner), here)
        elif key == "setParamsByID":
            named = {name: _set(into, (*here, name), each) for name, each in into.table(here, inner).items()}
            into.put((*ours, "filters", "set_params_by_id"), named, here)
        else:
            into.note(here, UNKNOWN)


def _set(into: Translation, path: KeyPath, value: object) -> object:
    table = dict(into.table(path, value))
    if "model" in table:
        del table["model"]
        into.note((*path, "model"), "the model of a request is never set, here as there: see useModelName")
    return without_nulls(into, path, table)


def _timeouts(into: Translation, ours: KeyPath, path: KeyPath, value: object) -> None:
    put_known(into, (*ours, "timeouts"), path, value, _TIMEOUTS)


def _capabilities(into: Translation, ours: KeyPath, path: KeyPath, value: object) -> None:
    put_known(into, (*ours, "capabilities"), path, value, _CAPABILITIES)


def _spillover(into: Translation, ours: KeyPath, path: KeyPath, value: object) -> None:
    put_known(into, ours, path, value, {"spillover": Key("spillover", Translation.number)})


_MODEL: Final[Mapping[str, Key | Put]] = {
    **_FOR_PEOPLE,
    "cmd": Key("cmd", Translation.text, ("",)),
    "cmdStop": Key("cmd_stop", Translation.text, ("",)),
    "proxy": Key("proxy", Translation.text),
    "ttl": Key("ttl", Translation.number, (-1,)),
    "unloadTimeout": Key("unload_timeout", Translation.number, (0,)),
    "concurrencyLimit": Key("concurrency", Translation.number, (0,)),
    "priority": Key("priority", Translation.number),
    "unloadDelay": Key("unload_delay", Translation.number),
    "useModelName": Key("use_model_name", stripped, ("",)),
    "aliases": Key("aliases", Translation.names),
    "env": Key("env", Translation.texts),
    "macros": Key("macros", without_nulls),
    "checkEndpoint": _check_endpoint,
    "filters": _filters,
    "timeouts": _timeouts,
    "capabilities": _capabilities,
}


# Which models may be there together


def _residency(into: Translation, top: Mapping[str, object]) -> None:
    routing = into.table(("routing",), top.get("routing"))
    router = into.table(("routing", "router"), routing.get("router"))
    settings = into.table(("routing", "router", "settings"), router.get("settings"))
    use = router.get("use", "group")
    old = [key for key in ("groups", "matrix") if top.get(key) is not None]
    if router and old:
        into.refuse((old[0],), f"there is routing.router too: move {old[0]} to routing.router.settings", at_key=True)
    elif len(old) > 1:
        message = "there are groups too: which models may be there together is said by one of the two"
        into.refuse(("matrix",), message, at_key=True)
    elif use not in ("group", "matrix"):  # no set: it would have to hash what may be a list
        into.refuse(("routing", "router", "use"), f"expected group or matrix, got {quoted(str(use))}")
    elif old:
        (_groups if old[0] == "groups" else _matrix)(into, (old[0],), top[old[0]])
    elif use == "matrix" and settings.get("matrix") is None:
        into.refuse(("routing", "router", "use"), "there is no routing.router.settings.matrix")
    elif use == "matrix":
        _matrix(into, ("routing", "router", "settings", "matrix"), settings["matrix"])
    else:
        _groups(into, ("routing", "router", "settings", "groups"), settings.get("groups"))
    _scheduler(into, into.table(("routing", "scheduler"), routing.get("scheduler")))


def _groups(into: Translation, path: KeyPath, value: object) -> None:
    for group, table in into.table(path, value).items():
        here: KeyPath = (*path, group)
        inner = into.table(here, table)
        if group == "(default)":
            into.note(here, "the models in no group are such a group already; llama-swap passes over it too")
            continue
        if not inner.get("members"):
            into.note(here, "a group without members says nothing")
            continue
        name = re.sub(r"/", "-", group)
        name = f"{name}-group" if name == "default" else name
        if name != group:
            into.note(here, f"called {name} here")
        put_known(into, ("groups", name), here, inner, _GROUP)


_GROUP: Final = {
    "members": Key("members", Translation.names),
    "swap": Key("swap", Translation.flag),
    "exclusive": Key("exclusive", Translation.flag),
    "persistent": Key("persistent", Translation.flag),
}


def _matrix(into: Translation, path: KeyPath, value: object) -> None:
    known: dict[str, Convert] = {"vars": Translation.name, "evict_costs": Translation.number, "sets": Translation.text}
    for key, inner in into.table(path, value).items():
        here = (*path, key)
        if key in known:
            table = into.table(here, inner)
            into.put(
                ("matrix", key), {name: known[key](into, (*here, name), each) for name, each in table.items()}, here
            )
        else:
            into.note(here, UNKNOWN)


def _scheduler(into: Translation, scheduler: Mapping[str, object]) -> None:
    path: KeyPath = ("routing", "scheduler")
    use = scheduler.get("use", "fifo")
    if use != "fifo":
        into.refuse((*path, "use"), f"expected fifo, got {quoted(str(use))}")
    settings = into.table((*path, "settings"), scheduler.get("settings"))
    fifo = into.table((*path, "settings", "fifo"), settings.get("fifo"))
    at: KeyPath = (*path, "settings", "fifo", "priority")
    models = into.value.get("models", {})
    for written, priority in into.table(at, fifo.get("priority")).items():
        here: KeyPath = (*at, written)
        model = into.key(here)
        table = models.get(model) if isinstance(models, dict) else None
        if not isinstance(table, dict):
            if model in into.elsewhere:
                into.late[model] = into.number(here, priority), here
            elif model in names_of(into):
                into.note(here, "an alias: llama-swap looks for ids, so it has no effect there, nor here")
            else:
                into.refuse(here, f"there is no model {quoted(model)}", at_key=True)
        elif "priority" in table:
            into.note(here, "the model's own priority counts")
        else:
            into.put(("models", model, "priority"), into.number(here, priority), here)


def names_of(into: Translation) -> dict[str, str]:
    """From each alias in a file to its model."""
    models = into.value.get("models")
    found: dict[str, str] = {}
    for model, table in models.items() if isinstance(models, dict) else ():
        aliases = table.get("aliases", []) if isinstance(table, dict) else []
        filters = table.get("filters", {}) if isinstance(table, dict) else {}
        variants = filters.get("set_params_by_id", {}) if isinstance(filters, dict) else {}
        for alias in (
            *(aliases if isinstance(aliases, list) else ()),
            *(variants if isinstance(variants, dict) else ()),
        ):
            found.setdefault(str(alias), model)
    return found


def _preload(into: Translation, top: Mapping[str, object]) -> None:
    hooks = into.table(("hooks",), top.get("hooks"))
    path: KeyPath = ("hooks", "on_startup", "preload")
    startup = into.table(path[:2], hooks.get("on_startup"))
    named = into.names(path, startup.get("preload"))
    if not isinstance(named, list):
        into.put(path, named, path)
        return
    models = into.value.get("models", {})
    known = {*(models if isinstance(models, dict) else ()), *names_of(into), *into.elsewhere}
    kept = []
    for index, name in enumerate(named):
        if isinstance(name, str) and name.strip() in known:
            kept.append(name.strip())
        else:
            into.note((*path, index), f"there is no model {quoted(str(name))} to be loaded")
    if kept:
        into.put(path, kept, path)


# Names that lead elsewhere


_SELECTOR: Final[Mapping[str, Key | Put]] = {
    **_FOR_PEOPLE,
    "settings": _spillover,
    "strategy": Key("strategy", Translation.text),
    "targets": Key("targets", Translation.names),
}
_PEER: Final[Mapping[str, Key | Put]] = {
    "filters": _filters,
    "timeouts": _timeouts,
    "proxy": Key("proxy", Translation.text),
    "apiKey": Key("api_key", Translation.text, ("",)),
    "models": Key("models", Translation.names),
}


def _pins(into: Translation, path: KeyPath, value: object) -> object:
    return {pin: into.name((*path, pin), target) for pin, target in into.table(path, value).items()}


_PROFILE: Final = {"description": Key("description", stripped, ("",)), "pins": Key("pins", _pins)}


def _named(into: Translation, path: KeyPath, value: object, known: Mapping[str, Key | Put]) -> None:
    for written, table in into.table(path, value).items():
        here: KeyPath = (*path, written)
        if isinstance(table, list) and path == ("profiles",):
            into.refuse(here, "a list of models is the profiles of old: write pins, or a group with swap: false")
            continue
        ours = (*path, into.key(here))
        into.put(ours, {}, here)
        put_known(into, ours, here, table, known)
