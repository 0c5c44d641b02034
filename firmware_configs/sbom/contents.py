"""What a list says of Kinflow's own tree: its needs, its pins, the browser libraries and weights in it, its time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from firmware_configs.sbom.cyclonedx import Component, Hash, Licence, LicenceChoice, Reference
from firmware_configs.sbom.licences import Table
from firmware_configs.sbom.requirement import Requirement, normal, parse

TREE = Path(__file__).resolve().parents[2]
VENDOR = Path("edge_server") / "dashboard" / "vendor"
WEIGHTS = frozenset({".gguf", ".npz", ".onnx", ".pt", ".safetensors", ".tflite"})


@dataclass(frozen=True)
class Project:
    """extras: what each adds. pins: exact versions by package, where the tree has them."""

    version: str
    direct: tuple[Requirement, ...]
    extras: dict[str, tuple[Requirement, ...]]
    pins: dict[str, str]

    def needed(self, extras: Iterable[str]) -> tuple[Requirement, ...]:
        return (*self.direct, *(one for extra in extras for one in self.extras[extra]))


def project(tree: Path = TREE) -> Project:
    """From a clone's pyproject.toml and constraints.txt; without one, from what is installed. Raises ValueError."""
    if (tree / "pyproject.toml").is_file():
        read = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]
        extras = {
            normal(name): tuple(parse(line) for line in lines)
            for name, lines in read.get("optional-dependencies", {}).items()
        }
        return Project(str(read["version"]), tuple(parse(one) for one in read["dependencies"]), extras, _pins(tree))
    try:
        own = distribution("kinflow")
    except PackageNotFoundError as error:
        raise ValueError("Kinflow itself is not installed") from error
    names = [normal(one) for one in own.metadata.get_all("Provides-Extra") or ()]
    lines = [parse(one) for one in own.requires or ()]
    by_extra = {
        name: tuple(Requirement(one.name, one.extras, "") for one in lines if one.marker and _is_of(one, name))
        for name in names
    }
    return Project(own.version, tuple(one for one in lines if not one.marker), by_extra, {})


def _is_of(one: Requirement, extra: str) -> bool:
    return one.holds({}, frozenset({extra}))


def _pins(tree: Path) -> dict[str, str]:
    path = tree / "constraints.txt"
    lines = path.read_text("utf-8").split() if path.is_file() else []
    return {normal(name): version for name, _, version in (line.partition("==") for line in lines) if version}


def vendored(table: Table, tree: Path = TREE) -> Iterator[Component]:
    """The browser libraries, each with its files as they lie there. Raises ValueError where the table lacks one."""
    there = {one.name for one in (tree / VENDOR).iterdir() if one.is_dir()} if (tree / VENDOR).is_dir() else set()
    if unknown := there - {one.folder for one in table.vendored.values()}:
        raise ValueError(f"{VENDOR / min(unknown)} is not in licences.toml")
    for name, one in sorted(table.vendored.items()):
        if one.folder not in there:
            continue
        files = tuple(
            _file(path, str(path.relative_to(tree)), f"{one.purl}#") for path in _files(tree / VENDOR / one.folder)
        )
        yield Component(
            type="library",
            name=name,
            version=one.version,
            bom_ref=one.purl,
            licenses=(LicenceChoice(license=Licence(id=one.licence, acknowledgement="concluded")),),
            purl=one.purl,
            external_references=(Reference(type="website", url=one.website),),
            components=files,
        )


def weights(folder: Path, called: str) -> Iterator[Component]:
    """Weights and whatever lies beside them, such as their cards. called: what the folder is called in the list."""
    for path in _files(folder):
        name = f"{called}/{path.relative_to(folder)}"
        kind = "machine-learning-model" if path.suffix in WEIGHTS else "file"
        yield Component(type=kind, name=name, bom_ref=f"kinflow#{name}", hashes=(Hash(content=_digest(path)),))


def tracked_weights(tree: Path = TREE) -> Iterator[Component]:
    """Those in the package `models`, with the cards in the same folders and what is called as they are (manifests)."""
    files = [one for one in _files(tree / "models") if one.suffix in WEIGHTS]
    stems = {one.stem for one in files}
    for folder in sorted({one.parent for one in files}):
        for one in weights(folder, str(folder.relative_to(tree))):
            path = Path(one.name)
            if path.stem in stems or "card" in path.name:
                yield one


def time_of(tree: Path = TREE) -> str | None:
    """SOURCE_DATE_EPOCH, else when the tree was committed, as ISO 8601 in UTC; None where nobody knows."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not given and (tree / ".git").exists():
        command = ["git", "-C", str(tree), "log", "-1", "--format=%ct"]
        try:
            given = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None
    return f"{datetime.fromtimestamp(int(given), UTC):%Y-%m-%dT%H:%M:%SZ}" if given.isdecimal() else None


def _file(path: Path, name: str, before: str) -> Component:
    return Component(type="file", name=name, bom_ref=before + name, hashes=(Hash(content=_digest(path)),))


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
