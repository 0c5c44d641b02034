"""What is known about a network: a TOML file beside its .onnx, of the same name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from models.errors import ModelUnreadable
from models.vision.suppression import OVERLAP

Share = Annotated[float, Meta(gt=0, le=1)]
Pixels = Annotated[int, Meta(ge=1, le=4096)]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """labels: its classes' names, in the order of its outputs. input: width and height in pixels. overlap: above it,
    the less sure of two boxes goes. thresholds: the score from which a label counts as found in service.
    synthetic_only: labels that were learned from drawn pictures alone. sha256: of the .onnx; "": not checked."""

    name: str
    labels: tuple[str, ...]
    layout: str = ""
    input: tuple[Pixels, Pixels] | None = None
    overlap: Share = OVERLAP
    thresholds: dict[str, Share] = {}
    synthetic_only: tuple[str, ...] = ()
    sha256: str = ""
    licence: str = ""
    credits: tuple[str, ...] = ()


def beside(model: Path) -> Manifest | None:
    """The manifest of a network, or None without one.

    Raises ModelUnreadable (KF105) for a manifest that is none, or that belongs to another file."""
    path = model.with_suffix(".toml")
    if not path.is_file():
        return None
    try:
        manifest = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ModelUnreadable(path=path, detail=f"the manifest is wrong: {error}") from error
    for name in (*manifest.thresholds, *manifest.synthetic_only):
        if name not in manifest.labels:
            raise ModelUnreadable(path=path, detail=f"the manifest speaks of {name!r}, which is none of its labels")
    if manifest.sha256 and model.is_file() and _hash(model) != manifest.sha256:
        raise ModelUnreadable(path=model, detail=f"it is not the file that {path.name} describes: its hash differs")
    return manifest


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
