"""What is different between two configurations, as far as whoever reloads one has to know."""

from __future__ import annotations

from dataclasses import dataclass

from states.settings import ModelId

from .configuration import Config, ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """From one configuration to the next."""

    added: tuple[ModelId, ...]
    removed: tuple[ModelId, ...]
    restarted: tuple[ModelId, ...]
    """Their servers would be started in another way: those that run are not what is asked for any more."""
    fixed: tuple[str, ...]
    """Keys that differ and cannot be changed while the proxy runs."""

    def __str__(self) -> str:
        """All of it in one line."""
        parts = [
            f"{what} {', '.join(names)}"
            for what, names in (("new:", self.added), ("gone:", self.removed), ("restarted:", self.restarted))
            if names
        ]
        if self.fixed:
            parts.append(f"needs a new start of the proxy: {', '.join(self.fixed)}")
        return "; ".join(parts) or "no model has to be started anew"


def differences(old: Config, new: Config) -> Differences:
    """Compare what holds with what is to hold."""
    fixed = (
        ("server.listen", old.listen != new.listen),
        ("server.start_port", old.start_port != new.start_port),
        ("server.log_format", old.log_format != new.log_format),
    )
    return Differences(
        added=tuple(model for model in new.models if model not in old.models),
        removed=tuple(model for model in old.models if model not in new.models),
        restarted=tuple(
            model for model, config in new.models.items() if model in old.models and _differs(old.models[model], config)
        ),
        fixed=tuple(key for key, is_different in fixed if is_different),
    )


def _differs(old: ModelConfig, new: ModelConfig) -> bool:
    return _start_of(old) != _start_of(new)


def _start_of(model: ModelConfig) -> tuple[object, ...]:
    """What a running server cannot be told any more.

    What is changed of requests and shown in listings counts at once; how long it is waited for, and how it is stopped,
    from its next start.
    """
    # With two ports: what says ${PORT} differs from what says a number.
    return tuple((model.command(port), model.url(port), model.environment(port)) for port in (0, 1)), model.cwd
