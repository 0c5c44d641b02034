"""Who needs whom among packages, on given machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from firmware_configs.sbom.package import Package
from firmware_configs.sbom.requirement import Requirement

Environments = Sequence[Mapping[str, str]]


def needs(
    direct: Iterable[Requirement], packages: Mapping[str, Package], environments: Environments
) -> dict[str, set[str]]:
    """Each package that is needed, however indirectly, and whom it needs itself; Kinflow's own needs stand under "".

    A package's extras count for it as soon as anybody asks for them. Raises ValueError when one is not there.
    """
    found: dict[str, set[str]] = {"": set()}
    asked: dict[str, frozenset[str]] = {}
    queue: list[tuple[str, Requirement]] = [("", one) for one in direct if _holds(one, environments, frozenset())]
    while queue:
        asker, wanted = queue.pop()
        found[asker].add(wanted.name)
        package = packages.get(wanted.name)
        if package is None:
            raise ValueError(f"{wanted.name}, which {asker or 'Kinflow'} needs, is not there")
        known = asked.get(wanted.name)
        extras = (known or frozenset()) | wanted.extras
        if known is not None and extras == known:
            continue
        asked[wanted.name] = extras
        found.setdefault(wanted.name, set())
        queue += [(wanted.name, one) for one in package.requires if _holds(one, environments, extras)]
    return found


def _holds(one: Requirement, environments: Environments, extras: frozenset[str]) -> bool:
    return any(one.holds(environment, extras) for environment in environments)
