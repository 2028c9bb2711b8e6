"""What there is on this machine: model files, programs that serve them, and the memory of GPUs.

Nothing is started but `nvidia-smi` and, on macOS, `sysctl`; nothing is asked of the network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from .gguf_header import NotGgufError, Value, read_header

USUAL_FOLDERS: Final = ("~/models", "~/.cache/llama.cpp", "~/.cache/huggingface/hub", "~/.lmstudio/models")
"""Where programs keep model files; `.` comes before them."""
SERVERS: Final = ("llama-server", "vllm", "ollama", "whisper-server", "mlx_lm.server", "koboldcpp", "sd-server")
_DEEPEST: Final = 8
_PART: Final = re.compile(r"-(\d{5})-of-(\d{5})$")
_EMBEDDING_ARCHITECTURES: Final = re.compile(r"bert|embedding")
_POOLING_RANK: Final = 4
_ASKING_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A GGUF file with a model, or the first one of its parts."""

    path: Path
    size_bytes: int
    """Of all parts."""
    name: str
    """In its own words; "": it has none."""
    architecture: str
    context: int
    """Tokens that it was trained for; 0: it does not say."""
    purpose: str
    """`chat`, `embedding` or `rerank`."""
    projector: Path | None = None
    """What lets it see pictures; None: nothing that certainly belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A file that was left out."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A graphics processor."""

    name: str
    memory_bytes: int


def model_files(folders: Sequence[Path]) -> tuple[list[ModelFile], list[Unusable]]:
    """Return the models in and below the folders, in order of their paths, and the files that were left out."""
    models: list[ModelFile] = []
    left_out: list[Unusable] = []
    projectors: dict[Path, list[Path]] = {}
    seen: set[Path] = set()
    for path in (path for folder in folders for path in _below(folder)):
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        part = _PART.search(path.stem)
        if part and int(part[1]) != 1:
            continue
        try:
            said = read_header(path)
            size = sum(each.stat().st_size for each in _parts(path, part))
        except (NotGgufError, OSError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            left_out.append(Unusable(path=path, why=why))
            continue
        kind = said.get("general.type", "model")
        if kind == "mmproj" or path.name.startswith("mmproj"):
            projectors.setdefault(path.parent, []).append(path)
        elif kind == "model":
            models.append(_model(path, size, said))
    return [_with_projector(model, models, projectors) for model in models], left_out


def vllm_models(hub: Path) -> list[str]:
    """Return the names of models that Hugging Face's cache has as safetensors, such as `Qwen/Qwen3-8B`."""
    folders = sorted(hub.glob("models--*--*")) if hub.is_dir() else []
    has_weights = (folder for folder in folders if any(folder.glob("snapshots/*/*.safetensors")))
    return [folder.name.removeprefix("models--").replace("--", "/") for folder in has_weights]


def servers() -> list[str]:
    """Return the names of known model servers that are on PATH."""
    return [name for name in SERVERS if shutil.which(name)]


def gpus() -> list[Gpu]:
    """Return what this machine has to load models into; nothing where nothing says so."""
    if sys.platform == "darwin":
        memory = _output("sysctl", "-n", "hw.memsize").strip()
        return [Gpu(name="memory that the GPU shares", memory_bytes=int(memory))] if memory.isdigit() else []
    return [*_nvidia(), *_amd(Path("/sys/class/drm"))]


def main_memory_bytes() -> int:
    """Return how much memory programs have here, where models go without a GPU."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _nvidia() -> Iterator[Gpu]:
    for line in _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits").splitlines():
        name, _, mebibytes = line.rpartition(",")
        if mebibytes.strip().isdigit():
            yield Gpu(name=name.strip(), memory_bytes=int(mebibytes) * 2**20)


def _amd(cards: Path) -> Iterator[Gpu]:
    for said in sorted(cards.glob("card*/device/mem_info_vram_total")):
        try:
            yield Gpu(name=f"AMD {said.parent.parent.name}", memory_bytes=int(said.read_text()))
        except (OSError, ValueError):
            continue


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASKING_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _below(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        here = Path(at)
        if len(here.relative_to(folder).parts) >= _DEEPEST:
            folders.clear()
        folders.sort()
        yield from (here / file for file in sorted(files) if file.lower().endswith(".gguf"))


def _parts(first: Path, part: re.Match[str] | None) -> list[Path]:
    if part is None:
        return [first]
    stem = first.stem[: part.start()]
    return [first.with_name(f"{stem}-{number:05}-of-{part[2]}.gguf") for number in range(1, int(part[2]) + 1)]


def _model(path: Path, size: int, keys: Mapping[str, Value]) -> ModelFile:
    architecture = str(keys.get("general.architecture", ""))
    context = keys.get(f"{architecture}.context_length", 0)
    pooling = keys.get(f"{architecture}.pooling_type", 0)
    is_embedding = bool(pooling) or bool(_EMBEDDING_ARCHITECTURES.search(architecture))
    return ModelFile(
        path=path,
        size_bytes=size,
        name=" ".join(str(keys.get("general.name", "")).split()),
        architecture=architecture,
        context=context if isinstance(context, int) else 0,
        purpose="rerank" if pooling == _POOLING_RANK else "embedding" if is_embedding else "chat",
    )


def _with_projector(model: ModelFile, models: list[ModelFile], projectors: dict[Path, list[Path]]) -> ModelFile:
    """A projector belongs to the only model in its folder; among several nobody can tell."""
    folder = model.path.parent
    found = projectors.get(folder, [])
    alone = sum(other.path.parent == folder for other in models) == 1
    if len(found) != 1 or not alone:
        return model
    return replace(model, projector=found[0], size_bytes=model.size_bytes + found[0].stat().st_size)
