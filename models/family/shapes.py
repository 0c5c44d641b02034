"""Weights of a known shape and no sense, for benchmarks: speed does not ask what a model says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.gguf.fields import Field, FieldType, array, real, text, whole
from models.gguf.kinds import Kind
from models.gguf.writer import Content, write


@dataclass(frozen=True)
class Shape:
    """A Llama-type model. tied: its head is the table of words."""

    architecture: str
    blocks: int
    width: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int
    context_tokens: int = 32_768
    rope_base: float = 1e6
    tied: bool = True


# Qwen2.5-0.5B, as its config.json has it.
QWEN_HALF_B = Shape("qwen2", 24, 896, 14, 2, 4864, 151_936)


def write_random(path: Path, shape: Shape, seed: int = 0) -> None:
    """In F16, of the shape's whole size (2 bytes a weight). Raises OSError."""
    random = np.random.default_rng(seed)
    # Drawn once and cut differently for each tensor: drawing billions takes minutes and changes no figure.
    pool = random.normal(0, 0.02, 1 << 20).astype(np.float16)
    head = shape.width // shape.heads
    tensors = [
        _matrix("token_embd.weight", pool, shape.width, shape.vocabulary),
        _ones("output_norm.weight", shape.width),
    ]
    if not shape.tied:
        tensors.append(_matrix("output.weight", pool, shape.width, shape.vocabulary))
    for number in range(shape.blocks):
        block = f"blk.{number}"
        kv = shape.kv_heads * head
        tensors += [_ones(f"{block}.attn_norm.weight", shape.width), _ones(f"{block}.ffn_norm.weight", shape.width)]
        for name, inputs, outputs in (
            ("attn_q", shape.width, shape.width),
            ("attn_k", shape.width, kv),
            ("attn_v", shape.width, kv),
            ("attn_output", shape.width, shape.width),
            ("ffn_gate", shape.width, shape.inner),
            ("ffn_up", shape.width, shape.inner),
            ("ffn_down", shape.inner, shape.width),
        ):
            tensors.append(_matrix(f"{block}.{name}.weight", np.roll(pool, 977 * number), inputs, outputs))
        if shape.architecture == "qwen2":
            for name, size in (("attn_q", shape.width), ("attn_k", kv), ("attn_v", kv)):
                tensors.append(Content(f"{block}.{name}.bias", (size,), Kind.F32, bytes(4 * size)))
    write(path, fields_of(shape), tensors)


def fields_of(shape: Shape) -> dict[str, Field]:
    name = shape.architecture
    words = tuple(f"<{number}>" for number in range(shape.vocabulary - 259))
    tokens = ("<unk>", "<s>", "</s>", *(f"<0x{one:02X}>" for one in range(256)), *words)
    kinds: Sequence[int] = (2, 3, 3, *[6] * 256, *[1] * len(words))
    return {
        "general.architecture": text(name),
        "general.name": text("random weights"),
        f"{name}.context_length": whole(shape.context_tokens),
        f"{name}.embedding_length": whole(shape.width),
        f"{name}.block_count": whole(shape.blocks),
        f"{name}.feed_forward_length": whole(shape.inner),
        f"{name}.attention.head_count": whole(shape.heads),
        f"{name}.attention.head_count_kv": whole(shape.kv_heads),
        f"{name}.attention.layer_norm_rms_epsilon": real(1e-6),
        f"{name}.rope.freq_base": real(shape.rope_base),
        "tokenizer.ggml.model": text("llama"),
        "tokenizer.ggml.tokens": array(FieldType.STRING, tokens),
        "tokenizer.ggml.scores": array(FieldType.FLOAT32, (0.0,) * len(tokens)),
        "tokenizer.ggml.token_type": array(FieldType.INT32, tuple(kinds)),
        "tokenizer.ggml.bos_token_id": whole(1),
        "tokenizer.ggml.eos_token_id": whole(2),
    }


def _matrix(name: str, pool: NDArray[np.float16], inputs: int, outputs: int) -> Content:
    return Content(name, (inputs, outputs), Kind.F16, np.resize(pool, inputs * outputs).tobytes())


def _ones(name: str, size: int) -> Content:
    return Content(name, (size,), Kind.F32, np.ones(size, np.float32).tobytes())
