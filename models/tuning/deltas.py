"""What training changed, as a small file: differences from the network that it began with, in the safetensors format.

Its metadata (all strings): format, base_sha256, scheme, samples (how many examples the change was learnt from), whole
(JSON list of tensors that are given as they are, since their shape changed) and masks (JSON, the input
channels that were changed, by number; a tensor that is not named there was trained whole).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.errors import DeltaUnfit
from models.tuning import safetensors_file
from models.tuning.graph import Array

FORMAT = "kinflow-delta-1"


@dataclass(frozen=True)
class Delta:
    """differences: new less old, by tensor. whole: of these, the new values themselves. labels: names of classes."""

    base_sha256: str
    scheme: str
    samples: int
    differences: dict[str, Array]
    whole: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    masks: dict[str, list[int]] = field(default_factory=dict)


def write(path: Path, delta: Delta) -> None:
    metadata = {
        "format": FORMAT,
        "base_sha256": delta.base_sha256,
        "scheme": delta.scheme,
        "samples": str(delta.samples),
        "whole": json.dumps(delta.whole),
        "labels": json.dumps(delta.labels),
        "masks": json.dumps(delta.masks),
    }
    safetensors_file.write(path, delta.differences, metadata)


def read(path: Path) -> Delta:
    """Raises TensorsUnreadable (KF367), and DeltaUnfit (KF374) for a file that is no delta."""
    tensors, metadata = safetensors_file.read(path)
    try:
        if metadata.get("format") != FORMAT:
            raise ValueError(f"its format is {metadata.get('format', 'not told')}, not {FORMAT}")
        whole, labels = tuple(json.loads(metadata["whole"])), tuple(json.loads(metadata["labels"]))
        masks = json.loads(metadata["masks"])
        samples = int(metadata["samples"])
        return Delta(metadata["base_sha256"], metadata["scheme"], samples, tensors, whole, labels, masks)
    except (ValueError, KeyError, TypeError) as error:
        raise DeltaUnfit(path=path, base="any network", detail=str(error)) from error


def applied(path: Path, delta: Delta, base: Mapping[str, Array]) -> dict[str, Array]:
    """The new tensors, of which `base` has the old ones. Raises DeltaUnfit (KF374)."""
    done: dict[str, Array] = {}
    for name, change in delta.differences.items():
        if name not in base:
            raise DeltaUnfit(path=path, base="the network", detail=f"it has no tensor {name!r}")
        if not np.isfinite(change).all():
            raise DeltaUnfit(path=path, base="the network", detail=f"{name!r} holds what is no number")
        if name in delta.whole:
            done[name] = change
            continue
        if base[name].shape != change.shape:
            raise DeltaUnfit(path=path, base="the network", detail=f"{name!r} has another shape there")
        done[name] = (base[name] + change).astype(base[name].dtype)
    return done
