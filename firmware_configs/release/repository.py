"""A signed repository in the making.

    FOLDER/draft/    what is changed and not published yet: one file a role, with the signatures so far
    FOLDER/public/   metadata/ and targets/ as devices, mirrors and USB sticks get them

The roles: root (threshold, offline) names all keys; targets (threshold, offline) hands on to `releases` (bundles and
what is current) and `models`; one online key signs snapshot and timestamp, so that the end that stops a freeze can be
near without taking a key out of its safe. Signatures are made one after the other, on different machines if need be:
the folder is carried between them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from securesystemslib.exceptions import StorageError
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from firmware_configs.errors import ReleaseRefused
from firmware_configs.sbom.fits import require_list
from node.update import bundle
from node.update.targets import CHANNEL, Channel
from node.update.version import is_newer, is_version

OFFLINE_DAYS = {"root": 365, "targets": 365, "releases": 180, "models": 365}
ONLINE_DAYS = {"snapshot": 30, "timestamp": 7}
DELEGATED = {"releases": ["kinflow/*.json", "kinflow/*/*.tar"], "models": ["models/*", "models/*/*"]}


@dataclass(frozen=True)
class Holders:
    """Whose signatures count for a role, and how many of them are needed."""

    keys: Sequence[SSlibKey]
    threshold: int


class Repository:
    """Methods raise ReleaseRefused (KF239) when something is missing, and leave the folder as it was."""

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        self.folder = folder
        self._now = now

    @property
    def draft(self) -> Path:
        return self.folder / "draft"

    @property
    def public(self) -> Path:
        return self.folder / "public"

    # Making and changing

    def init(self, root: Holders, targets: Holders, delegated: dict[str, Holders], online: SSlibKey) -> None:
        """Drafts of the first metadata; each has to be signed before anything is published."""
        if self.folder.exists() and any(self.folder.iterdir()):
            raise ReleaseRefused(detail=f"{self.folder} is not empty")
        first = Root(expires=self._end("root"), consistent_snapshot=True)
        self._set_holders(first, root, targets, online)
        top = Targets(expires=self._end("targets"))
        roles = {}
        keys: dict[str, Any] = {}
        for name, paths in DELEGATED.items():
            holders = delegated[name]
            _check(name, holders)
            roles[name] = DelegatedRole(name, [key.keyid for key in holders.keys], holders.threshold, True, paths)
            keys |= {key.keyid: key for key in holders.keys}
        top.delegations = Delegations(keys, roles)
        self._write("root", Metadata(first))
        self._write("targets", Metadata(top))
        for name in DELEGATED:
            self._write(name, Metadata(Targets(expires=self._end(name))))

    def add_bundle(self, tar: Path) -> str:
        """Verify a bundle and draft it as `kinflow/<version>/<arch>.tar`; returns that path."""
        with tempfile.TemporaryDirectory(dir=tar.parent, prefix=".kinflow-check-") as folder:
            _, manifest = bundle.unpack(tar, Path(folder))
        return self._add("releases", f"kinflow/{manifest.version}/{manifest.arch}.tar", tar)

    def add_release(self, tar: Path) -> tuple[str, str]:
        """Draft a bundle, and as `kinflow/<version>-<arch>.cdx.json` the list of what it is made of, which it holds;
        returns both paths. Raises SbomMisfit (KF252) where it holds none that fits."""
        with tempfile.TemporaryDirectory(dir=tar.parent, prefix=".kinflow-check-") as folder:
            place, manifest = bundle.unpack(tar, Path(folder))
            listed = require_list(place, manifest)
            added = self._add("releases", f"kinflow/{manifest.version}/{manifest.arch}.tar", tar)
            return added, self._add("releases", f"kinflow/{manifest.version}-{manifest.arch}.cdx.json", listed)

    def add_model(self, name: str, file: Path) -> str:
        """Draft a model's file as `models/<name>`."""
        if not bundle.is_safe(name) or name.count("/") > 1:
            raise ReleaseRefused(detail=f"{name!r} is no name for a model's file")
        return self._add("models", f"models/{name}", file)

    def set_current(self, version: str, even_older: bool = False) -> None:
        """Draft which version devices are to have. It must have been added, and be newer than the one before unless
        even_older (which devices that have the newer one refuse)."""
        signed = self._edit("releases").signed
        assert isinstance(signed, Targets)
        if not is_version(version) or not any(path.startswith(f"kinflow/{version}/") for path in signed.targets):
            raise ReleaseRefused(detail=f"no bundle of version {version} has been added")
        before = self.current()
        if before is not None and not even_older and not is_newer(version, before):
            raise ReleaseRefused(detail=f"version {version} is not newer than {before}; devices would refuse it")
        channel = Channel(format=1, version=version, published=f"{self._at():%Y-%m-%dT%H:%M:%SZ}")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "stable.json"
            file.write_bytes(msgspec.json.encode(channel))
            self._add("releases", CHANNEL, file)

    def current(self) -> str | None:
        signed = self._edit("releases").signed
        assert isinstance(signed, Targets)
        found = signed.targets.get(CHANNEL)
        if found is None:
            return None
        return msgspec.json.decode(self._target_file(found).read_bytes(), type=Channel).version

    def withdraw(self, path: str) -> None:
        """Draft that a target is no longer signed for."""
        for role in DELEGATED:
            metadata = self._edit(role)
            if metadata.signed.targets.pop(path, None) is not None:
                self._write(role, metadata)
                return
        raise ReleaseRefused(detail=f"there is no target {path}")

    def rotate_root(self, root: Holders, targets: Holders, online: SSlibKey) -> None:
        """Draft a root with other holders. It needs the old threshold's signatures and the new one's."""
        metadata = self._edit("root")
        assert isinstance(metadata.signed, Root)
        for role in metadata.signed.roles.values():
            role.keyids.clear()
        metadata.signed.keys.clear()
        self._set_holders(metadata.signed, root, targets, online)
        self._write("root", metadata)

    def renew(self, role: str) -> None:
        """Draft the same content with a later end."""
        self._write(role, self._edit(role))

    # Signing and publishing

    def sign(self, signer: CryptoSigner) -> list[str]:
        """Sign every draft in which this key has a say; returns their names."""
        signed = []
        for name in self._drafts():
            metadata = self._read(self.draft / f"{name}.json")
            if signer.public_key.keyid not in self._holders(name):
                continue
            metadata.sign(signer, append=True)
            metadata.to_file(str(self.draft / f"{name}.json"))
            signed.append(name)
        return signed

    def missing(self) -> dict[str, str]:
        """What each draft lacks, in words; empty when all may be published."""
        lacks = {}
        for name in self._drafts():
            try:
                self._verify(name, self._read(self.draft / f"{name}.json"))
            except (RepositoryError, UnsignedMetadataError) as error:
                lacks[name] = str(error)
        return lacks

    def publish(self, online: CryptoSigner) -> None:
        """Move the drafts, wholly signed, to public/, and sign a new snapshot and timestamp. Without drafts this renews
        the timestamp. What devices read first is written last, so that a copy taken meanwhile is whole."""
        if lacks := self.missing():
            name = min(lacks)
            raise ReleaseRefused(detail=f"{name} lacks signatures: {lacks[name]}")
        metadata = self.public / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        if (self.draft / "targets").is_dir():
            shutil.copytree(self.draft / "targets", self.public / "targets", dirs_exist_ok=True)
        changed = False
        for name in self._drafts():
            drafted = self._read(self.draft / f"{name}.json")
            drafted.to_file(str(metadata / f"{drafted.signed.version}.{name}.json"))
            changed = changed or name != "root"
        root = self._newest("root")
        if root is None or online.public_key.keyid not in root.signed.roles["timestamp"].keyids:
            raise ReleaseRefused(detail="this key has no say over snapshot and timestamp")
        self._publish_online(online, changed)
        shutil.rmtree(self.draft, ignore_errors=True)

    def status(self) -> dict[str, dict[str, object]]:
        """Each role's newest published version and its end, and what its draft lacks."""
        lacks, told = self.missing(), {}
        for name in (*OFFLINE_DAYS, *ONLINE_DAYS):
            published = self._newest(name)
            told[name] = {
                "version": published.signed.version if published else None,
                "expires": f"{published.signed.expires:%Y-%m-%dT%H:%M:%SZ}" if published else None,
                "draft": lacks.get(name, "signed") if name in self._drafts() else None,
            }
        return told

    def _publish_online(self, online: CryptoSigner, changed: bool) -> None:
        before = self._newest("snapshot")
        snapshot = before if before is not None else Metadata(Snapshot())
        if changed or before is None or before.signed.is_expired(self._at() + timedelta(days=ONLINE_DAYS["timestamp"])):
            snapshot.signed.version += before is not None
            snapshot.signed.expires = self._end("snapshot")
            newest = {name: self._newest(name) for name in ("targets", *DELEGATED)}
            snapshot.signed.meta = {
                f"{name}.json": MetaFile(found.signed.version) for name, found in newest.items() if found
            }
            snapshot.sign(online)
            snapshot.to_file(str(self.public / "metadata" / f"{snapshot.signed.version}.snapshot.json"))
        stamped = self._newest("timestamp")
        timestamp = stamped if stamped is not None else Metadata(Timestamp())
        timestamp.signed.version += stamped is not None
        timestamp.signed.expires = self._end("timestamp")
        timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
        timestamp.sign(online)
        part = self.public / "metadata" / ".timestamp.part"
        timestamp.to_file(str(part))
        part.replace(self.public / "metadata" / "timestamp.json")

    # Small things

    def _add(self, role: str, path: str, file: Path) -> str:
        metadata = self._edit(role)
        assert isinstance(metadata.signed, Targets)
        target = TargetFile.from_file(path, str(file), ["sha256"])
        if path != CHANNEL and path in metadata.signed.targets and metadata.signed.targets[path] != target:
            raise ReleaseRefused(detail=f"{path} was released with other content; a release is never changed")
        folder, _, name = path.rpartition("/")
        copy = self.draft / "targets" / folder / f"{target.hashes['sha256']}.{name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        metadata.signed.targets[path] = target
        self._write(role, metadata)
        return path

    def _target_file(self, target: TargetFile) -> Path:
        folder, _, name = target.path.rpartition("/")
        relative = f"targets/{folder}/{target.hashes['sha256']}.{name}"
        return next(path for path in (self.draft / relative, self.public / relative) if path.exists())

    def _set_holders(self, root: Root, holders: Holders, targets: Holders, online: SSlibKey) -> None:
        both = {
            "root": holders,
            "targets": targets,
            "snapshot": Holders([online], 1),
            "timestamp": Holders([online], 1),
        }
        for role, held in both.items():
            _check(role, held)
            for key in held.keys:
                root.add_key(key, role)
            root.roles[role].threshold = held.threshold

    def _holders(self, role: str) -> list[str]:
        """The ids of the keys that have a say over a draft: for a root, those of the root before as well."""
        if role in DELEGATED:
            targets = self._newest_or_draft("targets").signed
            assert isinstance(targets, Targets)
            assert targets.delegations is not None
            assert targets.delegations.roles is not None
            return targets.delegations.roles[role].keyids
        root = self._newest_or_draft("root").signed
        assert isinstance(root, Root)
        found = list(root.roles[role].keyids)
        published = self._newest("root")
        if role == "root" and published is not None:
            found += published.signed.roles["root"].keyids
        return found

    def _verify(self, role: str, metadata: Metadata[Any]) -> None:
        if role in DELEGATED:
            above = self._newest_or_draft("targets").signed
        elif role == "root":
            published = self._newest("root")
            if published is not None:
                published.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
            above = metadata.signed
        else:
            above = self._newest_or_draft("root").signed
        above.verify_delegate(role, metadata.signed_bytes, metadata.signatures)

    def _drafts(self) -> list[str]:
        return [name for name in OFFLINE_DAYS if (self.draft / f"{name}.json").is_file()]

    def _edit(self, role: str) -> Metadata[Any]:
        """The draft of a role, without signatures; begun from what is published, one version on."""
        path = self.draft / f"{role}.json"
        if path.is_file():
            metadata = self._read(path)
        else:
            published = self._newest(role)
            if published is None:
                raise ReleaseRefused(detail=f"{self.folder} is no repository: it has no {role}")
            metadata = published
            metadata.signed.version += 1
        metadata.signed.expires = self._end(role)
        metadata.signatures.clear()
        return metadata

    def _write(self, role: str, metadata: Metadata[Any]) -> None:
        self.draft.mkdir(parents=True, exist_ok=True)
        metadata.signatures.clear()
        metadata.to_file(str(self.draft / f"{role}.json"))

    def _newest_or_draft(self, role: str) -> Metadata[Any]:
        path = self.draft / f"{role}.json"
        found = self._read(path) if path.is_file() else self._newest(role)
        if found is None:
            raise ReleaseRefused(detail=f"{self.folder} is no repository: it has no {role}")
        return found

    def _newest(self, role: str) -> Metadata[Any] | None:
        metadata = self.public / "metadata"
        if role == "timestamp":
            path = metadata / "timestamp.json"
            return self._read(path) if path.is_file() else None
        versions = [int(path.name.partition(".")[0]) for path in metadata.glob(f"[0-9]*.{role}.json")]
        return self._read(metadata / f"{max(versions)}.{role}.json") if versions else None

    @staticmethod
    def _read(path: Path) -> Metadata[Any]:
        try:
            return Metadata[Any].from_bytes(path.read_bytes())
        except (OSError, StorageError, RepositoryError) as error:
            raise ReleaseRefused(detail=f"{path} can't be read: {error}") from error

    def _at(self) -> datetime:
        return (self._now or datetime.now(UTC)).replace(microsecond=0)

    def _end(self, role: str) -> datetime:
        return self._at() + timedelta(days={**OFFLINE_DAYS, **ONLINE_DAYS}[role])


def _check(role: str, holders: Holders) -> None:
    different = {key.keyid for key in holders.keys}
    if not 1 <= holders.threshold <= len(different):
        raise ReleaseRefused(detail=f"{role} needs {holders.threshold} of {len(different)} keys, which can't be")
