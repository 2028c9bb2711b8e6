"""The tiny models that the tests share, by name, and how the proxy is told to serve them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

SPEAKERS: Final = ("ann", "ben", "cleo", "orchestrator", "explorer", "coder")
"""Models that say who they are; see `said_by`."""
ENDLESS: Final = "endless"
"""A model that goes on until it is stopped."""
CALLER: Final = "caller"
"""A model that asks for the weather of two cities at once where it is offered tools, and says `CALLER_SAYS` then."""
CALLER_SAYS: Final = "It is fine weather in both places today ."
CITIES: Final = ("Paris", "Rome")
EMBEDDER: Final = "embedder"
RERANKER: Final = "reranker"

_OPTIONS: Final = {ENDLESS: "--context-shift", EMBEDDER: "--embeddings", RERANKER: "--reranking"}
_SERVER: Final = Path(__file__).with_name("llama_server.py")


def said_by(name: str) -> str:
    """What one of the `SPEAKERS` answers to everything."""
    return f"I am {name} and this is the whole of my answer ."


def fill(folder: Path) -> None:
    """Write every model's file."""
    from .tiny_model import write_model

    for name in (*SPEAKERS, EMBEDDER, RERANKER):
        write_model(file_of(folder, name), said_by(name))
    write_model(file_of(folder, ENDLESS), "round and round it goes", endlessly=True)
    write_model(file_of(folder, CALLER), CALLER_SAYS, calls=[("weather", {"city": city}) for city in CITIES])


def file_of(folder: Path, name: str) -> Path:
    """Where a model is."""
    return folder / f"{name}.gguf"


def llama_server(folder: Path, name: str, *options: str, port: int | str = "${PORT}") -> list[str]:
    """The words of a command that serves a model; answers bear its name."""
    model = ["-m", str(file_of(folder, name)), "-a", name]
    own = [_OPTIONS[name]] if name in _OPTIONS else []
    return [sys.executable, str(_SERVER), *model, "--port", str(port), *own, *options]


def real(folder: Path, name: str, *options: str, after: Path | None = None, **keys: str | float) -> str:
    """One `[models.NAME]` table with a real server, ready for keys to be added.

    Args:
        folder: where the models are.
        name: of the model.
        options: further words of the server's command.
        after: a file; the server does not start before it is there.
        keys: further keys of the table.
    """
    command = llama_server(folder, name, *options)
    if after is not None:
        command = ["sh", "-c", f"until [ -e '{after}' ]; do sleep 0.02; done; exec \"$@\"", "sh", *command]
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f"[models.{name}]\ncmd = {json.dumps(command)}\n{lines}\n"
