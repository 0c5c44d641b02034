"""A package as its own metadata tells of it: installed here, or as wheels in a folder."""

from __future__ import annotations

import csv
import email.message
import email.parser
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from firmware_configs.sbom.requirement import Requirement, normal, parse

# What an installer writes, which differs from machine to machine.
INSTALLERS = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")


@dataclass(frozen=True)
class Bundled:
    """A library that lies inside a wheel, as its maker lists it (PEP 770). licence: SPDX, "" where it is not told."""

    name: str
    version: str
    purl: str
    licence: str


@dataclass(frozen=True)
class Package:
    """name: as it calls itself. licence: License-Expression; license_text: the older License; both "" where missing.
    files: wheels with their SHA-256. record: a digest of all that was installed, "" for a wheel. libraries: whether it
    brings libraries of others in a folder `*.libs`."""

    name: str
    version: str
    requires: tuple[Requirement, ...] = ()
    licence: str = ""
    license_text: str = ""
    classifiers: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    record: str = ""
    bundled: tuple[Bundled, ...] = ()
    libraries: bool = False

    @property
    def key(self) -> str:
        return normal(self.name)


def installed(distribution: Distribution) -> Package:
    """Raises ValueError where its metadata can't be read."""
    # What is installed in place, from a clone, keeps it under its older name.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    message = email.parser.HeaderParser().parsestr(text)
    rows = _rows(distribution.read_text("RECORD") or "")
    lists = [
        (distribution.read_text(name.split(".dist-info/", 1)[1]) or "")
        for name in rows
        if ".dist-info/sboms/" in name and name.endswith(".json")
    ]
    return replace(_described(message, rows, lists), record=_record(rows))


def from_wheel(path: Path, name: str) -> Package:
    """name: what the wheel's place is called in the list. Raises ValueError or OSError."""
    try:
        with zipfile.ZipFile(path) as wheel:
            info = next(one for one in wheel.namelist() if one.endswith(".dist-info/METADATA")).rpartition("/")[0]
            message = email.parser.HeaderParser().parsestr(wheel.read(f"{info}/METADATA").decode("utf-8", "replace"))
            rows = _rows(wheel.read(f"{info}/RECORD").decode("utf-8", "replace"))
            lists = [
                wheel.read(one).decode("utf-8", "replace")
                for one in wheel.namelist()
                if one.startswith(f"{info}/sboms/") and one.endswith(".json")
            ]
    except (zipfile.BadZipFile, KeyError, StopIteration) as error:
        raise ValueError(f"{path.name} is no wheel") from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return replace(_described(message, rows, lists), files=((name, digest),))


def together(packages: Iterable[Package]) -> dict[str, Package]:
    """Wheels of one package for several Pythons are one. Raises ValueError where their versions differ."""
    found: dict[str, Package] = {}
    for one in packages:
        before = found.get(one.key)
        if before is not None and before.version != one.version:
            raise ValueError(f"{one.name} is there as {before.version} and as {one.version}")
        if before is not None:
            requires = tuple(dict.fromkeys((*before.requires, *one.requires)))
            one = replace(before, files=tuple(sorted((*before.files, *one.files))), requires=requires)  # noqa: PLW2901
        found[one.key] = one
    return found


def _described(message: email.message.Message, rows: Mapping[str, str], lists: Iterable[str]) -> Package:
    name, version = message.get("Name"), message.get("Version")
    if not name or not version:
        raise ValueError("a package has no name or no version")
    return Package(
        name=str(name),
        version=str(version),
        requires=tuple(parse(str(one)) for one in message.get_all("Requires-Dist") or ()),
        licence=str(message.get("License-Expression") or ""),
        license_text=str(message.get("License") or ""),
        classifiers=tuple(str(one) for one in message.get_all("Classifier") or ()),
        bundled=_sorted(one for text in lists for one in _bundled(text, str(name))),
        libraries=any(part.endswith(".libs") for row in rows for part in row.split("/")[:1]),
    )


def _rows(record: str) -> dict[str, str]:
    return {row[0]: row[1] for row in csv.reader(io.StringIO(record)) if len(row) >= 2}


def _record(rows: Mapping[str, str]) -> str:
    """Over what came in the wheel: each path with the hash that pip has checked it by."""
    kept = sorted(
        f"{digest}  {path}"
        for path, digest in rows.items()
        if digest and not path.startswith("..") and path.rpartition("/")[2] not in INSTALLERS and path[-4:] != ".pyc"
    )
    return hashlib.sha256("\n".join(kept).encode()).hexdigest() if kept else ""


def _sorted(found: Iterable[Bundled]) -> tuple[Bundled, ...]:
    """Each once: two lists may tell of the same library, and one of them no licence."""
    by_name: dict[tuple[str, str, str], Bundled] = {}
    for one in found:
        key = (one.name, one.version, one.purl)
        by_name[key] = one if one.licence or key not in by_name else by_name[key]
    return tuple(by_name[key] for key in sorted(by_name))


def _bundled(text: str, owner: str) -> list[Bundled]:
    """What others list is taken as far as it can be read, and no further. What is optional need not be in it."""
    try:
        return [
            Bundled(str(one["name"]), str(one.get("version", "")), str(one.get("purl", "")), _licence(one))
            for one in json.loads(text)["components"]
            if normal(str(one["name"])) != normal(owner) and one.get("scope", "required") == "required"
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _licence(component: dict[str, Any]) -> str:
    said = [
        one.get("expression") or one.get("license", {}).get("id") or one.get("license", {}).get("name")
        for one in component.get("licenses", ())
    ]
    return " AND ".join(f"({one})" if " " in one else str(one) for one in said if one)
