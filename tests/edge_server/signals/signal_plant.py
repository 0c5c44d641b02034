"""A controller without any sense, for judging the safety check alone: it does at once whatever it is told.

It ends a green or a walk the moment it is no longer commanded, however short it was, and it never refuses. Yellow,
pedestrian clearance and all-red it runs, because a command can't express them.
"""

from __future__ import annotations

from itertools import combinations

from protocol.ids import PhaseId
from protocol.messages import Heartbeat, PhaseState
from protocol.site import Intersection

BOOT = "0" * 16
UUID = "01890000-0000-7000-8000-000000000000"


class Plant:
    """violations: every time that a green or walk was ended too early, or that conflicting phases were lit."""

    def __init__(self, intersection: Intersection) -> None:
        self.intersection = intersection
        self.now_ms = 0
        self.aspect = {phase.id: "red" for phase in intersection.phases}
        self.since_ms = {phase.id: 0 for phase in intersection.phases}
        self.target: frozenset[PhaseId] = frozenset()
        self.cuts_walk = False
        self.calls: dict[PhaseId, int] = {}
        self.violations: list[str] = []
        self._conflicts = intersection.conflict_set()
        self._counter = 0

    def obey(self, phases: frozenset[PhaseId], *, cuts_walk: bool = False) -> None:
        self.target, self.cuts_walk = phases, cuts_walk
        if any(pair in self._conflicts for pair in combinations(phases, 2)):
            self.violations.append(f"conflicting phases {sorted(phases)} commanded")

    def advance(self, dt_ms: int) -> None:
        self.now_ms += dt_ms
        for phase in self.intersection.phases:
            self._end(phase.id)
        for one in sorted(self.target):
            if self.aspect[one] == "red" and all(self._clear(b) for a, b in self._conflicts if a == one):
                self._show(one, "walk" if self.intersection.phase(one).kind == "pedestrian" else "green")
                self.calls.pop(one, None)
        lit = [phase for phase, aspect in self.aspect.items() if aspect != "red"]
        if any(pair in self._conflicts for pair in combinations(lit, 2)):
            self.violations.append(f"{lit} lit together")

    def call(self, phase: PhaseId) -> None:
        if self.aspect[phase] not in ("green", "walk"):
            self.calls.setdefault(phase, self.now_ms)

    def serving(self, phase: PhaseId) -> bool:
        return self.aspect[phase] in ("green", "walk")

    def heartbeat(self) -> Heartbeat:
        self._counter += 1
        return Heartbeat(
            id=UUID,
            source=self.intersection.controller,
            boot=BOOT,
            seq=self._counter,
            at_ms=0,
            mono_ms=0,
            intersection=self.intersection.id,
            counter=self._counter,
            control="edge",
            phases=tuple(
                PhaseState(phase, aspect, self.now_ms - self.since_ms[phase]) for phase, aspect in self.aspect.items()
            ),
            target=tuple(sorted(self.target)),
            highest_epoch=1,
            calls=tuple((phase, self.now_ms - since_ms) for phase, since_ms in self.calls.items()),
        )

    def _show(self, phase: PhaseId, aspect: str) -> None:
        self.aspect[phase], self.since_ms[phase] = aspect, self.now_ms

    def _end(self, phase: PhaseId) -> None:
        times = self.intersection.phase(phase)
        shown_s = (self.now_ms - self.since_ms[phase]) / 1000
        aspect = self.aspect[phase]
        if aspect in ("green", "walk") and phase not in self.target:
            walk_s = min(4.0, times.walk_s) if self.cuts_walk else times.walk_s
            least_s = times.min_green_s if aspect == "green" else walk_s
            if shown_s < least_s:
                self.violations.append(f"{aspect} of phase {phase} ended after {shown_s} of {least_s} s")
            self._show(phase, "yellow" if aspect == "green" else "pedestrian-clearance")
        elif (aspect == "yellow" and shown_s >= times.yellow_s) or (
            aspect == "pedestrian-clearance" and shown_s >= times.pedestrian_clearance_s
        ):
            self._show(phase, "red")

    def _clear(self, phase: PhaseId) -> bool:
        red_s = (self.now_ms - self.since_ms[phase]) / 1000
        return self.aspect[phase] == "red" and red_s >= self.intersection.phase(phase).all_red_s
