"""A first configuration, as TOML with comments, from what there is."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import tomli_w

from .discovery import Gpu, ModelFile, Unusable

_GIB: Final = 2**30
NO_LLAMA_SERVER: Final = "llama-server is not on PATH: install llama.cpp, or write its full path in each cmd"
_PART: Final = re.compile(r"-\d{5}-of-\d{5}$")
_QUANTIZATION: Final = re.compile(r"[-._](?:ud-)?(?:i?q\d\w*|bf16|f16|f32|mxfp4\w*)$")
_MOST_CONTEXT: Final = 16384
_ROOM: Final = 1.3
"""What a model takes beside its weights: context and buffers, as a factor."""
_SMALL: Final = 0.1
"""A model for embeddings stays beside the others if all of its kind take less than this share of the memory."""
_FLAGS: Final = {"chat": "", "embedding": " --embeddings", "rerank": " --rerank"}
_SLOTS: Final = {"chat": 2, "embedding": 4, "rerank": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is on a machine."""

    models: Sequence[ModelFile]
    vllm_models: Sequence[str]
    """Models in Hugging Face's cache that vLLM can serve; none where there is no vLLM."""
    servers: Sequence[str]
    gpus: Sequence[Gpu]
    main_memory_bytes: int
    left_out: Sequence[Unusable]

    @property
    def memory_bytes(self) -> int:
        """Where the models go: what all GPUs have together, or else the main memory."""
        return sum(gpu.memory_bytes for gpu in self.gpus) or self.main_memory_bytes


def speakable(found: Found) -> Found:
    """Leave out the files whose path a configuration cannot say."""
    bad = {model.path: why for model in found.models if (why := _unspeakable(model.path))}
    models = [model for model in found.models if model.path not in bad]
    left_out = [*found.left_out, *(Unusable(path=path, why=why) for path, why in bad.items())]
    return replace(found, models=models, left_out=left_out)


def compose(found: Found) -> str:
    """Return the text of a configuration file; there must be a model."""
    ids = names_of(found.models)
    tables = [_model_table(name, model, found) for name, model in ids.items()]
    tables += [_vllm_table(name) for name in found.vllm_models]
    return "\n".join([*_preamble(found), *tables, *_groups(ids, found)])


def names_of(models: Sequence[ModelFile]) -> dict[str, ModelFile]:
    """Return an id for each model: its file's name without what it was quantized to, unless two would be one."""
    long = [_PART.sub("", model.path.stem).lower() for model in models]
    short = [_QUANTIZATION.sub("", name) or name for name in long]
    counts = Counter(short)
    named: dict[str, ModelFile] = {}
    for brief, full, model in zip(short, long, models, strict=True):
        first = name = brief if counts[brief] == 1 else full
        number = 1
        while name in named:
            number += 1
            name = f"{first}-{number}"
        named[name] = model
    return named


def _preamble(found: Found) -> Iterator[str]:
    yield "# A first configuration, made by `trio-swap init` from what it found. It is yours now: change what you like."
    yield "#"
    yield "#     trio-swap check FILE      says what is wrong, or what loading each model unloads"
    yield "#     trio-swap serve FILE      serves it on http://127.0.0.1:8080/v1"
    yield "#"
    for gpu in found.gpus:
        yield f"# GPU: {_visible(gpu.name)}, {_size(gpu.memory_bytes)}"
    if not found.gpus:
        yield f"# GPU: none found. Models run on the processor, in a memory of {_size(found.main_memory_bytes)}."
    yield f"# Model servers on PATH: {', '.join(found.servers) or 'none'}"
    if found.models and "llama-server" not in found.servers:
        yield f"# {NO_LLAMA_SERVER}."
    for each in found.left_out:
        yield f"# Left out: {_visible(str(each.path))} {_visible(each.why)}"
    yield ""
    yield "[defaults]"
    yield 'load_timeout = "5m" # from started to ready'
    yield "unload_delay = 5    # stays loaded for 5 s after its last request, although others wait"
    yield 'max_wait = "5m"     # whoever has waited so long is next, whatever the priorities'
    yield ""


def _model_table(name: str, model: ModelFile, found: Found) -> str:
    slots = _SLOTS[model.purpose]
    architecture = _visible(model.architecture) or "unknown kind"
    known = [_visible(model.name) or model.path.name, architecture, _size(model.size_bytes)]
    if model.context:
        known.append(f"trained for {model.context} tokens")
    lines = [f"# {', '.join(known)}"]
    if found.gpus and model.size_bytes > found.memory_bytes:
        lines.append("# Larger than the memory of the GPU: a part of it runs on the processor.")
    # Slots share the context; embeddings need no long one, and a model cannot use more than it was trained for.
    context = slots * min(model.context or 4096, _MOST_CONTEXT // slots)
    command = f"llama-server --port ${{PORT}} -m {shlex.quote(str(model.path))} -c {context} -np {slots}"
    command += _FLAGS[model.purpose]
    if model.projector is not None:
        command += f" --mmproj {shlex.quote(str(model.projector))}"
    return "\n".join(lines) + "\n" + _table(name, command, slots)


def _vllm_table(name: str) -> str:
    command = f"vllm serve {shlex.quote(name)} --port ${{PORT}} --host 127.0.0.1 --served-model-name ${{MODEL_ID}}"
    slow = 'load_timeout = "15m" # vLLM compiles before it is ready\n'
    return "# From Hugging Face's cache.\n" + _table(name, command, 16) + slow


def _table(name: str, command: str, slots: int) -> str:
    head, _, _ = tomli_w.dumps({"models": {name: {"cmd": command}}}).partition("\ncmd")
    return f"{head}\n{tomli_w.dumps({'cmd': command})}concurrency = {slots}\n"


def _groups(ids: dict[str, ModelFile], found: Found) -> Iterator[str]:
    memory = found.memory_bytes
    if len(ids) > 1 and not found.vllm_models and _taken(ids.values()) <= memory:
        yield "# All of these fit into the memory together, so nobody has to leave."
        yield tomli_w.dumps({"groups": {"all": {"members": list(ids), "swap": False}}})
        return
    small = {name: model for name, model in ids.items() if model.purpose != "chat"}
    if small and len(small) < len(ids) + len(found.vllm_models) and _taken(small.values()) <= _SMALL * memory:
        yield "# Small, and asked all the time: they stay beside whatever else is loaded."
        group = {"members": list(small), "swap": False, "exclusive": False, "persistent": True}
        yield tomli_w.dumps({"groups": {"small": group}})


def _taken(models: Iterable[ModelFile]) -> float:
    return _ROOM * sum(model.size_bytes for model in models)


def _unspeakable(path: Path) -> str:
    text = str(path)
    if "${" in text:
        return "has ${ in its path, which means something else in a configuration"
    if not text.isprintable():
        return "has a character in its path that cannot be seen"
    return ""


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / 2**20:.1f} MiB"


def _visible(text: str) -> str:
    """Text of others for a comment: one line, and nothing that a terminal or TOML would take for something else."""
    return "".join(each if each.isprintable() else "?" for each in text)[:120]
