"""What may speak before the controller of an intersection does: pre-emption and priority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge_server.signals.layout import Layout
from edge_server.signals.safety import Proposal
from edge_server.signals.view import View
from protocol.ids import PhaseId


@dataclass(frozen=True)
class Guidance:
    """proposal: in the controller's place, None for the controller's own. calls: phases to be taken as called.
    stands_back: command nothing, because something outranks this edge server."""

    proposal: Proposal | None = None
    calls: frozenset[PhaseId] = frozenset()
    stands_back: bool = False


NO_GUIDANCE = Guidance()


class Guide(Protocol):
    """Asked with each decision, and also while the controller is not heard (view is None). called: the phases that
    vehicles are seen to wait for. now_ms: the edge's monotonic clock."""

    def look(self, layout: Layout, view: View | None, called: frozenset[PhaseId], now_ms: int) -> Guidance: ...


class NoGuide:
    def look(
        self,
        layout: Layout,  # noqa: ARG002 (the port's shape)
        view: View | None,  # noqa: ARG002
        called: frozenset[PhaseId],  # noqa: ARG002
        now_ms: int,  # noqa: ARG002
    ) -> Guidance:
        return NO_GUIDANCE
