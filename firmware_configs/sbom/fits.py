"""Whether the list inside a bundle is a list of that bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from firmware_configs.errors import SbomMisfit
from firmware_configs.sbom.cyclonedx import Bom, Component, decode
from node.update.bundle import Manifest

NAME = "sbom.cdx.json"
LISTED = ("wheels/", "models/", "maps/")


def require_list(folder: Path, manifest: Manifest) -> Path:
    """The list in a bundle's folder: every wheel, model and map of the bundle is on it by its hash, and no other.

    Raises SbomMisfit (KF252)."""
    path = folder / NAME
    try:
        listed = decode(path.read_bytes())
    except OSError as error:
        raise SbomMisfit(path=manifest.name, detail=f"it holds no {NAME}") from error
    except msgspec.DecodeError as error:
        raise SbomMisfit(path=manifest.name, detail=f"{NAME}: {error}") from error
    if listed.metadata.component.version != manifest.version:
        raise SbomMisfit(path=manifest.name, detail=f"it is a list of version {listed.metadata.component.version}")
    on_list = dict(_hashes(listed))
    in_bundle = {one.path: one.sha256 for one in manifest.files if one.path.startswith(LISTED)}
    if on_list != in_bundle:
        wrong = min(name for name, _ in on_list.items() ^ in_bundle.items())
        raise SbomMisfit(path=manifest.name, detail=f"{wrong} is not as the list says")
    return path


def _hashes(listed: Bom) -> Iterator[tuple[str, str]]:
    for one in (listed.metadata.component, *listed.components):
        yield from ((wheel.url, wheel.hashes[0].content) for wheel in one.external_references if wheel.hashes)
        if _is_a_file(one):
            yield one.name, one.hashes[0].content


def _is_a_file(one: Component) -> bool:
    return one.type in {"file", "machine-learning-model"} and one.name.startswith(LISTED) and bool(one.hashes)
