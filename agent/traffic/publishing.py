"""When an observation is due: twice a second, and at once when what it says changes."""

from __future__ import annotations

from dataclasses import dataclass

from agent.traffic.pipeline import View
from protocol.messages.observation import EmergencyState, Problem, Status
from protocol.units import Congestion

EVERY_MS = 500


@dataclass(frozen=True)
class Said:
    """What was last published, as far as a change of it must not wait."""

    at_ms: int
    status: Status
    congestion: Congestion | None
    problems: tuple[Problem, ...]
    emergency: EmergencyState


def due(said: Said | None, view: View, emergency: EmergencyState, now_ms: int) -> Said | None:
    """What `said` becomes when this view is to be published now; None when it can wait."""
    now = Said(now_ms, view.status, view.reading.congestion, view.quality.problems, emergency)
    if said is None or now_ms - said.at_ms >= EVERY_MS:
        return now
    same = (said.status, said.congestion, said.problems, said.emergency) == (
        now.status,
        now.congestion,
        now.problems,
        now.emergency,
    )
    return None if same else now
