"""Split a file into a folder that is a family: the parts, and the manifest that binds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.engine.trust import Trust, fingerprint
from models.errors import SplitImpossible
from models.family.manifest import Continuation, Manifest, Member, Tier, write_manifest
from models.family.split import EXITS, Part, parts_of, write_parts
from models.family.widen import widened
from models.gguf.header import read_header
from models.gguf.segment import tokenizer_of

TIERS: tuple[Tier, ...] = ("device", "edge", "cloud")


def split(source: Path, into: Path, trust: Trust, cuts: Sequence[int] = (), *, widen: bool = False) -> Manifest:
    """Only known weights are split; what comes of them is known as well. widen: matrices of Q8_0 become F16 (widen.py);
    all are in memory at once. Raises SplitImpossible (KF404), WeightsQuarantined (KF392), WeightsUnreadable (KF391)."""
    sha256 = trust.check(source)
    header = read_header(source)
    parts = parts_of(header, sha256, cuts)
    try:
        if widen:
            parts = [replace(part, tensors=tuple(map(widened, part.tensors))) for part in parts]
        paths = write_parts(parts, into, source.stem)
    except OSError as error:
        raise SplitImpossible(path=source, detail=error.strerror or error) from error
    nested = EXITS in header.fields
    hashes = {path: fingerprint(path) for path in paths}
    for path, found in hashes.items():
        trust.accept(path, found)
    whole = [(part, path) for part, path in zip(parts, paths, strict=True) if _first(part) == 0 or not nested]
    onward = [(part, path) for part, path in zip(parts, paths, strict=True) if _first(part) and nested]
    manifest = Manifest(
        name=_name(header.text("general.name") or source.stem),
        version=header.text("general.version", "1"),
        realisation="nested" if nested else "segments",
        licence=header.text("general.license", "not stated"),
        tokenizer_sha256=tokenizer_of(header),
        source_sha256=sha256,
        members=tuple(
            Member(
                name=_name(part.name),
                tier=_tier(place, len(whole)),
                file=path.name,
                sha256=hashes[path],
                size_bytes=path.stat().st_size,
                exit=part.segment.blocks - 1 if nested and part.segment is not None else None,
            )
            for place, (part, path) in enumerate(whole)
        ),
        continuations=tuple(
            Continuation(
                of=_name(part.name.partition("-from-")[0]),
                after=_first(part) - 1,
                last_block=part.segment.whole_blocks - 1 if part.segment is not None else 0,
                file=path.name,
                sha256=hashes[path],
                size_bytes=path.stat().st_size,
            )
            for part, path in onward
        ),
    )
    write_manifest(into, manifest)
    return manifest


def _first(part: Part) -> int:
    return part.segment.first if part.segment is not None else 0


def _tier(place: int, count: int) -> Tier:
    """The first on the device, the last at the top, what lies between at the edge."""
    if place == 0:
        return "device"
    return TIERS[min(place, 2)] if count <= 3 else ("cloud" if place == count - 1 else "edge")


def _name(text: str) -> str:
    kept = "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in text.lower())
    return kept.strip("._-")[:63] or "family"
