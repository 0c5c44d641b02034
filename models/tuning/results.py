"""What training learnt: a delta (numpy is enough for it), and from it a file for inference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.errors import DeltaUnfit
from models.tuning import deltas, networks, safetensors_file
from models.tuning.bundle import START, Manifest, hash_of
from models.tuning.deltas import Delta
from models.tuning.graph import Array
from models.tuning.sampled import Sampled, by_channel, tensors


def make_delta(
    program: Path, manifest: Manifest, trained: Mapping[str, Array], samples: int, whole: Sequence[str]
) -> Delta:
    """trained: tensors as the trainer has them. Adapters become the change of what they adapt. samples: how many
    examples were learnt from. whole: tensors that were made anew."""
    start, _ = safetensors_file.read(program / START)
    first = tensors(manifest.places, manifest.sampled, start)
    parts = {name for one in manifest.merges for name in (one.down, one.up)}
    changes = {
        name: value if name in whole else value - first[name] for name, value in trained.items() if name not in parts
    }
    for one in manifest.merges:
        change = one.scale * trained[one.down] @ trained[one.up]
        changes[one.weight] = (change.T if one.turned else change).astype(trained[one.down].dtype)
    masks = {
        one.tensor: _trained_channels(changes[one.tensor], one) for one in manifest.sampled if one.tensor in changes
    }
    return Delta(manifest.base_sha256, manifest.scheme, samples, changes, tuple(whole), manifest.labels, masks)


def _trained_channels(change: Array, one: Sampled) -> list[int]:
    """Those of its input channels that are not what they were."""
    found: list[int] = np.flatnonzero(by_channel(change, one.axis).any(1)).tolist()
    return found


def _describe(base: Path, out: Path) -> None:
    """What a detector's manifest says holds for what was learnt from it as well, but for the hash."""
    manifest = base.with_suffix(".toml")
    if not manifest.is_file() or manifest == out.with_suffix(".toml"):
        return
    text = manifest.read_text("utf-8")
    text = re.sub(r'^(\s*sha256\s*=\s*)"[^"]*"', rf'\g<1>"{hash_of(out)}"', text, flags=re.MULTILINE)
    out.with_suffix(".toml").write_text(text, "utf-8")


def apply_delta(base: Path, delta_path: Path, out: Path) -> Delta:
    """`out` becomes `base` with the delta; `base` stays, so that leaving the delta away again is exact. Raises
    DeltaUnfit (KF374) unless it was made from this very file."""
    delta = deltas.read(delta_path)
    if hash_of(base) != delta.base_sha256:
        said = f"it was made from a file with SHA-256 {delta.base_sha256[:16]}.."
        raise DeltaUnfit(path=delta_path, base=base, detail=said)
    new = deltas.applied(delta_path, delta, networks.tensors(base, tuple(delta.differences)))
    beside = out.with_name(f".{out.name}.new")
    try:
        networks.replace_tensors(base, new, beside)
        beside.replace(out)
        _describe(base, out)
    finally:
        beside.unlink(missing_ok=True)
    return delta
