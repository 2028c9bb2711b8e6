"""What is compared: the configuration as it is, or changed, or the rule of another proxy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from states.settings import Settings, Strategy


class Rule(Enum):
    """Who decides."""

    CORE = "core"
    PEER = "peer"
    DRAIN_FIRST = "drain-first"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to decide."""

    name: str
    summary: str
    settings: Settings
    rule: Rule = Rule.CORE


NAMES: Final = {
    "fifo+": "priorities, holds, bounded waits",
    "fifo": "strictly in order of arrival",
    "peer": "a collating queue with priorities (a model of llama-swap's rule)",
    "drain-first": "until nobody wants it, then the longest queue (a model of llmux's rule)",
    "no-priorities": "fifo+ with all priorities equal",
    "no-holds": "fifo+ with nothing held",
    "no-bounds": "fifo+ with nobody ever overdue",
}
"""The variants that have a name, and what they are."""

KEYS: Final = {
    "unload_delay": "unload_delay_s",
    "min_loaded": "min_loaded_s",
    "max_wait": "max_wait_s",
    "ttl": "ttl_s",
    "concurrency": "concurrency",
    "priority": "priority",
}
"""The keys of models that can be changed, and what the scheduler calls them. `KEY=VALUE` is a variant too."""

_WHOLE: Final = ("concurrency", "priority")
_LEAST: Final = {"concurrency": 1.0, "priority": float("-inf")}


def variant(name: str, settings: Settings) -> Variant:
    """Return the variant of that name.

    Args:
        name: one of `NAMES`, or `KEY=VALUE`.
        settings: those of the configuration.

    Raises:
        ValueError: there is none of that name; the message says which there are.
    """
    plus = replace(settings, strategy=Strategy.FIFO_PLUS)
    match name:
        case "fifo+":
            return Variant(name, NAMES[name], plus)
        case "fifo":
            return Variant(name, NAMES[name], replace(settings, strategy=Strategy.FIFO))
        case "peer" | "drain-first":
            return Variant(name, NAMES[name], settings, Rule(name))
        case "no-priorities":
            return Variant(name, NAMES[name], changed(plus, priority=0))
        case "no-holds":
            return Variant(name, NAMES[name], changed(plus, unload_delay_s=0.0, min_loaded_s=0.0))
        case "no-bounds":
            return Variant(name, NAMES[name], changed(plus, max_wait_s=0.0))
    key, equals, value = name.partition("=")
    if not equals:
        raise ValueError(f"there is no variant {name!r}: expected {', '.join(NAMES)}, or KEY=VALUE")
    return changed_variant(settings, key, value)


def changed_variant(settings: Settings, key: str, value: str) -> Variant:
    """Return the variant in which every model has `value`, a number as text, for `key`.

    Raises:
        ValueError: there is no such key, or it cannot have that value.
    """
    if key not in KEYS:
        raise ValueError(f"{key!r} cannot be changed, only {', '.join(KEYS)}")
    try:
        number = int(value) if key in _WHOLE else float(value)
    except ValueError:
        raise ValueError(f"{key}={value}: expected a {'whole ' if key in _WHOLE else ''}number") from None
    if not _LEAST.get(key, 0.0) <= number < float("inf"):
        raise ValueError(f"{key}={value}: expected at least {_LEAST.get(key, 0.0):g}")
    return Variant(f"{key}={value}", f"every model with {key} = {value}", changed(settings, **{KEYS[key]: number}))


def changed(settings: Settings, **fields: float) -> Settings:
    """Return the settings with some fields of every model changed."""
    models = {name: replace(model, **fields) for name, model in settings.models.items()}  # type: ignore[arg-type]
    return replace(settings, models=models)
