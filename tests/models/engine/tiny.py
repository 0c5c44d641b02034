"""Tiny models with random weights, one of each kind of memory: some hundred kB each, true to form, without sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.gguf.fields import Field, FieldType, array, real, text, whole
from models.gguf.kinds import Kind
from models.gguf.writer import Content, write

WIDTH, HEADS, KV_HEADS, INNER, BLOCKS = 64, 2, 1, 96, 4
HEAD = WIDTH // HEADS
WINDOW = 16
EXPERTS, USED = 4, 2
WORDS = (
    "▁the",
    "▁road",
    "▁is",
    "▁free",
    "th",
    "he",
    "ro",
    "▁t",
    "▁r",
    "▁i",
    "▁f",
    "▁",
    "t",
    "h",
    "e",
    "r",
    "o",
    "a",
    "d",
)
BEGIN, END, FIRST_BYTE = 1, 2, 3


@dataclass
class Weights:
    """Tensors by name; random ones from one seed."""

    seed: int = 0
    tensors: list[Content] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def matrix(self, name: str, inputs: int, *outputs: int) -> None:
        values = self._random.normal(0, 1.4 / np.sqrt(inputs), (*reversed(outputs), inputs))
        self.put(name, values)

    def ones(self, name: str, size: int) -> None:
        self.put(name, 1 + self._random.normal(0, 0.1, size))

    def put(self, name: str, values: Any) -> None:
        data = np.ascontiguousarray(values, np.float32)
        self.tensors.append(Content(name, tuple(reversed(data.shape)), Kind.F32, data.tobytes()))


def vocabulary() -> tuple[dict[str, Field], int]:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{one:02X}>" for one in range(256)), *WORDS]
    kinds = [2, 3, 3, *[6] * 256, *[1] * len(WORDS)]
    scores = [0.0] * 259 + [-float(one) for one in range(len(WORDS))]
    fields = {
        "tokenizer.ggml.model": text("llama"),
        "tokenizer.ggml.tokens": array(FieldType.STRING, tuple(tokens)),
        "tokenizer.ggml.scores": array(FieldType.FLOAT32, tuple(scores)),
        "tokenizer.ggml.token_type": array(FieldType.INT32, tuple(kinds)),
        "tokenizer.ggml.bos_token_id": whole(BEGIN),
        "tokenizer.ggml.eos_token_id": whole(END),
        "tokenizer.ggml.unknown_token_id": whole(0),
        "tokenizer.ggml.add_space_prefix": Field(FieldType.BOOL, False),
        # What a hostile file would put here; nothing of ours ever looks.
        "tokenizer.chat_template": text("{{ cycler.__init__.__globals__ }}"),
    }
    return fields, len(tokens)


def common(architecture: str, blocks: int) -> dict[str, Field]:
    return {
        "general.architecture": text(architecture),
        "general.name": text(f"tiny {architecture}"),
        f"{architecture}.context_length": whole(512),
        f"{architecture}.embedding_length": whole(WIDTH),
        f"{architecture}.block_count": whole(blocks),
        f"{architecture}.feed_forward_length": whole(INNER),
        f"{architecture}.attention.head_count": whole(HEADS),
        f"{architecture}.attention.head_count_kv": whole(KV_HEADS),
        f"{architecture}.attention.layer_norm_rms_epsilon": real(1e-5),
    }


def attention(weights: Weights, block: str) -> None:
    weights.matrix(f"{block}.attn_q.weight", WIDTH, WIDTH)
    weights.matrix(f"{block}.attn_k.weight", WIDTH, KV_HEADS * HEAD)
    weights.matrix(f"{block}.attn_v.weight", WIDTH, KV_HEADS * HEAD)
    weights.matrix(f"{block}.attn_output.weight", WIDTH, WIDTH)


def feed_forward(weights: Weights, block: str) -> None:
    weights.matrix(f"{block}.ffn_gate.weight", WIDTH, INNER)
    weights.matrix(f"{block}.ffn_up.weight", WIDTH, INNER)
    weights.matrix(f"{block}.ffn_down.weight", INNER, WIDTH)


def saved(path: Path, fields: dict[str, Field], weights: Weights) -> Path:
    spoken, _ = vocabulary()
    write(path, fields | spoken, weights.tensors)
    return path


def begun(seed: int, norm: str = "output_norm.weight", *, tied: bool = False) -> Weights:
    weights = Weights(seed)
    _, tokens = vocabulary()
    weights.matrix("token_embd.weight", WIDTH, tokens)
    weights.ones(norm, WIDTH)
    if not tied:
        weights.matrix("output.weight", WIDTH, tokens)
    return weights


def dense(path: Path, *, seed: int = 0, blocks: int = BLOCKS, tied: bool = False, architecture: str = "llama") -> Path:
    weights = begun(seed, tied=tied)
    for number in range(blocks):
        block = f"blk.{number}"
        weights.ones(f"{block}.attn_norm.weight", WIDTH)
        attention(weights, block)
        if architecture == "qwen2":
            weights.put(f"{block}.attn_q.bias", np.full(WIDTH, 0.1))
            weights.put(f"{block}.attn_k.bias", np.full(KV_HEADS * HEAD, 0.1))
            weights.put(f"{block}.attn_v.bias", np.full(KV_HEADS * HEAD, 0.1))
        if architecture == "qwen3":
            weights.ones(f"{block}.attn_q_norm.weight", HEAD)
            weights.ones(f"{block}.attn_k_norm.weight", HEAD)
        weights.ones(f"{block}.ffn_norm.weight", WIDTH)
        feed_forward(weights, block)
    more = {"qwen3.attention.key_length": whole(HEAD), "qwen3.attention.value_length": whole(HEAD)}
    return saved(path, common(architecture, blocks) | (more if architecture == "qwen3" else {}), weights)


def experts(path: Path, *, seed: int = 1) -> Path:
    weights = begun(seed)
    for number in range(BLOCKS):
        block = f"blk.{number}"
        weights.ones(f"{block}.attn_norm.weight", WIDTH)
        attention(weights, block)
        weights.ones(f"{block}.ffn_norm.weight", WIDTH)
        weights.matrix(f"{block}.ffn_gate_inp.weight", WIDTH, EXPERTS)
        weights.matrix(f"{block}.ffn_gate_exps.weight", WIDTH, INNER, EXPERTS)
        weights.matrix(f"{block}.ffn_up_exps.weight", WIDTH, INNER, EXPERTS)
        weights.matrix(f"{block}.ffn_down_exps.weight", INNER, WIDTH, EXPERTS)
    fields = {"llama.expert_count": whole(EXPERTS), "llama.expert_used_count": whole(USED)}
    return saved(path, common("llama", BLOCKS) | fields, weights)


def window(path: Path, *, seed: int = 2) -> Path:
    weights = begun(seed, tied=True)
    for number in range(BLOCKS):
        block = f"blk.{number}"
        for name, size in (("attn_norm", WIDTH), ("post_attention_norm", WIDTH), ("post_ffw_norm", WIDTH)):
            weights.ones(f"{block}.{name}.weight", size)
        weights.ones(f"{block}.attn_q_norm.weight", HEAD)
        weights.ones(f"{block}.attn_k_norm.weight", HEAD)
        attention(weights, block)
        weights.ones(f"{block}.ffn_norm.weight", WIDTH)
        feed_forward(weights, block)
    fields = {
        "gemma3.attention.key_length": whole(HEAD),
        "gemma3.attention.value_length": whole(HEAD),
        "gemma3.attention.sliding_window": whole(WINDOW),
        "gemma3.attention.sliding_window_pattern": whole(2),
        "gemma3.rope.freq_base": real(10_000.0),
    }
    return saved(path, common("gemma3", BLOCKS) | fields, weights)


def recurrent(path: Path, *, seed: int = 3) -> Path:
    weights = begun(seed)
    inner, state, rank, kernel = 2 * WIDTH, 8, 4, 4
    for number in range(BLOCKS):
        block = f"blk.{number}"
        weights.ones(f"{block}.attn_norm.weight", WIDTH)
        weights.matrix(f"{block}.ssm_in.weight", WIDTH, 2 * inner)
        weights.matrix(f"{block}.ssm_conv1d.weight", kernel, inner)
        weights.put(f"{block}.ssm_conv1d.bias", np.zeros(inner))
        weights.matrix(f"{block}.ssm_x.weight", inner, rank + 2 * state)
        weights.matrix(f"{block}.ssm_dt.weight", rank, inner)
        weights.put(f"{block}.ssm_dt.bias", np.zeros(inner))
        weights.put(f"{block}.ssm_a", -np.tile(np.arange(1.0, state + 1), (inner, 1)))
        weights.ones(f"{block}.ssm_d", inner)
        weights.matrix(f"{block}.ssm_out.weight", inner, WIDTH)
    fields = {
        "mamba.ssm.conv_kernel": whole(kernel),
        "mamba.ssm.inner_size": whole(inner),
        "mamba.ssm.state_size": whole(state),
        "mamba.ssm.time_step_rank": whole(rank),
        "mamba.feed_forward_length": whole(0),
        "mamba.attention.head_count": whole(0),
        "mamba.attention.head_count_kv": whole(0),
    }
    return saved(path, common("mamba", BLOCKS) | fields, weights)


def hybrid(path: Path, *, seed: int = 4) -> Path:
    weights = begun(seed, "token_embd_norm.weight", tied=True)
    cache = 3
    for number in range(BLOCKS):
        block = f"blk.{number}"
        weights.ones(f"{block}.attn_norm.weight", WIDTH)
        if number % 2:
            attention(weights, block)
            weights.ones(f"{block}.attn_q_norm.weight", HEAD)
            weights.ones(f"{block}.attn_k_norm.weight", HEAD)
        else:
            weights.matrix(f"{block}.shortconv.conv.weight", cache, WIDTH)
            weights.matrix(f"{block}.shortconv.in_proj.weight", WIDTH, 3 * WIDTH)
            weights.matrix(f"{block}.shortconv.out_proj.weight", WIDTH, WIDTH)
        weights.ones(f"{block}.ffn_norm.weight", WIDTH)
        feed_forward(weights, block)
    heads = tuple(KV_HEADS if number % 2 else 0 for number in range(BLOCKS))
    fields = {
        "lfm2.shortconv.l_cache": whole(cache),
        "lfm2.attention.head_count_kv": array(FieldType.UINT32, heads),
        "lfm2.vocab_size": whole(vocabulary()[1]),
        "lfm2.rope.freq_base": real(10_000.0),
    }
    return saved(path, common("lfm2", BLOCKS) | fields, weights)


KINDS: dict[str, Callable[[Path], Path]] = {
    "dense": dense,
    "experts": experts,
    "window": window,
    "recurrent": recurrent,
    "hybrid": hybrid,
}


EXITS = (2, 4)
NAMES = ("small", "large")


def nested(path: Path, *, seed: int = 6, exits: tuple[int, ...] = EXITS, names: tuple[str, ...] = NAMES) -> Path:
    """A family file: a trunk of four blocks, and two members that leave it behind two and behind four; or others."""
    weights = begun(seed, "unused", tied=True)
    weights.tensors = [one for one in weights.tensors if one.name != "unused"]
    for block in range(max(exits)):
        dense_block(weights, f"blk.{block}")
    for number in range(len(exits)):
        dense_block(weights, f"exit.{number}.blk")
        weights.ones(f"exit.{number}.output_norm.weight", WIDTH)
        # The first shares the table of words, the second has a head of its own.
        if number:
            weights.matrix(f"exit.{number}.output.weight", WIDTH, vocabulary()[1])
    fields = {
        "kinflow.family.exits": array(FieldType.UINT32, exits),
        "kinflow.family.members": array(FieldType.STRING, names),
    }
    return saved(path, common("llama", max(exits)) | fields, weights)


def dense_block(weights: Weights, block: str) -> None:
    weights.ones(f"{block}.attn_norm.weight", WIDTH)
    attention(weights, block)
    weights.ones(f"{block}.ffn_norm.weight", WIDTH)
    feed_forward(weights, block)
