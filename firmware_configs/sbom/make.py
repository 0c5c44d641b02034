"""The list itself: of what is installed here, or of a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from firmware_configs.errors import LicenceRefused, SbomNotMade
from firmware_configs.sbom import contents, licences
from firmware_configs.sbom.cyclonedx import (
    Bom,
    Component,
    Dependency,
    Hash,
    Licence,
    LicenceChoice,
    Metadata,
    Property,
    Reference,
    Tools,
    bom,
)
from firmware_configs.sbom.graph import needs
from firmware_configs.sbom.licences import Found, Table
from firmware_configs.sbom.package import Package, from_wheel, installed, together
from firmware_configs.sbom.requirement import Requirement, here, normal, on, parse
from firmware_configs.sbom.spdx import KNOWN

OWN = "kinflow"
TIERS = ("agent", "edge", "cloud")


@dataclass(frozen=True)
class Made:
    """How a bundle is made. machine: as the kernel names it. needed: what its wheels were fetched for."""

    tree: Path
    tiers: Sequence[str]
    machine: str
    pythons: Sequence[str]
    needed: Sequence[str]


@dataclass(frozen=True)
class Parts:
    """What a list is made of. graph: who needs whom, Kinflow's own needs under ""."""

    version: str
    extras: tuple[str, ...]
    packages: Mapping[str, Package]
    graph: Mapping[str, set[str]]
    more: tuple[Component, ...]
    pins: Mapping[str, str]
    own_files: tuple[tuple[str, str], ...] = ()


def of_this_environment(extras: Sequence[str] | None = None, tree: Path = contents.TREE) -> tuple[Bom, Parts]:
    """extras: those of Kinflow that are asked for; None: each tier whose packages are installed.

    Raises SbomNotMade (KF250)."""
    table = licences.load()
    try:
        project = contents.project(tree)
        there = {normal(one.name): one for one in distributions()}
        if extras is None:
            extras = [
                one for one in TIERS if one in project.extras and all(n.name in there for n in project.extras[one])
            ]
        packages = _installed(project.needed(extras), there)
        graph = needs(project.needed(extras), packages, [here()])
        more = (*contents.vendored(table, tree), *contents.tracked_weights(tree))
    except (OSError, ValueError) as error:
        raise SbomNotMade(detail=str(error)) from error
    kept = {key: packages[key] for key in graph if key}
    parts = Parts(project.version, tuple(sorted(extras)), kept, graph, more, project.pins)
    return list_of(parts, table, contents.time_of(tree)), parts


def of_bundle(folder: Path, made: Made) -> Bom:
    """Of the wheels, models and maps that lie in a bundle's folder now.

    Raises SbomNotMade (KF250), and LicenceRefused (KF251) for what must not be handed out."""
    table = licences.load()
    try:
        project = contents.project(made.tree)
        wheels = sorted((folder / "wheels").rglob("*.whl"))
        packages = together(from_wheel(one, str(one.relative_to(folder))) for one in wheels)
        own = packages.pop(OWN, None)
        roots = [parse(one) for one in made.needed]
        roots += [parse(one) for one in ("pip", "llama-cpp-python") if one in packages]
        graph = needs(roots, packages, [on(one, made.machine) for one in made.pythons])
        more = [*contents.vendored(table, made.tree)]
        for name in ("models", "maps"):
            more += contents.weights(folder / name, name)
    except (OSError, ValueError) as error:
        raise SbomNotMade(detail=str(error)) from error
    files = own.files if own else ()
    parts = Parts(project.version, tuple(sorted(made.tiers)), packages, graph, tuple(more), project.pins, files)
    require_fit(parts, table)
    return list_of(parts, table, contents.time_of(made.tree))


def require_fit(parts: Parts, table: Table) -> None:
    """Raises LicenceRefused (KF251)."""
    for name, why in licences.refusals(parts.packages, frozenset(parts.extras), table).items():
        raise LicenceRefused(package=name, detail=why)


def list_of(parts: Parts, table: Table, timestamp: str | None) -> Bom:
    components = [*(_component(one, table, parts.pins) for one in parts.packages.values()), *parts.more]
    components.sort(key=lambda one: one.bom_ref)
    refs = {key: _purl(one) for key, one in parts.packages.items()}
    dependencies = [
        Dependency(ref=refs[key], depends_on=tuple(sorted(refs[one] for one in parts.graph.get(key, ()))))
        for key in parts.packages
    ]
    direct = sorted({*(refs[one] for one in parts.graph[""]), *(one.bom_ref for one in parts.more)})
    dependencies += [Dependency(ref=one.bom_ref, depends_on=()) for one in parts.more]
    dependencies.append(Dependency(ref=OWN, depends_on=tuple(direct)))
    own = Component(
        type="application",
        name=OWN,
        version=parts.version,
        bom_ref=OWN,
        licenses=_choice(Found("Apache-2.0", "declared")),
        purl=f"pkg:generic/{OWN}@{parts.version}",
        external_references=_wheels(parts.own_files),
    )
    metadata = Metadata(
        component=own,
        tools=Tools(components=(Component(type="application", name=OWN, version=parts.version, bom_ref="tool"),)),
        timestamp=timestamp,
        properties=tuple(Property(name="kinflow:extra", value=one) for one in parts.extras),
    )
    return bom(metadata, tuple(components), tuple(sorted(dependencies, key=lambda one: one.ref)))


def _installed(direct: Iterable[Requirement], there: Mapping[str, object]) -> dict[str, Package]:
    """Those that may be needed: metadata is read of no others."""
    found: dict[str, Package] = {}
    queue = [one.name for one in direct]
    while queue:
        key = queue.pop()
        if key in found or key not in there:
            continue
        found[key] = installed(there[key])  # type: ignore[arg-type]
        queue += [one.name for one in found[key].requires]
    return found


def _component(one: Package, table: Table, pins: Mapping[str, str]) -> Component:
    found = licences.licence_of(one, table)
    reviewed = table.packages.get(one.key)
    told = {"kinflow:record-sha256": one.record}
    if pins.get(one.key, one.version) != one.version:
        told["kinflow:pinned"] = pins[one.key]
    if reviewed is not None:
        told |= {"kinflow:licence-read": reviewed.reason, "kinflow:licence-accepted": reviewed.accepted}
    return Component(
        type="library",
        name=one.name,
        version=one.version,
        bom_ref=_purl(one),
        licenses=_choice(found),
        purl=_purl(one),
        hashes=(Hash(content=one.files[0][1]),) if len(one.files) == 1 else (),
        external_references=_wheels(one.files),
        components=tuple(
            Component(
                type="library",
                name=inner.name,
                version=inner.version,
                bom_ref=f"{_purl(one)}#{inner.purl or f'{inner.name}@{inner.version}'}",
                licenses=_choice(Found(inner.licence, "declared")),
                purl=inner.purl,
            )
            for inner in one.bundled
        ),
        properties=tuple(Property(name=name, value=text) for name, text in told.items() if text),
    )


def _purl(one: Package) -> str:
    return f"pkg:pypi/{one.key}@{one.version}"


def _wheels(files: Iterable[tuple[str, str]]) -> tuple[Reference, ...]:
    return tuple(Reference(type="distribution", url=url, hashes=(Hash(content=digest),)) for url, digest in files)


def _choice(found: Found) -> tuple[LicenceChoice, ...]:
    if not found.expression:
        return ()
    if found.expression in KNOWN and " " not in found.expression:
        return (LicenceChoice(license=Licence(id=found.expression, acknowledgement=found.acknowledgement)),)
    return (LicenceChoice(expression=found.expression, acknowledgement=found.acknowledgement),)
