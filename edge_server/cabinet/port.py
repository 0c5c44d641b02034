"""The port of a cabinet: what a gateway asks of the signal controller that stands at an intersection.

An adapter says what the lamps show and passes on what a lease asks for; who may ask, for how long, and what is told of
it is the gateway's (edge_server.cabinet.gateway), the same for all. Adapters: NTCIP 1202 (edge_server.cabinet.ntcip), a
recorder in front of any other (edge_server.cabinet.recorder), SUMO (sim_devices.sumo.cabinet).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from protocol.ids import PhaseId
from protocol.messages.heartbeat import Aspect

SERVING: tuple[Aspect, ...] = ("green", "walk")


@dataclass(frozen=True)
class Reading:
    """One look at a cabinet. aspects: what each phase of the site shows. calls: phases that somebody waits for. flash:
    why it is in flash, or what its lamps show makes no sense; None in normal operation. unfit: why it takes no command
    now; None when it does. running: what else it says of itself, for people."""

    aspects: Mapping[PhaseId, Aspect]
    calls: frozenset[PhaseId] = frozenset()
    flash: str | None = None
    unfit: str | None = None
    running: str = ""

    @property
    def serving(self) -> frozenset[PhaseId]:
        return frozenset(phase for phase, aspect in self.aspects.items() if aspect in SERVING)


@dataclass(frozen=True)
class Wish:
    """What a lease asks for: these phases, and nothing that conflicts with them. deciding: who decided it, as a signal
    command names it (`preemption` for a vehicle's lease)."""

    phases: frozenset[PhaseId]
    deciding: str = ""


class Cabinet(Protocol):
    """Each method may block for a second or two, and raises a KinflowError when the cabinet can't be reached or says
    no. Called from one thread at a time."""

    def look(self) -> Reading:
        """What it shows now. Never changes anything."""
        ...

    def serve(self, wish: Wish, reading: Reading) -> None:
        """Ask for it. Called after each look while a lease is held, and at once when the wish changes. Whatever keeps
        the cabinet from staying that way once nobody asks any more is the adapter's to arrange before it asks."""
        ...

    def let_go(self) -> None:
        """Ask for nothing any more: it is back on its own plan."""
        ...

    def close(self) -> None: ...
