"""What a search found, and the scheme file that `kinflow tune run --scheme` takes."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec import Struct

from models.tuning.bundle import hash_of

FOUND = "found.json"


class Found(Struct, frozen=True, kw_only=True):
    """gain: how much less the loss on held-back examples was than with the head alone (of a language model: than before
    training), after equally many steps. pieces: that a batch is computed in. expected: the sum of what the parts gained
    alone. untried: how many parts there was no time for."""

    tensors: tuple[str, ...]
    parts: tuple[str, ...]
    pieces: int
    step_ms: float
    memory_mb: float
    gain: float
    expected: float
    head_loss: float
    steps: int
    untried: int


def write(path: Path, model: Path, found: Found) -> None:
    lines = [
        f"# Found by `kinflow tune search` for {model.name} (SHA-256 {hash_of(model)[:16]}..).",
        f"# Measured where it was found: {found.step_ms:.1f} ms a step, {found.memory_mb:.0f} MB beside the libraries;",
        f"# loss {found.gain:.3f} less than that of the head alone after {found.steps} steps.",
        f"name = {json.dumps(path.stem)}",
        *([f"pieces = {found.pieces}  # of each batch, one after the other: less memory"] if found.pieces > 1 else []),
        "tensors = [",
        *(f"    {json.dumps(one)}," for one in found.tensors),
        "]",
    ]
    beside = path.with_name(f".{path.name}.new")
    beside.write_text("\n".join(lines) + "\n", "utf-8")
    beside.replace(path)
