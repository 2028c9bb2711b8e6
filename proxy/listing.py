"""What clients see when they ask which models there are: ours, selectors, what the active profile adds, peers' models.

One answer for clients of OpenAI, of Anthropic and of llama-swap alike; the latter find more under `meta.llamaswap`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from states.group import LOADED, GroupState
from states.settings import ModelId

from .config import Config, ModelConfig
from .config.routing import (
    NO_CAPABILITIES,
    Capabilities,
    Json,
    PeerConfig,
    ProfileConfig,
    SelectorConfig,
    SelectorStrategy,
)

Entry = dict[str, object]

_STARTED: Final = int(time.time())
"""Model lists want to know when a model was made; all that is known is since when it is served here."""
_SAID_BY_CAPABILITIES: Final = ("architecture", "capabilities", "supported_parameters", "context_length")
_NO_STATES: Final[Mapping[ModelId, GroupState]] = {}


def model_list(
    config: Config, profile: str | None = None, states: Mapping[ModelId, GroupState] = _NO_STATES
) -> dict[str, object]:
    """Every listed model.

    Args:
        config: what there is.
        profile: the active one.
        states: the models that have a server or are the next to, each with the state of its group.
    """
    listed = [entry for entry, is_listed in _entries(config, profile, states) if is_listed]
    return {
        "object": "list",
        "data": listed,
        "has_more": False,
        "first_id": listed[0]["id"] if listed else None,
        "last_id": listed[-1]["id"] if listed else None,
    }


def find_entry(config: Config, name: str, profile: str | None, states: Mapping[ModelId, GroupState]) -> Entry | None:
    """Return what a name stands for in the list, listed or not; None: it is not one of the list's own names."""
    return next((entry for entry, _ in _entries(config, profile, states) if entry["id"] == name), None)


def model_entry(model: ModelConfig, *, is_loaded: bool = False) -> Entry:
    """One model of ours."""
    extra: dict[str, Json] = {"aliases": list(model.aliases)} if model.aliases else {}
    able = model.capabilities
    metadata = dict(model.metadata)
    if able != NO_CAPABILITIES:
        metadata = {key: value for key, value in metadata.items() if key not in _SAID_BY_CAPABILITIES}
    entry = _entry(model.id, model.name, model.description, metadata | extra, kind="model", is_loaded=is_loaded)
    entry |= _abilities(able)
    if able.context:
        entry["meta"] = {"n_ctx": able.context} | _dictionary(entry["meta"])
    return entry


def _entries(config: Config, profile: str | None, states: Mapping[ModelId, GroupState]) -> Iterator[tuple[Entry, bool]]:
    """Every entry, and whether it is listed."""
    named: set[str] = {*config.models, *config.selectors}
    for model in config.models.values():
        yield (
            model_entry(model, is_loaded=states.get(model.id, GroupState.IDLE) is not GroupState.IDLE),
            (not model.unlisted),
        )
    for selector in config.selectors.values():
        yield _selector(config, selector, states), not selector.unlisted
    if profile is not None:
        for entry in _pins(config.profiles[profile]):
            yield entry, entry["id"] not in named
    for peer in config.peers.values():
        for remote in peer.models:
            yield _remote(peer, remote), True


def _selector(config: Config, selector: SelectorConfig, states: Mapping[ModelId, GroupState]) -> Entry:
    extra: dict[str, Json] = {"strategy": selector.strategy.value, "targets": list(selector.targets)}
    if selector.strategy is SelectorStrategy.SPILLOVER:
        extra["spillover"] = selector.spillover
    counted = selector.targets[:1] if selector.strategy is SelectorStrategy.PIN else selector.targets
    models = [config.resolve(target) for target in counted]
    is_loaded = any(model is not None and states.get(model) in {*LOADED, GroupState.LOADING} for model in models)
    return _entry(
        selector.id,
        selector.name,
        selector.description,
        dict(selector.metadata) | extra,
        kind="selector",
        is_loaded=is_loaded,
    )


def _pins(profile: ProfileConfig) -> Iterator[Entry]:
    for name, target in profile.pins.items():
        if target is not None:
            yield _entry(name, None, None, {"profile": profile.id, "target": target}, kind="profile")


def _remote(peer: PeerConfig, remote: str) -> Entry:
    return _entry(f"{peer.id}/{remote}", f"{peer.id}: {remote}", None, {"peerID": peer.id}, kind="peer")


def _entry(
    name: str,
    shown: str | None,
    description: str | None,
    more: Mapping[str, Json],
    *,
    kind: str,
    is_loaded: bool = False,
) -> Entry:
    entry: Entry = {
        "id": name,
        "object": "model",
        "created": _STARTED,
        "owned_by": "trio-swap",
        "type": "model",
        "display_name": shown or name,
        "created_at": datetime.fromtimestamp(_STARTED, UTC).isoformat().replace("+00:00", "Z"),
    }
    if shown:
        entry["name"] = shown
    if description:
        entry["description"] = description
    entry["meta"] = {"llamaswap": {**more, "type": kind}}
    entry["status"] = {"value": "loaded" if is_loaded else "unloaded"}
    return entry


def _abilities(able: Capabilities) -> Entry:
    """In the words that OpenRouter's clients and llama-swap's know."""
    if able == NO_CAPABILITIES:
        return {}
    into, out = set(able.inputs), set(able.outputs)
    flags = {
        "vision": "image" in into,
        "audio_transcriptions": "audio" in into and "text" in out,
        "audio_speech": "text" in into and "audio" in out,
        "image_generation": "text" in into and "image" in out,
        "image_to_image": "image" in into and "image" in out,
        "function_calling": able.tools,
        "reranker": able.reranker,
    }
    entry: Entry = {}
    architecture: Entry = {}
    if able.inputs:
        architecture["input_modalities"] = list(able.inputs)
    if able.outputs:
        architecture["output_modalities"] = list(able.outputs)
    if able.inputs and able.outputs:
        architecture["modality"] = f"{'+'.join(able.inputs)}->{'+'.join(able.outputs)}"
    if architecture:
        entry["architecture"] = architecture
    if can := {flag: True for flag, holds in flags.items() if holds}:
        entry["capabilities"] = can
    if able.tools:
        entry["supported_parameters"] = ["tools", "tool_choice"]
    if able.context:
        entry["context_length"] = able.context
    return entry


def _dictionary(value: object) -> Entry:
    return dict(value) if isinstance(value, dict) else {}
