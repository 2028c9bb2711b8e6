"""llama-swap files, read by us."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from proxy.config import Config, ConfigError, load_config
from proxy.config.configuration import ModelConfig
from states.settings import ModelId, ModelSettings

MODEL = "models:\n  m:\n    cmd: server --port ${PORT}\n"


def load(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> Config:
    """Read a file with this text."""
    file = folder / "llama-swap.yaml"
    file.write_text(dedent(text), encoding="utf-8")
    return load_config(file, environment or {})


def model(config: Config, name: str = "m") -> ModelConfig:
    """A model's configuration."""
    return config.models[ModelId(name)]


def scheduling(config: Config, name: str = "m") -> ModelSettings:
    """What the core knows of a model."""
    return config.settings.models[ModelId(name)]


def refused(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with a file: `line:column key: message` each."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, environment)
    return [f"{mistake.line}:{mistake.column} {mistake.message}" for mistake in caught.value.mistakes]


def notes(config: Config) -> list[str]:
    """What is not carried over: `line key: message` each."""
    return [f"{note.line} {note.message}" for note in config.notes]
