"""Two edge servers with a broker each, and one controller that is on one of the two: what bench.py is, for a pair.

A road is the link from the controller to a broker; `link` joins the two edge servers. An edge server and its broker
live and die together. A cut shows only after a while, as keep-alives do.
"""

from __future__ import annotations

from edge_server.signals.junction import Junction
from edge_server.signals.layout import layouts
from protocol.ids import DeviceId
from protocol.messages import Heartbeat, SignalCommand
from protocol.site import Intersection
from sim_devices.controller import core
from sim_devices.controller.core import Tick
from tests.edge_server.signals.signal_sites import site
from tests.sim_devices.controller.bench import STEP_MS, Bench, Edge

FIRST, SECOND = "edge-a", "edge-b"
OTHER = {FIRST: SECOND, SECOND: FIRST}
NOTICED_MS = 4_000
NEXT_TRY_MS = 1_500


class PairBench(Bench):
    """obeyed: who steered at each step, by the controller's own word. unplanned: steps at which
    it headed for neither what the one who steers asked for nor what its own plan says."""

    def __init__(self, intersection: Intersection, seed: int) -> None:
        self.up = {FIRST: True, SECOND: True}
        self.road = {FIRST: True, SECOND: True}
        self.link = True
        self.on = FIRST
        self._gone_ms = 0
        self._seen_ms = {FIRST: 0, SECOND: 0}
        self.unplanned = 0
        self.steering: list[str | None] = []
        super().__init__(intersection, seed, edges=(FIRST, SECOND))

    def fall(self, edge: str) -> None:
        """The whole machine is gone: its memory, its broker, what was on its way through it."""
        self.up[edge] = False

    def rise(self, edge: str) -> None:
        if not self.up[edge]:
            self.up[edge] = True
            self.restart_edge(edge)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1000 / STEP_MS)):
            self.clock.advance(STEP_MS)
            self._wander()
            self._deliver()
            self._step(Tick(STEP_MS))
            self._tick_edges()
            self._look()

    def reaches(self, edge: str) -> bool:
        """Whether this edge server and the controller hear one another now."""
        through = self.on
        joined = edge == through or (self.link and self.up[edge])
        return joined and self.up[through] and self.up[edge] and self.road[through]

    def defers(self, edge: str) -> bool:
        return edge == SECOND and self.now_ms - self._seen_ms[SECOND] < NOTICED_MS

    def _tick_edges(self) -> None:
        for name, edge in self.edges.items():
            if self.link and all(self.up.values()):
                self._seen_ms[name] = self.now_ms
            if self.up[name] and self.now_ms - edge.ticked_ms >= 500:
                edge.ticked_ms = self.now_ms
                self._send(name, edge.junction.decide({}, self.now_ms, urgent=self.random.random() < 0.5))

    def _wander(self) -> None:
        """The controller keeps to a broker that answers, and leaves one that doesn't."""
        if self.up[self.on] and self.road[self.on]:
            self._gone_ms = self.now_ms
        elif self.now_ms - self._gone_ms > (NOTICED_MS if self.up[self.on] else 200):
            self.on = OTHER[self.on]
            self._gone_ms = self.now_ms - NOTICED_MS + NEXT_TRY_MS

    def _deliver(self) -> None:
        due = sorted((one for one in self.in_flight if one[0] <= self.now_ms), key=lambda one: one[:2])
        self.in_flight = [one for one in self.in_flight if one[0] > self.now_ms]
        for _, _, to, message in due:
            edge = message.source if isinstance(message, SignalCommand) else to
            if not self.reaches(edge):
                continue
            if isinstance(message, SignalCommand):
                self.receive(message)
            else:
                effects = self.edges[to].junction.hear(message, {}, self.now_ms, defers=self.defers(to))
                self._send(to, effects)

    def _post(self, to: str, message: Heartbeat | SignalCommand) -> None:
        edge = message.source if isinstance(message, SignalCommand) else to
        if self.reaches(edge):
            super()._post(to, message)

    def _look(self) -> None:
        holder = self.controller.register.holder
        self.steering.append(holder.edge if holder is not None else None)
        state = self.controller
        planned = state.commanded if holder is not None else frozenset(state.wiring.plan.phases_at(state.now_ms))
        if state.target != planned:
            self.unplanned += 1

    def _edge(self, name: str) -> Edge:
        edge = super()._edge(name)
        layout = layouts(site(self.intersection))[self.intersection.id]
        decide = edge.junction._decide
        edge.junction = Junction(layout, decide, DeviceId(name), self.now_ms, DeviceId(OTHER[name]))
        return edge


__all__ = ["FIRST", "OTHER", "SECOND", "PairBench", "core"]
