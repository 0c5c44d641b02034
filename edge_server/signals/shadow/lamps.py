"""Lamps that exist in thought alone: what the signals would show if ours steered them.

They do at once what they are told, and run yellow, pedestrian clearance and all-red by the site's times; minimum greens
are kept by the safety check that stands before them.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_server.signals.layout import Layout
from edge_server.signals.view import SERVING, View
from protocol.ids import BootId, MessageId, PhaseId
from protocol.messages import Heartbeat, PhaseState
from protocol.messages.heartbeat import Aspect

_ID = MessageId("00000000-0000-7000-8000-000000000000")
_BOOT = BootId("0" * 16)


class Lamps:
    """All times on one monotonic clock. They begin as a real controller stands (like)."""

    def __init__(self, layout: Layout, like: View, now_ms: int) -> None:
        self._layout = layout
        self._aspect: dict[PhaseId, Aspect] = {one: like.shown[one].aspect for one in layout.phases}
        self._since_ms = {one: now_ms - like.shown_ms(one, now_ms) for one in layout.phases}
        self._target = like.target
        self._calls: dict[PhaseId, int] = dict(like.called_ms)
        self._heard_calls: Mapping[PhaseId, int] = like.called_ms

    @property
    def serving(self) -> frozenset[PhaseId]:
        return frozenset(one for one, aspect in self._aspect.items() if aspect in SERVING)

    def green_ms(self, phase: PhaseId, now_ms: int) -> int:
        return now_ms - self._since_ms[phase]

    def call(self, called_ms: Mapping[PhaseId, int]) -> None:
        """Who calls at the real controller calls here too: once, however long they have to wait there."""
        for phase, since_ms in called_ms.items():
            known_ms = self._heard_calls.get(phase)
            # The call's beginning is told by its age, so it jitters with the heartbeat's way here.
            fresh = known_ms is None or since_ms - known_ms > 2_000
            if fresh and self._aspect.get(phase) not in SERVING:
                self._calls.setdefault(phase, since_ms)
        self._heard_calls = dict(called_ms)

    def obey(self, phases: frozenset[PhaseId]) -> None:
        self._target = phases

    def advance(self, now_ms: int) -> None:
        for phase, times in self._layout.phases.items():
            shown_ms, aspect = now_ms - self._since_ms[phase], self._aspect[phase]
            if aspect in SERVING and phase not in self._target:
                self._show(phase, "pedestrian-clearance" if times.pedestrian else "yellow", now_ms)
            elif (aspect == "yellow" and shown_ms >= times.yellow_ms) or (
                aspect == "pedestrian-clearance" and shown_ms >= times.clearance_ms
            ):
                self._show(phase, "red", now_ms)
        for phase in sorted(self._target):
            if self._aspect[phase] == "red" and all(
                self._is_clear(other, now_ms) for other in self._layout.conflicts[phase]
            ):
                self._show(phase, "walk" if self._layout.phases[phase].pedestrian else "green", now_ms)
                self._calls.pop(phase, None)

    def view(self, now_ms: int) -> View:
        states = tuple(PhaseState(one, aspect, now_ms - self._since_ms[one]) for one, aspect in self._aspect.items())
        said = Heartbeat(
            id=_ID,
            source=self._layout.device,
            boot=_BOOT,
            seq=1,
            at_ms=0,
            mono_ms=0,
            intersection=self._layout.intersection,
            counter=1,
            control="edge",
            phases=states,
            target=tuple(sorted(self._target)),
            highest_epoch=1,
            calls=tuple((phase, now_ms - since_ms) for phase, since_ms in self._calls.items()),
        )
        return View.of(said, now_ms)

    def _show(self, phase: PhaseId, aspect: Aspect, now_ms: int) -> None:
        self._aspect[phase], self._since_ms[phase] = aspect, now_ms

    def _is_clear(self, phase: PhaseId, now_ms: int) -> bool:
        times = self._layout.phases[phase]
        all_red_ms = times.change_ms - times.yellow_ms - times.clearance_ms
        return self._aspect[phase] == "red" and now_ms - self._since_ms[phase] >= all_red_ms
