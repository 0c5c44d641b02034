"""A line of Requires-Dist: whom it names, and for which machine it holds. Versions are left out: they are pinned."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement as Line
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Requirement:
    """name: normalised. marker: "" where it always holds."""

    name: str
    extras: frozenset[str]
    marker: str

    def holds(self, environment: Mapping[str, str], extras: frozenset[str]) -> bool:
        """Whether it holds there, for somebody who asked for these extras. Raises ValueError."""
        if not self.marker:
            return True
        marker = Marker(self.marker)
        try:
            return any(marker.evaluate({**environment, "extra": one}) for one in (extras or {""}))
        except (UndefinedComparison, UndefinedEnvironmentName) as error:
            raise ValueError(str(error)) from error


def normal(name: str) -> str:
    return canonicalize_name(name)


def parse(line: str) -> Requirement:
    """Raises ValueError."""
    found = Line(line)
    return Requirement(
        normal(found.name), frozenset(normal(one) for one in found.extras), str(found.marker) if found.marker else ""
    )


def here() -> dict[str, str]:
    return on(".".join(platform.python_version_tuple()[:2]), platform.machine(), sys.platform)


def on(python: str, machine: str, system: str = "linux") -> dict[str, str]:
    """A machine with that minor version of CPython."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "os_name": "posix" if system != "win32" else "nt",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}.get(system, system),
        "platform_machine": machine,
        "platform_release": "",
        "platform_version": "",
    }
