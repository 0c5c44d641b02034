"""What a file of weights is, told from its header: for `list`, `verify` and `card`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

from models.engine.trust import Trust, fingerprint
from models.gguf.header import Header, read_header
from models.gguf.segment import segment_of, tokenizer_of


@dataclass(frozen=True)
class Described:
    """kinds: bytes by kind of tensor. segment: which blocks of which whole, empty for a whole."""

    path: str
    name: str
    architecture: str
    parameters: int
    blocks: int
    width: int
    context_tokens: int
    size_bytes: int
    kinds: dict[str, int]
    sha256: str
    accepted: bool
    tokenizer_sha256: str
    licence: str
    segment: str


def describe(path: Path, trust: Trust) -> Described:
    """Reads the header alone; a quarantined file may be described. Raises WeightsUnreadable (KF391)."""
    header = read_header(path)
    found = fingerprint(path)
    return Described(
        path=str(path),
        name=header.text("general.name") or path.stem,
        architecture=header.architecture,
        parameters=sum(prod(one.shape) for one in header.tensors.values()),
        blocks=header.whole("block_count"),
        width=header.whole("embedding_length"),
        context_tokens=header.whole("context_length"),
        size_bytes=path.stat().st_size,
        kinds=_kinds(header),
        sha256=found,
        accepted=trust.knows(found),
        tokenizer_sha256=tokenizer_of(header),
        licence=header.text("general.license", "not stated"),
        segment=_segment(header),
    )


def _kinds(header: Header) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for one in header.tensors.values():
        sizes[one.kind.name] += one.size
    return dict(sizes.most_common())


def _segment(header: Header) -> str:
    segment = segment_of(header)
    if segment is None:
        return ""
    last = segment.first + segment.blocks - 1
    return f"blocks {segment.first} to {last} of {segment.whole_blocks}, cut from {segment.source[:12]}"
