"""What the edge knows of a signal controller: its latest heartbeat, made ready for deciding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.ids import PhaseId
from protocol.messages import Heartbeat, PhaseState

SERVING = ("green", "walk")


@dataclass(frozen=True)
class View:
    """heard_ms: the edge's monotonic clock when the heartbeat came in. serving: phases that show green or walk.
    called_ms: since when somebody waits for a phase, on the edge's clock."""

    heartbeat: Heartbeat
    heard_ms: int
    shown: Mapping[PhaseId, PhaseState]
    serving: frozenset[PhaseId]
    target: frozenset[PhaseId]
    called_ms: Mapping[PhaseId, int]

    @classmethod
    def of(cls, heartbeat: Heartbeat, heard_ms: int) -> View:
        return cls(
            heartbeat=heartbeat,
            heard_ms=heard_ms,
            shown={state.phase: state for state in heartbeat.phases},
            serving=frozenset(state.phase for state in heartbeat.phases if state.aspect in SERVING),
            target=frozenset(heartbeat.target),
            called_ms={phase: heard_ms - since_ms for phase, since_ms in heartbeat.calls},
        )

    def shown_ms(self, phase: PhaseId, now_ms: int) -> int:
        """For how long a phase has shown its aspect, at least: the heartbeat's way here is not counted."""
        return self.shown[phase].elapsed_ms + now_ms - self.heard_ms
