"""The fixed plan laid out in time: which stage is due when."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.ids import PhaseId, StageId
from protocol.site import Intersection, Phase


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


@dataclass(frozen=True)
class Slot:
    """One step of the plan: its green and the intergreen that follows. walk_ms: when walk must end, so that pedestrian
    clearance is over with the green. Times count from the start of the cycle."""

    stage: StageId
    phases: tuple[PhaseId, ...]
    start_ms: int
    green_end_ms: int
    end_ms: int
    walk_end_ms: tuple[tuple[PhaseId, int], ...]


@dataclass(frozen=True)
class Timetable:
    slots: tuple[Slot, ...]
    cycle_ms: int
    offset_ms: int

    def position_ms(self, time_ms: int) -> int:
        return (time_ms - self.offset_ms) % self.cycle_ms

    def stage_at(self, time_ms: int) -> StageId:
        """The stage that should be green, or that is next while the intergreen runs."""
        return self._due(self.position_ms(time_ms)).stage

    def phases_at(self, time_ms: int) -> tuple[PhaseId, ...]:
        """The phases that should be green: those of the due stage, pedestrians only until their walk must end."""
        position_ms = self.position_ms(time_ms)
        due = self._due(position_ms)
        if not due.start_ms <= position_ms < due.green_end_ms:
            return due.phases
        over = {phase for phase, end_ms in due.walk_end_ms if position_ms >= end_ms}
        return tuple(phase for phase in due.phases if phase not in over)

    def _due(self, position_ms: int) -> Slot:
        for slot in self.slots:
            if position_ms < slot.green_end_ms:
                return slot
        return self.slots[0]


def timetable(intersection: Intersection) -> Timetable:
    """Lay out an intersection's plan. The site must be free of faults (protocol.site_check)."""
    phases = {phase.id: phase for phase in intersection.phases}
    stages = {stage.id: stage.phases for stage in intersection.stages}
    steps = intersection.plan.steps
    slots: list[Slot] = []
    start_ms = 0
    for step, following in zip(steps, (*steps[1:], steps[0]), strict=True):
        members = [phases[one] for one in stages[step.stage]]
        green_end_ms = start_ms + milliseconds(step.green_s)
        leaving = [phase for phase in members if phase.id not in stages[following.stage]]
        end_ms = green_end_ms + max((_intergreen_ms(phase) for phase in leaving), default=0)
        walks = tuple(
            (phase.id, green_end_ms - milliseconds(phase.pedestrian_clearance_s))
            for phase in members
            if phase.kind == "pedestrian"
        )
        slots.append(Slot(step.stage, stages[step.stage], start_ms, green_end_ms, end_ms, walks))
        start_ms = end_ms
    return Timetable(tuple(slots), start_ms, milliseconds(intersection.plan.offset_s))


def _intergreen_ms(phase: Phase) -> int:
    yellow_s = phase.yellow_s if phase.kind == "vehicle" else 0.0
    return milliseconds(yellow_s + phase.all_red_s)
