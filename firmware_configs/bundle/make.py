"""Lay a bundle out as a folder, list it, and pack it as the one tar that is signed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from firmware_configs.bundle import llama, wheels
from firmware_configs.bundle.target import Target
from firmware_configs.errors import BundleNotMade
from firmware_configs.sbom.cyclonedx import encode as encode_list
from firmware_configs.sbom.fits import NAME as LIST
from firmware_configs.sbom.make import Made, of_bundle
from node.update.bundle import MANIFEST, Manifest, describe, encode, pack

SYSTEM = Path("firmware_configs") / "system"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """tree: a clone of Kinflow. models, maps: folders whose content is taken along, or None. created: seconds since
    1970, which alone keeps two bundles of one tree from being the same."""

    target: Target
    tree: Path
    tiers: Sequence[str]
    pythons: Sequence[str]
    created_s: int
    llama: bool = True
    models: Path | None = None
    maps: Path | None = None


def make(order: Order, out: Path, say: Say) -> tuple[Path, Manifest]:
    """Write `kinflow-<version>-<arch>/`, and beside it the tar and the list of its contents, into `out`; what was there
    is replaced once the new one is whole. Returns the tar. Raises WheelsMissing (KF247), LibraryNotBuilt (KF248),
    BundleNotMade (KF249), SbomNotMade (KF250) or LicenceRefused (KF251)."""
    if not (order.tree / "pyproject.toml").is_file() or not (order.tree / "install.sh").is_file():
        raise BundleNotMade(detail=f"{order.tree} is no clone of Kinflow")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".kinflow-bundle-", dir=out) as name:
            folder = Path(name) / "bundle"
            _fill(order, folder, say)
            say("packing")
            return _finish(order, folder, out)
    except OSError as error:
        raise BundleNotMade(detail=f"{error.filename or out}: {error.strerror or error}") from error


def _fill(order: Order, folder: Path, say: Say) -> None:
    place = folder / "wheels"
    place.mkdir(parents=True)
    needed = wheels.requirements(order.tree, order.tiers, llama=order.llama)
    for python in order.pythons:
        say(f"fetching wheels for {order.target.arch}, Python {python}")
        wheels.fetch(place, needed, order.tree, order.target, python)
    say("building Kinflow's own wheel")
    wheels.build_own(place, order.tree)
    if order.llama:
        for variant, wheel in llama.wheels_of(order.target, llama.cache_folder(), say).items():
            (place / "llama" / variant).mkdir(parents=True)
            shutil.copy(wheel, place / "llama" / variant)
    lay_out_installer(order.tree, folder)
    for name, source in (("models", order.models), ("maps", order.maps)):
        if source is not None:
            shutil.copytree(source, folder / name)
    say("listing what it is made of")
    made = Made(order.tree, order.tiers, order.target.machine, order.pythons, needed)
    (folder / LIST).write_bytes(encode_list(of_bundle(folder, made)))


def lay_out_installer(tree: Path, folder: Path) -> None:
    """install.sh and what it sources, as it finds them in a bundle."""
    shutil.copy(tree / "install.sh", folder)
    shutil.copytree(tree / SYSTEM, folder / "system", ignore=shutil.ignore_patterns("__pycache__"))


def _finish(order: Order, folder: Path, out: Path) -> tuple[Path, Manifest]:
    created = datetime.fromtimestamp(order.created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    version = wheels.version_of(order.tree)
    # Modes are part of the tar: only whether a file can be run is kept of them.
    manifest = describe(folder, version, order.target.arch, created, tuple(order.pythons))
    (folder / MANIFEST).write_bytes(encode(manifest))
    final, tar = out / manifest.name, out / f"{manifest.name}.tar"
    if final.exists():
        os.rename(final, folder.parent / "old")
    os.rename(folder, final)
    shutil.copy(final / LIST, out / f"{manifest.name}.cdx.json")
    return tar, pack(final, tar)
