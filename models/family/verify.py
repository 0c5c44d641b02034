"""Does a family, or a file, hold what it says?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.engine.trust import Trust
from models.family.describe import Described, describe
from models.family.manifest import NAME, Continuation, Manifest, Member, read_manifest
from models.gguf.header import read_header
from models.gguf.segment import segment_of
from protocol.errors import KinflowError


@dataclass(frozen=True)
class Verdict:
    """faults: in plain words; none when all is well. A file that is only quarantined has none."""

    files: tuple[Described, ...]
    faults: tuple[str, ...]


def verify(path: Path, trust: Trust) -> Verdict:
    """path: a .gguf, or a folder with a family.toml. Raises ManifestWrong (KF403) or WeightsUnreadable (KF391) when
    there is nothing to judge."""
    if path.is_dir() or path.name == NAME:
        folder = path if path.is_dir() else path.parent
        return _family(folder, read_manifest(folder), trust)
    return Verdict((describe(path, trust),), ())


def _family(folder: Path, manifest: Manifest, trust: Trust) -> Verdict:
    files, faults = [], []
    parts: list[Member | Continuation] = [*manifest.members, *manifest.continuations]
    for part in parts:
        if part.file is None:
            continue
        try:
            found = describe(folder / part.file, trust)
        except KinflowError as error:
            faults.append(error.cause_text)
            continue
        files.append(found)
        if found.sha256 != part.sha256:
            faults.append(f"{part.file} is not the file that {NAME} describes: its SHA-256 is {found.sha256}")
        if found.tokenizer_sha256 != manifest.tokenizer_sha256:
            faults.append(f"{part.file} has another tokenizer than the family")
        segment = segment_of(read_header(folder / part.file))
        if segment is not None and segment.source != manifest.source_sha256:
            faults.append(f"{part.file} was cut from another file than the rest")
    return Verdict(tuple(files), tuple(faults))
