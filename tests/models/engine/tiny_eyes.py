"""A projector with random weights for a tiny model, of LLaVA's kind: a picture of 28 x 28 becomes four rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.gguf.fields import Field, FieldType, array, real, text, whole
from models.gguf.writer import write
from tests.models.engine.tiny import WIDTH, Weights

SIDE, PATCH, INSIDE, INNER, BLOCKS = 28, 14, 32, 48, 3
ROWS = (SIDE // PATCH) ** 2


def projector(path: Path, width: int = WIDTH, seed: int = 5) -> Path:
    weights, random = Weights(seed), np.random.default_rng(seed)
    weights.put("v.patch_embd.weight", random.normal(0, 0.05, (INSIDE, 3, PATCH, PATCH)))
    weights.put("v.class_embd", random.normal(0, 1, INSIDE))
    weights.matrix("v.position_embd.weight", INSIDE, ROWS + 1)
    _norm(weights, "v.pre_ln")
    for block in range(BLOCKS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            _linear(weights, f"v.blk.{block}.{part}", INSIDE, INSIDE)
        _norm(weights, f"v.blk.{block}.ln1")
        _norm(weights, f"v.blk.{block}.ln2")
        _linear(weights, f"v.blk.{block}.ffn_up", INSIDE, INNER)
        _linear(weights, f"v.blk.{block}.ffn_down", INNER, INSIDE)
    _linear(weights, "mm.0", INSIDE, width)
    _linear(weights, "mm.2", width, width)
    fields = {
        "general.architecture": text("clip"),
        "clip.has_vision_encoder": Field(FieldType.BOOL, True),
        "clip.projector_type": text("mlp"),
        "clip.use_gelu": Field(FieldType.BOOL, True),
        "clip.vision.image_size": whole(SIDE),
        "clip.vision.patch_size": whole(PATCH),
        "clip.vision.embedding_length": whole(INSIDE),
        "clip.vision.feed_forward_length": whole(INNER),
        "clip.vision.projection_dim": whole(width),
        "clip.vision.attention.head_count": whole(2),
        "clip.vision.attention.layer_norm_epsilon": real(1e-5),
        "clip.vision.block_count": whole(BLOCKS),
        "clip.vision.image_mean": array(FieldType.FLOAT32, (0.5, 0.5, 0.5)),
        "clip.vision.image_std": array(FieldType.FLOAT32, (0.5, 0.5, 0.5)),
    }
    write(path, fields, weights.tensors)
    return path


def _linear(weights: Weights, name: str, inputs: int, outputs: int) -> None:
    weights.matrix(f"{name}.weight", inputs, outputs)
    weights.put(f"{name}.bias", np.zeros(outputs))


def _norm(weights: Weights, name: str) -> None:
    weights.ones(f"{name}.weight", INSIDE)
    weights.put(f"{name}.bias", np.zeros(INSIDE))
