"""A scenario file of somebody else's: what SUMO is told, so that it runs as given and writes nothing beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from sim_devices.errors import ScenarioUnreadable

# Options that write a file and don't end in -output.
_WRITERS = {
    "summary",
    "vehroutes",
    "netstate",
    "netstate-dump",
    "log",
    "message-log",
    "error-log",
    "save-configuration",
}
_OWN = {"tripinfo", "tripinfo-output"}
_READ = ("net-file", "route-files", "additional-files", "n", "r", "a", "net", "routes", "additional")


def arguments(config: Path) -> tuple[str, ...]:
    """Raises ScenarioUnreadable (KF343)."""
    found = ["--configuration-file", str(config)]
    for name, _ in _options(config):
        if (name.endswith("-output") or name in _WRITERS) and name not in _OWN:
            found += [f"--{name}", "/dev/null"]
    return tuple(found)


def fingerprint(config: Path) -> str:
    """Of the configuration, its net, routes and additional files: two scenarios with one fingerprint are the same."""
    digest = hashlib.sha256(config.read_bytes())
    for name, value in _options(config):
        if name in _READ:
            for part in value.split(","):
                path = config.parent / part.strip()
                digest.update(path.read_bytes() if path.is_file() else part.encode())
    return digest.hexdigest()[:16]


def _options(config: Path) -> Iterator[tuple[str, str]]:
    try:
        root = ElementTree.parse(config).getroot()  # noqa: S314 - a file that the person names, read for its options
    except (OSError, ElementTree.ParseError) as error:
        raise ScenarioUnreadable(path=config, detail=str(error)[:300]) from error
    for element in root.iter():
        value = element.get("value", element.get("v"))
        if value is not None:
            yield element.tag, value
