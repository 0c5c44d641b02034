"""A training as it was asked for, and the folder that holds it:

job.json, program/ (models.tuning.bundle), state.safetensors (the last good one), curve.jsonl, loss.png,
trained.onnx (of a GGUF: trained.gguf, adapter.gguf), delta.safetensors, tokens.jsonl (texts, once split)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from models.errors import RunDiffers
from models.tuning.optimizers import Optimizer

JOB, PROGRAM, STATE, CURVE, PICTURE, NETWORK, ADAPTER, DELTA, TOKENS = (
    "job.json", "program", "state.safetensors", "curve.jsonl", "loss.png", "trained", "adapter.gguf",
    "delta.safetensors", "tokens.jsonl",
)  # fmt: skip


class Job(Struct, frozen=True, kw_only=True):
    """base_sha256: of `model`. labels: names of classes, none for a language model; of a detector those of the network,
    of which the data labels those numbered `labelled`. names: of the data's classes, if it does not give them itself.
    A classifier with another number of classes gets a fresh last layer; made_anew: its tensors. vocabulary: how many
    tokens a language model tells apart. keep_mb: the most disk for what frozen layers give (models.tuning.keeping), 0
    for none of it. channels: share of input channels that are trained at a time, at most. settings of the compiler:
    models.tuning.compiler.Recipe."""

    format: Literal[2] = 2
    model: str
    base_sha256: str
    data: str
    scheme: str
    loss: str = "classification"
    batch: int = 8
    epochs: int = 5
    optimizer: Optimizer = Optimizer()
    clip: float = 0.0
    accumulate: int = 1
    int8: bool = False
    recompute: bool = False
    channels: float = 1.0
    sizes: dict[str, int] = {}
    pixels: Literal["byte", "unit", "imagenet"] = "unit"
    seed: int = 0
    labels: tuple[str, ...] = ()
    made_anew: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    labelled: tuple[int, ...] = ()
    vocabulary: int = 0
    keep_mb: float = 0.0


def network_of(job: Job) -> str:
    """The file of the trained network: of the kind that it began as."""
    return NETWORK + Path(job.model).suffix.lower()


def load(folder: Path) -> Job | None:
    """None where no training was begun. Raises RunDiffers (KF372) for what can't be read."""
    try:
        return msgspec.json.decode((folder / JOB).read_bytes(), type=Job)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise RunDiffers(path=folder, detail=str(error)) from error


def save(folder: Path, job: Job) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{JOB}.new"
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(job), indent=1))
    beside.replace(folder / JOB)


def require_same(folder: Path, there: Job, wanted: Job) -> None:
    """Only how long it goes on may differ, and what is kept, which was settled when it began."""
    old, new = (_comparable(one) for one in (there, wanted))
    other = [name for name, value in new.items() if old[name] != value]
    if other:
        raise RunDiffers(path=folder, detail=f"its {other[0]} is {old[other[0]]}, not {new[other[0]]}")


def _comparable(job: Job) -> Mapping[str, object]:
    free = ("epochs", "made_anew", "keep_mb")
    return {name: value for name, value in msgspec.structs.asdict(job).items() if name not in free}
