"""`init`: real GGUF files, pretended programs and GPUs, and a configuration that loads."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from proxy.cli import main
from proxy.config import Config, load_config
from proxy.first_config.composing import Found, compose
from proxy.first_config.discovery import Gpu, gpus, model_files, servers
from proxy.first_config.gguf_header import NotGgufError, read_header
from states.residency import policy_of
from states.settings import ModelId

GIB = 2**30


def write_model(
    path: Path, architecture: str = "llama", name: str = "A model", context: int = 8192, **more: int
) -> Path:
    """A GGUF file with one small tensor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_context_length(context)
    for key, value in more.items():
        writer.add_uint32(f"{architecture}.{key}", value)
    writer.add_token_list(["a", "b", "c"])
    writer.add_tensor("t", np.zeros((8, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def composed(folder: Path, *cards: Gpu, memory: int = GIB, size: int | None = None) -> Config:
    """The configuration made of the model files in `folder`, each of that size if one is given, loaded."""
    models, left_out = model_files([folder])
    if size is not None:
        models = [replace(model, size_bytes=size) for model in models]
    found = Found(models=models, vllm_models=[], servers=[], gpus=cards, main_memory_bytes=memory, left_out=left_out)
    file = folder / "made.toml"
    file.write_text(compose(found))
    return load_config(file, {})


def displaced(config: Config, model: str) -> set[str]:
    """Whom loading a model unloads."""
    return set(policy_of(config.settings).displaced_by(ModelId(model)))


def test_a_header_says_what_the_gguf_package_says(tmp_path: Path) -> None:
    file = write_model(tmp_path / "m.gguf", "qwen3", "Qwen3 \N{SNOWMAN}", 40960, pooling_type=3)
    said = read_header(file)
    reader = gguf.GGUFReader(file)
    for key, value in said.items():
        assert reader.fields[key].contents() == value
    assert said["general.name"] == "Qwen3 \N{SNOWMAN}"
    assert said["qwen3.context_length"] == 40960


def test_lists_before_the_vocabulary_are_stepped_over(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_array("general.tags", ["one", "two"])
    writer.add_array("general.numbers", [1, 2, 3])
    writer.add_float32("llama.scale", 0.5)
    writer.add_bool("llama.flag", val=True)
    writer.add_context_length(1234)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    said = read_header(tmp_path / "m.gguf")
    assert (said["llama.scale"], said["llama.flag"], said["llama.context_length"]) == (0.5, True, 1234)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin as"),
        (b"GGML", "does not begin as"),
        (b"GGUF", "not a whole file"),
        (b"GGUF" + struct.pack("<I", 1), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "keys"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "a text that cannot be"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 99), "unknown kind 99"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 2**60), "a list that cannot be"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 5), "not a whole file"),
    ],
)
def test_what_is_no_gguf_file_is_left_out_and_said(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(content)
    with pytest.raises(NotGgufError, match=why):
        read_header(file)
    models, left_out = model_files([tmp_path])
    assert models == []
    assert [each.path for each in left_out] == [file]


def test_a_model_is_named_after_its_file_and_knows_its_context(tmp_path: Path) -> None:
    write_model(tmp_path / "deep" / "Qwen3-Coder-30B-A3B-Q4_K_M.gguf", "qwen3moe", "Qwen3 Coder", 262144)
    write_model(tmp_path / "it's mine.gguf", context=2048)
    config = composed(tmp_path)
    assert list(config.models) == ["it's mine", "qwen3-coder-30b-a3b"]
    assert "-c 16384 -np 2" in " ".join(config.models["qwen3-coder-30b-a3b"].command(1))  # type: ignore[index]
    mine = config.models["it's mine"].command(1)  # type: ignore[index]
    assert str(tmp_path / "it's mine.gguf") in mine
    assert mine[mine.index("-c") + 1] == "4096"


def test_two_quantizations_of_one_model_keep_their_names_apart(tmp_path: Path) -> None:
    for name in ("a/M-Q4_K_M.gguf", "b/M-Q8_0.gguf", "c/M-Q8_0.gguf"):
        write_model(tmp_path / name)
    assert list(composed(tmp_path).models) == ["m-q4_k_m", "m-q8_0", "m-q8_0-2"]


def test_the_parts_of_a_model_are_one_and_a_projector_goes_with_the_only_model_beside_it(tmp_path: Path) -> None:
    first = write_model(tmp_path / "big" / "Big-Q4_0-00001-of-00002.gguf")
    write_model(tmp_path / "big" / "Big-Q4_0-00002-of-00002.gguf")
    write_model(tmp_path / "big" / "mmproj-Big.gguf", "clip")
    ((model,), left_out) = model_files([tmp_path])
    assert left_out == []
    projector = next(tmp_path.rglob("mmproj*"))
    assert model.size_bytes == 2 * first.stat().st_size + projector.stat().st_size
    assert list(composed(tmp_path).models) == ["big"]
    assert "--mmproj" in composed(tmp_path).models["big"].command(1)  # type: ignore[index]
    write_model(tmp_path / "big" / "Other.gguf")
    assert all("--mmproj" not in each.command(1) for each in composed(tmp_path).models.values())


def test_a_model_without_its_other_parts_is_left_out(tmp_path: Path) -> None:
    write_model(tmp_path / "Big-00001-of-00002.gguf")
    models, left_out = model_files([tmp_path])
    assert models == []
    assert left_out[0].why == "No such file or directory"


def test_models_that_fit_together_stay_together_and_others_take_turns(tmp_path: Path) -> None:
    write_model(tmp_path / "a.gguf")
    write_model(tmp_path / "b.gguf")
    card = Gpu(name="A card", memory_bytes=24 * GIB)
    assert displaced(composed(tmp_path, card, size=9 * GIB), "a") == set()
    assert displaced(composed(tmp_path, card, size=10 * GIB), "a") == {"b"}
    assert displaced(composed(tmp_path, memory=24 * GIB, size=9 * GIB), "a") == set()


def test_small_models_for_embeddings_and_ranks_stay_beside_the_others(tmp_path: Path) -> None:
    write_model(tmp_path / "chat.gguf")
    write_model(tmp_path / "coder.gguf")
    write_model(tmp_path / "embed.gguf", "nomic-bert", pooling_type=1)
    write_model(tmp_path / "rank.gguf", "qwen3", pooling_type=4)
    models, left_out = model_files([tmp_path])
    sized = [replace(model, size_bytes=GIB if model.purpose != "chat" else 20 * GIB) for model in models]
    card = [Gpu(name="A card", memory_bytes=32 * GIB)]
    found = Found(models=sized, vllm_models=[], servers=[], gpus=card, main_memory_bytes=GIB, left_out=left_out)
    (tmp_path / "made.toml").write_text(compose(found))
    config = load_config(tmp_path / "made.toml", {})
    assert displaced(config, "chat") == {"coder"}
    assert displaced(config, "embed") == displaced(config, "rank") == set()
    assert "--embeddings" in config.models["embed"].command(1)  # type: ignore[index]
    assert "--rerank" in config.models["rank"].command(1)  # type: ignore[index]


def test_models_of_hugging_faces_cache_are_served_by_vllm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = tmp_path / ".cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/1"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    (tmp_path / ".cache/huggingface/hub/models--some--gguf-only").mkdir()
    programs(tmp_path / "bin", monkeypatch, vllm="")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert "1 model." in capsys.readouterr().out
    model = load_config(tmp_path / "config.toml", {}).models["Qwen/Qwen3-8B"]  # type: ignore[index]
    assert model.command(7)[:5] == ["vllm", "serve", "Qwen/Qwen3-8B", "--port", "7"]


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Put programs on PATH, and nothing else."""
    folder.mkdir()
    for name, script in scripts.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(folder))


def test_gpus_and_servers_are_what_the_machine_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "echo 'NVIDIA GeForce RTX 3090, 24576'; echo 'odd line'"
    programs(tmp_path / "bin", monkeypatch, llama_server="", nvidia_smi=told)
    if sys.platform == "linux":
        assert Gpu(name="NVIDIA GeForce RTX 3090", memory_bytes=24 * GIB) in gpus()
    assert servers() == ["llama-server"]


def test_a_program_that_fails_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path / "bin", monkeypatch, nvidia_smi="echo 'A card, 1'; exit 9", sysctl="exit 1")
    assert not any(gpu.name == "A card" for gpu in gpus())


def test_nothing_is_overwritten_and_nothing_found_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", str(tmp_path)]) == 1
    assert f"no GGUF file in or below {tmp_path}; name the folder" in capsys.readouterr().err
    assert main(["init", str(tmp_path / "missing")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    write_model(tmp_path / "m.gguf")
    assert main(["init", "."]) == 0
    before = (tmp_path / "config.toml").read_bytes()
    assert main(["init", "."]) == 2
    assert "config.toml is there already, and is not overwritten" in capsys.readouterr().err
    assert (tmp_path / "config.toml").read_bytes() == before
    assert main(["init", ".", "-o", "no/such/folder.toml"]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err


def test_hostile_names_end_in_comments_or_quotes(tmp_path: Path) -> None:
    write_model(tmp_path / 'q"uo\\te ü.gguf', name='a\nb "quoted" \x1b[31m = 1\n[server]')
    write_model(tmp_path / "${PORT}.gguf")
    (tmp_path / "un\nseen.gguf").write_bytes((tmp_path / "${PORT}.gguf").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli", "init", str(tmp_path), "-o", str(tmp_path / "c.toml")],
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    config = load_config(tmp_path / "c.toml", {})
    assert list(config.models) == ['q"uo\\te ü']
    assert str(tmp_path / 'q"uo\\te ü.gguf') in next(iter(config.models.values())).command(1)
    assert "which means something else" in done.stderr
    assert "cannot be seen" in done.stderr
