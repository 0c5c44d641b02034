"""A maintainer with keys and a repository, for the tests of updates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from firmware_configs.release.repository import Holders, Repository
from node.update import bundle
from node.update.source import FolderSource, Source
from node.update.targets import Targets


def signer() -> CryptoSigner:
    return CryptoSigner(Ed25519PrivateKey.generate())


class Maintainer:
    """Root 2 of 3, and one key each for the rest. The keys live in memory: their files have a test of their own."""

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        self.folder = folder
        self.now = now
        self.roots = [signer() for _ in range(3)]
        self.targets, self.releases, self.models, self.online = signer(), signer(), signer(), signer()
        self.repository.init(
            Holders([one.public_key for one in self.roots], 2),
            Holders([self.targets.public_key], 1),
            {"releases": Holders([self.releases.public_key], 1), "models": Holders([self.models.public_key], 1)},
            self.online.public_key,
        )
        for one in (*self.roots[:2], self.targets, self.releases, self.models):
            self.repository.sign(one)
        self.repository.publish(self.online)

    @property
    def repository(self) -> Repository:
        return Repository(self.folder, self.now)

    @property
    def public(self) -> Path:
        return self.folder / "public"

    @property
    def root(self) -> bytes:
        return (self.public / "metadata" / "1.root.json").read_bytes()

    def release(self, version: str, files: dict[str, bytes] | None = None, arch: str = "x86_64") -> Path:
        """Make, sign and publish a bundle, and make it current. Returns its tar."""
        home = self.folder.parent / "bundles" / f"kinflow-{version}-{arch}"
        for name, data in (files or {"wheels/none.txt": version.encode()}).items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(data)
        manifest = bundle.describe(home, version, arch, "2026-01-02T03:04:05Z", ("3.11", "3.12", "3.13", "3.14"))
        (home / bundle.MANIFEST).write_bytes(bundle.encode(manifest))
        tar = home.with_name(f"{home.name}.tar")
        bundle.pack(home, tar)
        self.repository.add_bundle(tar)
        self.repository.set_current(version)
        self.publish()
        return tar

    def publish(self) -> None:
        self.repository.sign(self.releases)
        self.repository.sign(self.models)
        self.repository.publish(self.online)


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    return Maintainer(tmp_path / "repository")


@pytest.fixture
def device(tmp_path: Path, maintainer: Maintainer) -> Callable[..., Targets]:
    """device(): a device's view of what is published; its verified metadata stays from one call to the next."""

    def make(source: Source | None = None, now: datetime | None = None) -> Targets:
        clock = (lambda: now) if now is not None else None
        return Targets(tmp_path / "device", source or FolderSource(maintainer.public), maintainer.root, clock)

    return make


@pytest.fixture
def in_days() -> Callable[[float], datetime]:
    return lambda days: datetime.now(UTC) + timedelta(days=days)
