"""From the settings to the source of updates and the root that judges it."""

from __future__ import annotations

from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root

from node.config.schema import Settings
from node.errors import UpdateNotPossible, UpdateUntrusted
from node.trust.credentials import load
from node.update.places import find_prefix
from node.update.source import FirstSource, HttpSource, Source, open_source
from node.update.targets import Targets

ROOT_NAME = "root.json"
MIRROR = "/updates/"


def open_targets(home: Path, settings: Settings, place: str = "") -> Targets:
    """place: an address or a folder; empty for the configured source, else the mirror of the edge that was joined."""
    place = place or settings.update.source
    source = open_source(place) if place else edge_mirror(home)
    return Targets(home / "update" / "tuf", source, root_of_trust(home))


def edge_mirror(home: Path) -> Source:
    """The mirror of the edge server that this device has joined, or of its pair. Raises UpdateNotPossible (KF183)."""
    credentials = load(home)
    if credentials is None:
        raise UpdateNotPossible(detail="no source is set (update.source), and this device has joined no edge server")
    tls = credentials.tls()
    hosts = (f"[{host}]" if ":" in host else host for host in credentials.hosts)
    return FirstSource([HttpSource(f"https://{host}:{credentials.http_port}{MIRROR}", tls) for host in hosts])


def root_of_trust(home: Path) -> bytes:
    """The root that came with the installation (root's own file, where there is one), else the one put in place by
    `kinflow update trust`. Raises UpdateNotPossible (KF183)."""
    for path in (*_installed_root(), home / "update" / ROOT_NAME):
        try:
            return path.read_bytes()
        except OSError:
            continue
    raise UpdateNotPossible(detail="there is no root of trust (kinflow update trust ROOT.json)")


def describe_root(data: bytes) -> str:
    """Its version, its end and its keys, for people to compare. Raises UpdateUntrusted (KF178) when it is none."""
    try:
        root = Metadata[Root].from_bytes(data)
        root.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)
    except (RepositoryError, ValueError, KeyError, TypeError) as error:
        raise UpdateUntrusted(source="this root", detail=str(error)[:200]) from error
    role = root.signed.roles[Root.type]
    keys = "\n".join(f"  key {key}" for key in sorted(role.keyids))
    return (
        f"  root version {root.signed.version}, good until {root.signed.expires:%Y-%m-%d}, "
        f"{role.threshold} of {len(role.keyids)} keys\n{keys}"
    )


def _installed_root() -> tuple[Path, ...]:
    try:
        return (find_prefix() / "bin" / "system" / ROOT_NAME,)
    except UpdateNotPossible:
        return ()
