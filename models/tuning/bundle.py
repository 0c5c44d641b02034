"""A compiled training program as a folder that a device runs with numpy and onnxruntime alone:

step.onnx, forward.onnx, apply.onnx (with accumulation), weights.data, start.safetensors, manifest.json
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from models.errors import ProgramUnreadable
from models.tuning.optimizers import Optimizer
from models.tuning.sampled import Sampled
from models.tuning.state import Place

FORMAT = 1
STEP, FORWARD, APPLY, PREFIX, MANIFEST, WEIGHTS, START = (
    "step.onnx", "forward.onnx", "apply.onnx", "prefix.onnx", "manifest.json", "weights.data", "start.safetensors",
)  # fmt: skip


class Tensor(Struct, frozen=True):
    shape: tuple[int, ...]
    kind: str

    def zeros(self) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        return np.zeros(self.shape, self.kind)


class Merge(Struct, frozen=True):
    """weight + scale * down @ up, transposed where `turned`: an adapter (models.tuning.adapters)."""

    weight: str
    down: str
    up: str
    scale: float
    turned: bool = False


class Manifest(Struct, frozen=True, kw_only=True):
    """base_sha256: of the ONNX file that it was compiled from. merges: for adapters, which weights they change. order:
    of execution, as onnxruntime has them. kept: what a step takes in place of `inputs`, where the network's frozen
    beginning is a program of its own (models.tuning.cutting). sampled: weights of which some channels are trained."""

    format: Literal[1] = 1
    base: str
    base_sha256: str
    scheme: str
    loss: str
    batch: int
    optimizer: Optimizer
    clip: float
    accumulate: int
    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    outputs: tuple[str, ...]
    places: tuple[Place, ...]
    merges: tuple[Merge, ...] = ()
    labels: tuple[str, ...] = ()
    kept: dict[str, Tensor] = {}
    sampled: tuple[Sampled, ...] = ()
    order: Literal["default", "priority"] = "default"


def hash_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """Raises ProgramUnreadable (KF368)."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise ProgramUnreadable(path=folder, detail=str(error)) from error


def save_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
