"""SUMO's own controllers, made from each traffic light's programme, under the same starvation bound as ours.

actuated: minimum 6 s, maximum 50 s for each green. delay_based: the same limits, by the delay that vehicles gather.
They time their own yellow, which is the programme's with 3 s as the floor.
"""

from __future__ import annotations

from typing import Any

from edge_server.signals.safety import STARVATION_BOUND_MS
from protocol.site_check import YELLOW_FLOOR_S
from sim_devices.sumo.programme import GREEN, Programme
from sim_devices.sumo.signals import MAX_GREEN_S, MIN_GREEN_S

# libsumo's numbers (TRAFFICLIGHT_TYPE_...).
STATIC, ACTUATED, NEMA, DELAY_BASED = 0, 3, 4, 5
# What runs where SUMO's own NEMA controller does not (nema.py) is actuated.
TYPES = {"actuated": ACTUATED, "delay_based": DELAY_BASED, "nema": ACTUATED}
PROGRAM = "kinflow-peer"


def install(api: Any, light: str, programme: Programme, kind: int) -> None:
    """Give a traffic light a programme of this kind."""
    phases = []
    for at, step in enumerate(programme.steps):
        duration_s = step.duration_ms / 1000
        if programme.is_change(at):
            least_s = most_s = max(duration_s, YELLOW_FLOOR_S) if "y" in step.signs.lower() else duration_s
            duration_s = least_s
        else:
            least_s, most_s = MIN_GREEN_S, MAX_GREEN_S
        phases.append(api.trafficlight.Phase(duration_s, step.signs, least_s, most_s))
    api.trafficlight.setProgramLogic(light, api.trafficlight.Logic(PROGRAM, kind, 0, phases))
    api.trafficlight.setProgram(light, PROGRAM)


class Guard:
    """Moves a peer on in its own order when a link would otherwise be red for longer than the bound."""

    def __init__(self, api: Any, light: str, programme: Programme) -> None:
        self._api = api
        self._light = light
        self._steps = programme.steps
        self._least_ms = [
            step.duration_ms if programme.is_change(at) else int(MIN_GREEN_S * 1000)
            for at, step in enumerate(programme.steps)
        ]
        self._change = [programme.is_change(at) for at in range(len(programme.steps))]
        greens = [step.greens for step in programme.steps]
        self._waiting = [at for at in frozenset().union(*greens) if any(at not in one for one in greens)]
        self._green_ms = dict.fromkeys(self._waiting, 0)
        self._started: tuple[int, int] = (-1, 0)
        self.forced = 0

    def step(self, now_ms: int) -> None:
        signs = self._api.trafficlight.getRedYellowGreenState(self._light)
        phase = self._api.trafficlight.getPhase(self._light)
        if phase != self._started[0]:
            self._started = (phase, now_ms)
        worst = None
        for link in self._waiting:
            if signs[link] in GREEN:
                self._green_ms[link] = now_ms
            elif worst is None or self._green_ms[link] < self._green_ms[worst]:
                worst = link
        if worst is None or self._change[phase] or now_ms - self._started[1] < self._least_ms[phase]:
            return
        needed_ms, at = 0, (phase + 1) % len(self._steps)
        while worst not in self._steps[at].greens and at != phase:
            needed_ms += self._least_ms[at]
            at = (at + 1) % len(self._steps)
        if now_ms - self._green_ms[worst] + needed_ms >= STARVATION_BOUND_MS:
            self._api.trafficlight.setPhase(self._light, (phase + 1) % len(self._steps))
            self.forced += 1
