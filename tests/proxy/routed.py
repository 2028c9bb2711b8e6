"""Selectors, peers, profiles and filters for tests, with only what a test is about said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from proxy.config import Config, load_config
from proxy.config.routing import (
    DEFAULT_TIMEOUTS,
    NO_FILTERS,
    PeerConfig,
    ProfileConfig,
    SelectorConfig,
    SelectorStrategy,
)
from states.settings import ModelId


def selector(name: str, strategy: str, *targets: str, **more: Any) -> SelectorConfig:
    keys: dict[str, Any] = {"spillover": 1, "name": None, "description": None, "unlisted": False, "metadata": {}}
    return SelectorConfig(id=name, strategy=SelectorStrategy(strategy), targets=targets, **{**keys, **more})


def peer(name: str, url: str, *models: str, **more: Any) -> PeerConfig:
    keys: dict[str, Any] = {"api_key": None, "filters": NO_FILTERS, "timeouts": DEFAULT_TIMEOUTS, "concurrency": 0}
    return PeerConfig(id=name, url=url, models=models, **{**keys, **more})


def profile(name: str, description: str | None = None, **pins: str | None) -> ProfileConfig:
    return ProfileConfig(id=name, description=description, pins=pins)


def routed(
    *parts: SelectorConfig | PeerConfig | ProfileConfig, **models: Mapping[str, Any]
) -> Callable[[Config], Config]:
    """Return what adds these to a configuration, and changes fields of its models."""

    def change(config: Config) -> Config:
        return replace(
            config,
            selectors={part.id: part for part in parts if isinstance(part, SelectorConfig)},
            peers={part.id: part for part in parts if isinstance(part, PeerConfig)},
            profiles={part.id: part for part in parts if isinstance(part, ProfileConfig)},
            models={
                **config.models,
                **{ModelId(name): replace(config.models[ModelId(name)], **of) for name, of in models.items()},
            },
        )

    return change


def configured(folder: Path, *models: str) -> Config:
    """Return a configuration with these models and nothing else."""
    file = folder / "config.toml"
    file.write_text("".join(f'[models."{model}"]\ncmd = "fake ${{PORT}}"\n' for model in models))
    return load_config(file, {})
