"""Tiny real models: whole GGUF files of half a megabyte, which any llama.cpp server loads, and which say a given text.

The layers are small and random, so that real matrices are multiplied and embeddings depend on the whole input. What is
said is in the output matrix: it leads from each word of the text to the next by a margin so wide that no sampling
leaves the way. So a real server gives one answer, streamed or not, on any processor; the same arguments make the same
file, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from gguf import GGUFWriter, LlamaFileType, TokenType

Matrix: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

LAYERS: Final = 2
HEADS: Final = 4
WIDTH: Final = 64
"""Of an embedding: a way can be learnt exactly while it has fewer words than this."""
INNER_WIDTH: Final = 128
TRAINED_CONTEXT: Final = 131_072
WANTED, UNWANTED = 60.0, -20.0
"""Logits of the next word, and of every other one."""

_SPECIAL: Final = (
    "<unk>",
    "<s>",
    "</s>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<|use_tool|>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
)
_UNKNOWN, _FIRST, _LAST, _, _, _ASSISTANT, _, _USE_TOOL, _FIM_PREFIX, _FIM_SUFFIX, _FIM_MIDDLE = range(len(_SPECIAL))

# Tool calls stand in a conversation as the model makes them: a server finds out from this how to read them.
_TEMPLATE: Final = (
    "{{ bos_token }}"
    "{% if tools %}<|system|>Tools: {{ tools | tojson }}</s>{% endif %}"
    "{% for m in messages %}"
    "{% if m.role == 'assistant' and m.tool_calls %}"
    "<|assistant|>{% for c in m.tool_calls %}<tool_call>"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "</tool_call>{% endfor %}</s>"
    "{% else %}<|{{ m.role }}|>{{ m.content }}</s>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}START{% endif %}"
)
_TALKS: Final = "<|assistant|>"
_CALLS_FIRST: Final = "{% if tools and messages[-1].role != 'tool' %}<|use_tool|>{% else %}<|assistant|>{% endif %}"


def write_model(
    path: Path, says: str, *, endlessly: bool = False, calls: Sequence[tuple[str, Mapping[str, object]]] = ()
) -> None:
    """Write a model.

    Args:
        path: of the file.
        says: what it answers to everything; no word may end it that was there before.
        endlessly: it begins again after the last word, instead of ending.
        calls: name and arguments of the tools that it calls, all at once, where a request offers tools; it speaks when
            their results are there.
    """
    vocabulary = _base_vocabulary()
    seen = {token for token, _, _ in vocabulary}
    spoken = _pieces(says, seen)
    called = _pieces("".join(f"<tool_call>{_call(*each)}</tool_call>" for each in calls), seen)
    first_spoken = len(vocabulary)
    vocabulary += [(piece, 0.0, TokenType.USER_DEFINED) for piece in spoken + called]
    ways = [[_ASSISTANT, *range(first_spoken, first_spoken + len(spoken))]]
    ways[0].append(ways[0][1] if endlessly else _LAST)
    if called:
        ways.append([_USE_TOOL, *range(first_spoken + len(spoken), len(vocabulary)), _LAST])
    # Under another name until it is whole: a server may be waiting for the file.
    unfinished = path.with_suffix(".part")
    writer = GGUFWriter(str(unfinished), "llama")
    _add_description(writer, vocabulary, _TEMPLATE.replace("START", _CALLS_FIRST if called else _TALKS))
    for name, tensor in _tensors(len(vocabulary), ways).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(path)


def _call(name: str, arguments: Mapping[str, object]) -> str:
    return json.dumps({"name": name, "arguments": arguments})


def _pieces(text: str, seen: set[str]) -> list[str]:
    """Split a text into words, each with the blank before it. One that was there before goes on to the end of the next:
    a piece has one successor, so none may come twice."""
    pieces: list[str] = []
    held = ""
    for word in re.findall(r"\s*\S+", text):
        held += word
        if held not in seen:
            seen.add(held)
            pieces.append(held)
            held = ""
    if held:
        raise ValueError(f"{text!r} ends in what was there before: {held!r}")
    return pieces


def _base_vocabulary() -> list[tuple[str, float, TokenType]]:
    """Special tokens, bytes, printable ASCII and the blank, with their scores."""
    special = [(name, 0.0, TokenType.CONTROL) for name in _SPECIAL]
    special[_UNKNOWN] = (_SPECIAL[_UNKNOWN], 0.0, TokenType.UNKNOWN)
    some_bytes = [(f"<0x{byte:02X}>", 0.0, TokenType.BYTE) for byte in range(256)]
    printable = [(chr(code), -1000.0 - code, TokenType.NORMAL) for code in range(33, 127)]
    return [*special, *some_bytes, *printable, ("\u2581", -1.0, TokenType.NORMAL)]  # SentencePiece's blank


def _add_description(writer: GGUFWriter, vocabulary: list[tuple[str, float, TokenType]], template: str) -> None:
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(vocabulary))
    writer.add_context_length(TRAINED_CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER_WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token.encode() for token, _, _ in vocabulary])
    writer.add_token_scores([score for _, score, _ in vocabulary])
    writer.add_token_types([kind for _, _, kind in vocabulary])
    writer.add_bos_token_id(_FIRST)
    writer.add_eos_token_id(_LAST)
    writer.add_unk_token_id(_UNKNOWN)
    writer.add_add_bos_token(value=True)
    writer.add_add_eos_token(value=False)
    writer.add_add_space_prefix(value=False)
    writer.add_uint32("tokenizer.ggml.fim_pre_token_id", _FIM_PREFIX)
    writer.add_uint32("tokenizer.ggml.fim_suf_token_id", _FIM_SUFFIX)
    writer.add_uint32("tokenizer.ggml.fim_mid_token_id", _FIM_MIDDLE)
    writer.add_chat_template(template)


def _tensors(tokens: int, ways: list[list[int]]) -> dict[str, Matrix]:
    rng = np.random.default_rng(1)

    def random(*shape: int, scale: float) -> Matrix:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    embeddings = random(tokens, WIDTH, scale=1.0)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    tensors = {"token_embd.weight": embeddings, "output_norm.weight": np.ones(WIDTH, dtype=np.float32)}
    tensors["output.weight"] = _leading(ways, embeddings) + random(tokens, WIDTH, scale=0.01)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        tensors[f"{block}attn_norm.weight"] = np.ones(WIDTH, dtype=np.float32)
        tensors[f"{block}ffn_norm.weight"] = np.ones(WIDTH, dtype=np.float32)
        for part in ("attn_q", "attn_k", "attn_v"):
            tensors[f"{block}{part}.weight"] = random(WIDTH, WIDTH, scale=WIDTH**-0.5)
        tensors[f"{block}ffn_gate.weight"] = random(INNER_WIDTH, WIDTH, scale=WIDTH**-0.5)
        tensors[f"{block}ffn_up.weight"] = random(INNER_WIDTH, WIDTH, scale=WIDTH**-0.5)
        # These two add to what passes through: so little that the last word is still the loudest.
        tensors[f"{block}attn_output.weight"] = random(WIDTH, WIDTH, scale=0.01 * WIDTH**-0.5)
        tensors[f"{block}ffn_down.weight"] = random(WIDTH, INNER_WIDTH, scale=0.01 * INNER_WIDTH**-0.5)
    return tensors


def _leading(ways: list[list[int]], embeddings: Matrix) -> Matrix:
    """The output matrix that leads along `ways`, by least squares: exact, since a way is shorter than it is wide."""
    before = [token for way in ways for token in way[:-1]]
    after = [token for way in ways for token in way[1:]]
    if len(before) > WIDTH:
        raise ValueError(f"{len(before)} words are too many for a model of width {WIDTH}")
    # The norm before the output gives every embedding this length.
    keys = embeddings[before].astype(np.float64) * WIDTH**0.5
    wanted = np.full((len(before), len(embeddings)), UNWANTED)
    wanted[np.arange(len(before)), after] = WANTED
    weights, *_ = np.linalg.lstsq(keys, wanted, rcond=None)
    return weights.T.astype(np.float32)
