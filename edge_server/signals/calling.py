"""Which phases are called for by what is seen."""

from __future__ import annotations

from edge_server.signals.layout import Layout
from edge_server.signals.sight import Sight, Sights
from protocol.ids import PhaseId

# From this many vehicles on, a lane calls for the phases that serve it.
CALLING_VEHICLES = 1.0
NEVER = Sight(seen_ms=0)


def wanted_phases(layout: Layout, sights: Sights, now_ms: int) -> frozenset[PhaseId]:
    """Phases whose lanes hold a vehicle or more, or may: an unseen lane is taken as calling."""
    wanted: set[PhaseId] = set()
    for approach in layout.approaches:
        sight = sights.get(approach.id, NEVER)
        for position, lane in enumerate(approach.lanes):
            if not lane.phases <= wanted and sight.mean(position, lane, now_ms) >= CALLING_VEHICLES:
                wanted |= lane.phases
    return frozenset(wanted)
