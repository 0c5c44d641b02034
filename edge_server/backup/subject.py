"""What there is to back up, from a state folder and its settings."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge_server.backup.write import Subject
from edge_server.own_id import own_id
from node.config.load import load


def subject_of(home: Path, edge: str | None = None) -> Subject:
    """edge: the id that it runs by; else what it would run by."""
    settings = load(home).settings
    places = {"edge.database": (settings.edge.database, "edge.db"), "edge.site": (settings.edge.site, "site.toml")}
    return Subject(
        home,
        edge or own_id(settings.device.id, home),
        _version(),
        {key: (Path(text), name) for key, (text, name) in places.items() if _outside(text, home)},
    )


def _outside(text: str, home: Path) -> bool:
    return bool(text) and not Path(text).resolve().is_relative_to(home.resolve())


def _version() -> str:
    try:
        return f"kinflow {version('kinflow')}"
    except PackageNotFoundError:
        return "kinflow"
