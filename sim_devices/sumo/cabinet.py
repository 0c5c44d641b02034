"""A signalised junction of a SUMO net, behind the port of a cabinet.

Its lamps are the simulated controller's, shown in SUMO and read back from it. libsumo is handed in, so that nothing
here starts or steps a simulation.
"""

from __future__ import annotations

from typing import Any

from edge_server.cabinet.port import Reading, Wish
from protocol.ids import PhaseId
from protocol.messages.heartbeat import Aspect
from sim_devices.controller.lamps import Lamps, advance, all_red
from sim_devices.controller.wiring import Wiring
from sim_devices.sumo.net import Net
from sim_devices.sumo.programme import GREEN
from sim_devices.sumo.signal_loop import Signs
from sim_devices.sumo.signals import Steered


class SumoCabinet:
    """api: libsumo, or traci. step() moves the lamps; the simulation is stepped by whoever runs it."""

    def __init__(self, one: Steered, net: Net, api: Any, now_ms: int) -> None:
        self._one = one
        self._api = api
        self._wiring = Wiring.of(one.intersection)
        self._signs = Signs(one, net)
        self._lamps: Lamps = all_red(self._wiring, now_ms)
        self._wanted: frozenset[PhaseId] | None = None
        self._calls: set[PhaseId] = set()
        self._show()

    def call(self, phase: PhaseId) -> None:
        """Somebody waits to walk."""
        self._calls.add(phase)

    def step(self, now_ms: int) -> None:
        target = self._wanted if self._wanted is not None else frozenset(self._wiring.plan.phases_at(now_ms))
        self._lamps = advance(self._wiring, self._lamps, target, now_ms)
        self._calls -= {phase for phase, lamp in self._lamps.items() if lamp.aspect in ("green", "walk")}
        self._show()

    def look(self) -> Reading:
        letters = "".join(self._api.trafficlight.getRedYellowGreenState(name) for name, _ in self._one.lights)
        aspects: dict[PhaseId, Aspect] = {}
        for group in self._one.groups:
            shown = {letters[link] for link in group.links}
            lamp = self._lamps[group.phase].aspect
            if group.pedestrian:
                # SUMO knows no pedestrian clearance: it shows red.
                aspects[group.phase] = "walk" if shown & set(GREEN) else lamp if lamp != "walk" else "red"
            else:
                aspects[group.phase] = "yellow" if "y" in shown else "green" if shown & set(GREEN) else "red"
        other = sorted(phase for phase, aspect in aspects.items() if aspect != self._lamps[phase].aspect)
        flash = f"SUMO shows something else on phases {other} than it was told" if other else None
        return Reading(aspects, frozenset(self._calls), flash)

    def serve(self, wish: Wish, reading: Reading) -> None:  # noqa: ARG002 (the port's)
        self._wanted = wish.phases

    def let_go(self) -> None:
        self._wanted = None

    def close(self) -> None:
        """The simulation is its owner's to close."""

    def _show(self) -> None:
        for (name, _), letters in zip(self._one.lights, self._signs.show(self._lamps), strict=True):
            self._api.trafficlight.setRedYellowGreenState(name, letters)
