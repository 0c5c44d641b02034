"""What was counted while a real controller was shadowed, in figures that can be added up."""

from __future__ import annotations

import re

from msgspec import Struct, field

from protocol.ids import PhaseId

REASONS = 20


class Side(Struct, kw_only=True):
    """One of the two controllers. greens: how often each phase began; cycle_ms, cycles: from one beginning of a vehicle
    phase to its next. queue_vehicle_ms: vehicles in the modelled queues, times how long. passed: vehicles."""

    green_ms: dict[PhaseId, int] = field(default_factory=dict)
    greens: dict[PhaseId, int] = field(default_factory=dict)
    cycle_ms: int = 0
    cycles: int = 0
    queue_vehicle_ms: float = 0.0
    passed: float = 0.0

    def add(self, other: Side) -> None:
        for phase, ms in other.green_ms.items():
            self.green_ms[phase] = self.green_ms.get(phase, 0) + ms
        for phase, count in other.greens.items():
            self.greens[phase] = self.greens.get(phase, 0) + count
        self.cycle_ms += other.cycle_ms
        self.cycles += other.cycles
        self.queue_vehicle_ms += other.queue_vehicle_ms
        self.passed += other.passed


class Tally(Struct, kw_only=True):
    """compared_ms: the time that is compared. agreed_ms: while ours would have commanded what the real controller
    showed or headed for. overruled: how often the safety check put something else in the place of what ours wanted, by
    its reason without numbers. would_grant: leases of pre-emption and priority. lane_ms, seen_lane_ms: of all lanes,
    and of those that a camera saw. standing_vehicle_ms, standing_model_ms: vehicles that were seen to stand, and the
    real side's modelled queue on the same lanes."""

    compared_ms: int = 0
    agreed_ms: int = 0
    overruled_ms: int = 0
    overruled: dict[str, int] = field(default_factory=dict)
    would_grant: int = 0
    arrived: float = 0.0
    lane_ms: int = 0
    seen_lane_ms: int = 0
    standing_vehicle_ms: float = 0.0
    standing_model_ms: float = 0.0
    real: Side = field(default_factory=Side)
    ours: Side = field(default_factory=Side)

    @property
    def empty(self) -> bool:
        return not self.compared_ms and not self.would_grant

    def overrule(self, reason: str) -> None:
        name = re.sub(r"\d+", "#", reason)[:120]
        if name in self.overruled or len(self.overruled) < REASONS:
            self.overruled[name] = self.overruled.get(name, 0) + 1

    def add(self, other: Tally) -> None:
        for name in (
            "compared_ms",
            "agreed_ms",
            "overruled_ms",
            "would_grant",
            "arrived",
            "lane_ms",
            "seen_lane_ms",
            "standing_vehicle_ms",
            "standing_model_ms",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.overruled.items():
            if reason in self.overruled or len(self.overruled) < REASONS:
                self.overruled[reason] = self.overruled.get(reason, 0) + count
        self.real.add(other.real)
        self.ours.add(other.ours)
