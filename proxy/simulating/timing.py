"""How long servers take in a simulation, as it is said on a command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite

from states.settings import ModelId
from states.simulation import Durations


def durations(words: Iterable[str], usual: Durations, resolve: Callable[[str], ModelId | None]) -> Durations:
    """Read `3` (every model), `coder=3` (that one) and `explorer..coder=3` (that one where the other was before).

    Args:
        words: the later ones win.
        usual: what holds where they say nothing.
        resolve: from the name of a model, or an alias, to the model; None: there is none.

    Raises:
        ValueError: in words for whoever wrote it.
    """
    usual_s, of, between = usual.usual_s, dict(usual.of), dict(usual.between)
    for word in words:
        target, equals, value = word.rpartition("=")
        seconds = _seconds(value, word)
        if not equals:
            usual_s, of, between = seconds, {}, {}
            continue
        before, arrow, after = target.partition("..")
        if arrow:
            between[_model(before, word, resolve), _model(after, word, resolve)] = seconds
        else:
            of[_model(target, word, resolve)] = seconds
    return Durations(usual_s=usual_s, of=of, between=between)


def _seconds(value: str, word: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not isfinite(seconds) or seconds < 0:
        raise ValueError(f"{word}: expected seconds, MODEL=seconds or FROM..TO=seconds")
    return seconds


def _model(name: str, word: str, resolve: Callable[[str], ModelId | None]) -> ModelId:
    model = resolve(name)
    if model is None:
        raise ValueError(f"{word}: there is no model {name!r}")
    return model
