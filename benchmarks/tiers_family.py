"""A family for benchmarks where none is there: random weights, and blocks above the first exit that change little, so
that its members agree about as often as trained ones do. What it says has no sense; what work it takes has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.engine.trust import Trust, fingerprint
from models.family.manifest import Manifest
from models.family.shapes import Shape, fields_of
from models.family.splitting import split
from models.gguf.fields import FieldType, array
from models.gguf.kinds import Kind
from models.gguf.writer import Content, write

# About kin's size: 8 million weights.
SHAPE = Shape("llama", 8, 256, 4, 2, 640, 2048, context_tokens=2048, rope_base=10_000.0)
EXITS = (4, 6, 8)
# Of a block above the first exit, against one below it.
CHANGES = 0.07


def write_family(folder: Path, seed: int = 0) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    width, head = SHAPE.width, SHAPE.width // SHAPE.heads
    tensors = [_matrix(random, "token_embd.weight", width, SHAPE.vocabulary, 2.0)]

    def block(name: str, change: float) -> None:
        kv = SHAPE.kv_heads * head
        tensors.extend((_ones(f"{name}.attn_norm.weight"), _ones(f"{name}.ffn_norm.weight")))
        for part, inputs, outputs, scale in (
            ("attn_q", width, width, 1.0),
            ("attn_k", width, kv, 1.0),
            ("attn_v", width, kv, 1.0),
            ("attn_output", width, width, change),
            ("ffn_gate", width, SHAPE.inner, 1.0),
            ("ffn_up", width, SHAPE.inner, 1.0),
            ("ffn_down", SHAPE.inner, width, change),
        ):
            tensors.append(_matrix(random, f"{name}.{part}.weight", inputs, outputs, scale))

    for number in range(EXITS[-1]):
        block(f"blk.{number}", 1.0 if number < EXITS[0] else CHANGES)
    for number in range(len(EXITS)):
        block(f"exit.{number}.blk", CHANGES)
        tensors.append(_ones(f"exit.{number}.output_norm.weight"))
    fields = fields_of(SHAPE) | {
        "kinflow.family.exits": array(FieldType.UINT32, EXITS),
        "kinflow.family.members": array(FieldType.STRING, ("small", "middle", "large")),
    }
    source = folder / "made.gguf"
    write(source, fields, tensors)
    return split(source, folder, _Own(folder))


class _Own(Trust):
    """For the file that was made a moment ago."""

    def check(self, path: Path) -> str:
        return fingerprint(path)


def _matrix(random: np.random.Generator, name: str, inputs: int, outputs: int, scale: float) -> Content:
    values: NDArray[np.float32] = random.normal(0, scale / np.sqrt(inputs), (outputs, inputs)).astype(np.float32)
    return Content(name, (inputs, outputs), Kind.F32, values.tobytes())


def _ones(name: str) -> Content:
    return Content(name, (SHAPE.width,), Kind.F32, np.ones(SHAPE.width, np.float32).tobytes())
