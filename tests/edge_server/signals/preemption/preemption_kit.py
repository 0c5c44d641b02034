"""A crossing with short terms, and a teller of events for it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from edge_server.signals.preemption.events import (
    Answer,
    Cancel,
    Effect,
    Happening,
    Observed,
    Renew,
    Request,
    Tick,
)
from edge_server.signals.preemption.machine import step
from edge_server.signals.preemption.state import State
from edge_server.signals.preemption.terms import Terms
from protocol.preemption import PreemptionRules
from tests.edge_server.signals.signal_sites import crossing

NORTH, EAST, SOUTH = "north-n", "north-e", "north-s"
RULES = PreemptionRules(
    renew_s=5,
    cap_s=60,
    run_s=90,
    lead_s=30,
    lockout_s=10,
    recovery_s=40,
    priority_cap_s=15,
    priority_lead_s=15,
    queue=3,
)


def terms(**changes: Any) -> Terms:
    camera_preempts = changes.pop("camera_preempts", False)
    return replace(Terms.of(crossing(), RULES), camera_preempts=camera_preempts, **changes)


class Story:
    """Tells events to the machine one after another, and keeps what came of each."""

    def __init__(self, **changes: Any) -> None:
        self.state = State(terms(**changes))
        self.at_ms = 1_000_000
        self.events: list[Happening] = []
        self.effects: list[Effect] = []
        self._sequences: dict[str, int] = {}

    def tell(self, event: Happening) -> tuple[Effect, ...]:
        self.events.append(event)
        self.state, effects = step(self.state, event)
        self.effects += effects
        return effects

    def ask(self, vehicle: str = "ambulance-1", approach: str = NORTH, **fields: Any) -> Answer:
        """A request, or its renewal; returns the answer to it."""
        kind = Renew if self.state.claim_of(vehicle) else Request
        fields = {"role": vehicle.rpartition("-")[0], "evidence": ("beacons",), **fields}
        if "sequence" not in fields:
            fields["sequence"] = self._sequences[vehicle] = self._sequences.get(vehicle, 0) + 1
        event = kind(at_ms=self.at_ms, vehicle=vehicle, approach=approach, **fields)
        return _answer(self.tell(event), vehicle)

    def cancel(self, vehicle: str = "ambulance-1", **fields: Any) -> Answer:
        if "sequence" not in fields:
            fields["sequence"] = self._sequences[vehicle] = self._sequences.get(vehicle, 0) + 1
        return _answer(self.tell(Cancel(at_ms=self.at_ms, vehicle=vehicle, **fields)), vehicle)

    def observe(self, approach: str = NORTH, asks: bool = True) -> None:
        self.tell(Observed(at_ms=self.at_ms, approach=approach, asks=asks))

    def wait(self, seconds: float, **tick: Any) -> list[Effect]:
        """Ticks, twice a second."""
        found: list[Effect] = []
        for _ in range(round(seconds * 2)):
            self.at_ms += 500
            found += self.tell(Tick(at_ms=self.at_ms, **tick))
        return found

    def hold(self, seconds: float, *vehicles: tuple[str, str], **tick: Any) -> None:
        """Time passes while these (vehicle, approach) renew each second."""
        for _ in range(round(seconds)):
            for vehicle, approach in vehicles:
                self.ask(vehicle, approach)
            self.wait(1, **tick)

    @property
    def holder(self) -> str | None:
        return self.state.holder.vehicle if self.state.holder is not None else None


def _answer(effects: tuple[Effect, ...], vehicle: str) -> Answer:
    return [one for one in effects if isinstance(one, Answer) and one.vehicle == vehicle][-1]
