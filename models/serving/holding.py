"""Which weights a server answers with: a family's member for its tier, found and opened."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from models.engine.trust import Trust
from models.errors import NothingServed
from models.family import shipped
from models.family.manifest import NAME, Continuation, Manifest, Member, Tier, read_manifest
from node.config.schema import Serving

if TYPE_CHECKING:
    from models.engine.llama.weights import Loaded
    from models.engine.port import Engine

BATCH_ROWS = 512
# A room that all share is worth it while it is small: each row looks past what all others hold. With 4,250 tokens
# held, a step of 16 rows of a 0.5 B model takes a quarter longer, one of 4 rows a sixth (docs/decisions/0019).
SHARED_TOKENS = 8_192
SHIPPED = "kin"
TIERS: tuple[Tier, ...] = ("device", "edge", "cloud")


@dataclass
class Holding:
    """A family in a folder, and the member of it that a tier answers with. Files are loaded once, when they are first
    needed, and kept; safe from any thread. trust: which of them may be opened."""

    folder: Path
    manifest: Manifest
    member: Member
    settings: Serving
    trust: Callable[[], Trust]
    _loaded: dict[str, Loaded] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        family, member = self.manifest.name, self.member.name
        return family if member == family else f"{family}-{member}"

    def engine(self, file: str | None = None, *, sequences: int = 0, tap: int | None = None) -> Engine:
        """A context on the member, or on another file of the family. Raises NothingServed (KF500), EngineMissing
        (KF390), WeightsQuarantined (KF392), WeightsUnreadable (KF391), WeightsRefused (KF393)."""
        from models.engine.llama.engine import LlamaEngine, Options  # noqa: PLC0415 (needs the extra `family`)

        given, count = self.settings, sequences or self.settings.sequences
        options = Options(
            context_tokens=given.context_tokens * count,
            sequences=count,
            batch_tokens=min(BATCH_ROWS, given.context_tokens * count),
            threads=given.threads or max(1, (os.cpu_count() or 2) - 1),
            tap=tap,
            shared=given.context_tokens * count <= SHARED_TOKENS,
            kv="f16" if given.fast else "f32",
            flash=given.fast,
        )
        return LlamaEngine(self._weights(file or self._file()), options)

    def blocks(self) -> int:
        """Of the member's own file. Raises as `engine`."""
        return self._weights(self._file()).blocks

    def continuation(self, after: int) -> Continuation | None:
        """That of the member, from the hidden states behind block `after` of the whole."""
        found = (one for one in self.manifest.continuations if one.of == self.member.name and one.after == after)
        return next(found, None)

    def close(self) -> None:
        """After every engine on it."""
        with self._lock:
            for one in self._loaded.values():
                one.close()
            self._loaded.clear()

    def _file(self) -> str:
        if self.member.file is None:
            raise NothingServed(detail=f"{self.member.name} lives on a server elsewhere, {self.member.url}")
        return self.member.file

    def _weights(self, file: str) -> Loaded:
        from models.engine.llama.weights import load  # noqa: PLC0415

        with self._lock:
            if file not in self._loaded:
                self._loaded[file] = load(self.folder / file, self.trust())
            return self._loaded[file]


def serves(settings: Serving) -> bool:
    """Whether there is a family to look for: one that is set, or the one that comes with Kinflow."""
    return bool(settings.family) or (shipped.FOLDER / shipped.WEIGHTS).is_file()


def find_holding(home: Path, settings: Serving, tier: Tier) -> Holding:
    """Raises NothingServed (KF500), ManifestWrong (KF403), FamilyDamaged (KF480)."""
    if not serves(settings):
        raise NothingServed(detail="no family is set, and this version brings none")
    if settings.family in ("", SHIPPED):
        folder, trust = shipped.unfold(home), lambda: shipped.trust_in(home)
    else:
        folder, trust = _folder(home, settings.family), lambda: Trust(home / "models")
    manifest = read_manifest(folder)
    wanted: Callable[[Member], bool] = (
        (lambda one: one.name == settings.member) if settings.member else (lambda one: one.tier == tier)
    )
    member = next((one for one in manifest.members if wanted(one)), None)
    if member is None and not settings.member:
        # A family that ends below this tier: its highest member.
        below = [one for one in manifest.members if TIERS.index(one.tier) < TIERS.index(tier)]
        member = max(below, key=lambda one: TIERS.index(one.tier), default=None)
    if member is None:
        missing = f"member {settings.member!r}" if settings.member else f"member for the {tier} tier"
        raise NothingServed(detail=f"{folder / NAME} has no {missing}")
    return Holding(folder, manifest, member, settings, trust)


def file_holding(path: Path, settings: Serving, trust: Trust, tier: Tier = "edge") -> Holding:
    """One file by itself, as a family of one member. Raises WeightsUnreadable (KF391), WeightsQuarantined (KF392)."""
    sha256 = trust.check(path)
    member = Member(name=path.stem, tier=tier, file=path.name, sha256=sha256, size_bytes=path.stat().st_size)
    manifest = Manifest(
        name=path.stem, version="", realisation="siblings", licence="", tokenizer_sha256=sha256, members=(member,)
    )
    return Holding(path.parent, manifest, member, settings, lambda: trust)


def _folder(home: Path, family: str) -> Path:
    for folder in (home / "models" / family, Path(family)):
        if (folder / NAME).is_file():
            return folder
    raise NothingServed(detail=f"there is no {NAME} in {home / 'models' / family} nor in {family}")
