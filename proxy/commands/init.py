"""`trio-swap init`: write a first configuration from what is on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

DESCRIPTION: Final = """\
Write a first configuration from what is there: GGUF files in and below the
given folders with their size and context, model servers on PATH, GPUs and their
memory. Nothing is asked, nothing is started, no file is overwritten."""

EXAMPLES: Final = """\
examples:
  trio-swap init                      looks here and where programs keep models
  trio-swap init /models /mnt/more
  trio-swap init /models -o mine.toml
  trio-swap init /models -o -         to standard output"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `init`."""
    parser.add_argument(
        "folders",
        metavar="FOLDER",
        nargs="*",
        type=Path,
        help="where model files are; default: here and the usual places",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="config.toml", help="default: config.toml; - is stdout"
    )


def run(options: argparse.Namespace) -> int:
    """Look, write, and return the exit code."""
    from proxy.first_config.composing import NO_LLAMA_SERVER, Found, compose, speakable
    from proxy.first_config.discovery import USUAL_FOLDERS, gpus, main_memory_bytes, model_files, servers, vllm_models

    output = None if options.output == "-" else Path(options.output)
    if output is not None and output.exists():
        return _refuse(f"{output} is there already, and is not overwritten: name another file with -o", 2)
    for folder in options.folders:
        if not folder.is_dir():
            return _refuse(f"{folder} is not a folder: name folders with model files in them", 2)
    usual = [Path(), *(Path(folder).expanduser() for folder in USUAL_FOLDERS)]
    folders = [folder.absolute() for folder in options.folders or usual if folder.is_dir()]
    models, left_out = model_files(folders)
    there = servers()
    hub = vllm_models(Path("~/.cache/huggingface/hub").expanduser()) if "vllm" in there and not options.folders else []
    there_is = Found(
        models=models,
        vllm_models=hub,
        servers=there,
        gpus=gpus(),
        main_memory_bytes=main_memory_bytes(),
        left_out=left_out,
    )
    found = speakable(there_is)
    for each in found.left_out:
        print(f"trio-swap: left out: {each.path} {each.why}", file=sys.stderr)
    if not found.models and not found.vllm_models:
        looked = ", ".join(str(folder) for folder in folders)
        return _refuse(f"no model found: there is no GGUF file in or below {looked}; name the folder that has them", 1)
    text = compose(found)
    if output is None:
        print(text, end="")
        return 0
    try:
        with output.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        return _refuse(f"{output} cannot be written: {error.strerror}", 1)
    count = len(found.models) + len(found.vllm_models)
    print(f"{output} has {count} model{'' if count == 1 else 's'}. Next:")
    print(f"  trio-swap check {output}\n  trio-swap serve {output}")
    if found.models and "llama-server" not in there:
        print(NO_LLAMA_SERVER)
    return 0


def _refuse(message: str, code: int) -> int:
    print(f"trio-swap: {message}", file=sys.stderr)
    return code
