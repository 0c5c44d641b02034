"""The weights on this machine: what lies in the state folder's models/, and what could be fetched by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from models.engine.trust import Trust
from models.errors import ManifestWrong
from models.family.manifest import NAME, Manifest, read_manifest
from node.home import find_home


class Public(Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    licence: str
    family: str


def models_folder() -> Path:
    return find_home() / "models"


def open_trust(shipped: Iterable[str] = ()) -> Trust:
    return Trust(models_folder(), shipped)


def public_families() -> dict[str, Public]:
    data = Path(__file__).with_name("public.toml").read_bytes()
    return msgspec.toml.decode(data, type=dict[str, Public])


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.gguf")) if folder.is_dir() else []


def families(folder: Path) -> list[tuple[Path, Manifest | ManifestWrong]]:
    """Every family below the folder, and what is wrong with those that can't be read."""
    found: list[tuple[Path, Manifest | ManifestWrong]] = []
    for path in sorted(folder.rglob(NAME)) if folder.is_dir() else []:
        try:
            found.append((path.parent, read_manifest(path.parent)))
        except ManifestWrong as error:
            found.append((path.parent, error))
    return found
