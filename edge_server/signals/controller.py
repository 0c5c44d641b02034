"""The controller port: what proposes a stage. A controller is one file in `controllers/`, named after its slug."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from edge_server.errors import SignalControlUnknown
from edge_server.signals import controllers
from edge_server.signals.layout import Layout
from edge_server.signals.sight import Sights
from edge_server.signals.view import View
from protocol.ids import StageId


@dataclass(frozen=True)
class Decision:
    """A proposal, no more: the safety check decides what is sent."""

    stage: StageId
    reason: str


class Decide(Protocol):
    """A pure function. sights: every approach of the site that has been seen, downstream ones included. view: what the
    controller shows. now_ms: the edge's monotonic clock."""

    def __call__(self, layout: Layout, sights: Sights, view: View, now_ms: int) -> Decision: ...


def slugs() -> tuple[str, ...]:
    """Every controller there is: `max-pressure` is `controllers/max_pressure.py`."""
    return tuple(sorted(one.name.replace("_", "-") for one in pkgutil.iter_modules(controllers.__path__)))


def controller(slug: str) -> Decide:
    """The controller of that name. Raises SignalControlUnknown (KF87)."""
    if slug not in slugs():
        raise SignalControlUnknown(slug=slug, known=", ".join(slugs()))
    decide: Decide = import_module(f"{controllers.__name__}.{slug.replace('-', '_')}").decide
    return decide
