"""The family file: a GGUF in Q8_0 with trunk and exits, as models/family/split.py cuts it, and the heads as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.family.split import EXITS, MEMBERS
from models.gguf.fields import Field, FieldType, array, real, text, whole
from models.gguf.kinds import Kind
from models.gguf.writer import Content, write
from models.training.kin.heads import Heads
from models.training.kin.network import EPSILON, Family, Shape
from models.training.kin.tokenizer import CONTROL, Tokenizer

NORMAL, CONTROL_TOKEN = 1, 3
LICENCE = "MIT, with data under CC BY-SA 4.0, BSD-3-Clause and CC0 (card)"
Q8_ROW = 32


def write_family(path: Path, family: Family, tokenizer: Tokenizer, version: str) -> None:
    """Raises OSError."""
    tensors = []
    for name, value in family.state_dict().items():
        values = value.detach().float().numpy()
        tensor = name if name.endswith(".weight") else f"{name}.weight"
        if tensor.endswith(("attn_q.weight", "attn_k.weight")):
            values = _paired(values, family.shape.head)
        tensors.append(_content(_named(tensor), values))
    write(path, _fields(family.shape, tokenizer, version), tensors)


def write_heads(path: Path, heads: Heads, tables: Sequence[Path] = ()) -> None:
    """Weights in F16 by their names in models/training/kin/heads.py, and what words.py and spans.py have written."""
    held = {name: one.detach().numpy().astype(np.float16) for name, one in heads.state_dict().items()}
    for table in tables:
        with np.load(table) as file:
            held |= {name: file[name] for name in file.files}
    np.savez_compressed(path, **held)


def _named(name: str) -> str:
    """exit.0.block.attn_q.weight -> exit.0.blk.attn_q.weight."""
    return name.replace(".block.", ".blk.")


def _paired(values: NDArray[np.float32], head: int) -> NDArray[np.float32]:
    """Rows of each head in the order that llama.cpp turns: number i beside number i + half."""
    rows, width = values.shape
    return np.ascontiguousarray(
        values.reshape(rows // head, 2, head // 2, width).transpose(0, 2, 1, 3).reshape(rows, width)
    )


def _content(name: str, values: NDArray[np.float32]) -> Content:
    shape = tuple(reversed(values.shape))
    if values.ndim == 1:
        return Content(name, shape, Kind.F32, np.ascontiguousarray(values, "<f4").tobytes())
    return Content(name, shape, Kind.Q8_0, q8_0(values))


def q8_0(values: NDArray[np.float32]) -> bytes:
    """Blocks of 32: a scale in F16, the largest number by 127, and a byte a number (ggml-quants.c, quantize_row_q8_0).
    values: rows x a multiple of 32."""
    blocks = values.reshape(-1, Q8_ROW)
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    packed = np.empty((len(blocks), 2 + Q8_ROW), np.uint8)
    packed[:, :2] = scale.astype("<f2").view(np.uint8)
    packed[:, 2:] = np.rint(blocks * inverse).astype(np.int8).view(np.uint8)
    return packed.tobytes()


def _fields(shape: Shape, tokenizer: Tokenizer, version: str) -> dict[str, Field]:
    tokens = tokenizer.tokens
    kinds = tuple(CONTROL_TOKEN if one in CONTROL else NORMAL for one in tokens)
    return {
        "general.architecture": text("llama"),
        "general.name": text("kin"),
        "general.version": text(version),
        "general.license": text(LICENCE),
        "llama.vocab_size": whole(len(tokens)),
        "llama.context_length": whole(4 * shape.context_tokens),
        "llama.embedding_length": whole(shape.width),
        "llama.block_count": whole(shape.exits[-1]),
        "llama.feed_forward_length": whole(shape.inner),
        "llama.attention.head_count": whole(shape.heads),
        "llama.attention.head_count_kv": whole(shape.kv_heads),
        "llama.attention.layer_norm_rms_epsilon": real(EPSILON),
        "llama.rope.dimension_count": whole(shape.head),
        "llama.rope.freq_base": real(shape.rope_base),
        EXITS: array(FieldType.INT32, shape.exits),
        MEMBERS: array(FieldType.STRING, shape.names),
        "tokenizer.ggml.model": text("gpt2"),
        "tokenizer.ggml.pre": text("gpt-2"),
        "tokenizer.ggml.tokens": array(FieldType.STRING, tokens),
        "tokenizer.ggml.token_type": array(FieldType.INT32, kinds),
        "tokenizer.ggml.merges": array(FieldType.STRING, tuple(f"{a} {b}" for a, b in tokenizer.merges)),
        "tokenizer.ggml.bos_token_id": whole(tokenizer.control("begin")),
        "tokenizer.ggml.eos_token_id": whole(tokenizer.control("end")),
        "tokenizer.ggml.padding_token_id": whole(tokenizer.control("pad")),
        "tokenizer.ggml.add_bos_token": Field(FieldType.BOOL, False),
        "tokenizer.ggml.add_space_prefix": Field(FieldType.BOOL, False),
    }


def parameters(family: Family) -> dict[str, int]:
    """By member, what it takes by itself: trunk below its exit, its own block, norm and the table of words."""
    found = {}
    for number, (name, depth) in enumerate(zip(family.shape.names, family.shape.exits, strict=True)):
        parts = (family.token_embd, *family.blk[:depth], family.exit[number])
        found[name] = sum(one.numel() for part in parts for one in part.parameters())
    return found
