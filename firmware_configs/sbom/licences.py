"""Under which licence a package is, and whether it may be in what we hand out. licences.toml holds what was read by
people, each with its reason."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from firmware_configs.sbom import spdx
from firmware_configs.sbom.cyclonedx import Acknowledgement
from firmware_configs.sbom.package import Package
from firmware_configs.sbom.requirement import normal

TABLE = Path(__file__).with_name("licences.toml")

# Of the classifiers, those that mean one licence. "BSD License" means several, and "Public Domain" none.
CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "License :: OSI Approved :: GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "License :: OSI Approved :: GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "License :: OSI Approved :: GNU Affero General Public License v3": "AGPL-3.0-only",
}


class Reviewed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """licence: where the package itself says it not at all, not plainly, or not of all that its wheel holds; reason:
    what was read. accepted: why copyleft that ends at its own library is fit here; only: the extra that it is for."""

    licence: str = ""
    reason: str = ""
    accepted: str = ""
    only: str = ""


class Vendored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A browser library that lies in the tree: folder, in edge_server/dashboard/vendor."""

    folder: str
    version: str
    licence: str
    purl: str
    website: str


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    packages: dict[str, Reviewed]
    vendored: dict[str, Vendored]


@dataclass(frozen=True)
class Found:
    """expression: SPDX, or "" where nobody knows."""

    expression: str
    acknowledgement: Acknowledgement


def load(path: Path = TABLE) -> Table:
    """Raises msgspec.ValidationError."""
    table = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Table)
    return msgspec.structs.replace(table, packages={normal(name): one for name, one in table.packages.items()})


def licence_of(package: Package, table: Table) -> Found:
    reviewed = table.packages.get(package.key)
    if reviewed is not None and reviewed.licence:
        return Found(reviewed.licence, "concluded")
    if package.licence:
        return Found(package.licence, "declared")
    said = {CLASSIFIERS[one] for one in package.classifiers if one in CLASSIFIERS}
    if said:
        return Found(" AND ".join(sorted(said)), "declared")
    text = package.license_text.strip()
    return Found(text if text in spdx.KNOWN else "", "declared")


def refusals(packages: Mapping[str, Package], extras: frozenset[str], table: Table) -> dict[str, str]:
    """Packages that must not be handed out together as these extras, and why not. What lies inside a wheel is judged
    where its maker tells a licence of it."""
    found = {}
    for key, one in packages.items():
        reviewed = table.packages.get(key, Reviewed())
        inside = {f"{inner.name} in it: ": inner.licence for inner in one.bundled if inner.licence}
        for where, expression in {"": licence_of(one, table).expression, **inside}.items():
            if why := refusal(expression, reviewed, extras):
                found[f"{one.name} {one.version}"] = where + why
    return found


def refusal(expression: str, reviewed: Reviewed, extras: frozenset[str]) -> str:
    """Why a licence is not fit; "" where it is."""
    if not expression:
        return "its licence is unknown"
    try:
        tree = spdx.parse(expression)
    except ValueError as error:
        return str(error)
    weak = bool(reviewed.accepted) and (not reviewed.only or reviewed.only in extras)
    wrong = spdx.refused(tree, lambda one: one in spdx.PERMISSIVE or (weak and one in spdx.WEAK))
    return f"its licence is {', '.join(sorted(wrong))}" if wrong else ""
