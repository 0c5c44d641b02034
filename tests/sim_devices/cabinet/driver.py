"""The edge's own decisions, safety check and lease at a bench: what its service does, without threads."""

from __future__ import annotations

from collections.abc import Iterable

from edge_server.signals.controller import Decision
from edge_server.signals.fault import SignalFault
from edge_server.signals.junction import Junction, Record
from edge_server.signals.layout import layouts
from edge_server.signals.lease import Order
from protocol.ids import SiteId
from protocol.messages import SignalCommand
from protocol.site import Site
from tests.sim_devices.cabinet.benches import Bench


class Driver:
    """Wants each stage of the intersection in turn, for 20 s. served: phases that were served under its lease. told:
    codes of the alarms that began. refused: by which names. answered: wait for each answer."""

    def __init__(self, bench: Bench) -> None:
        site = Site(id=SiteId("test"), intersections=(bench.intersection,))
        stages = [one.id for one in bench.intersection.stages]
        self._bench = bench
        self._heard = 0
        self._junction = Junction(
            layouts(site)[bench.intersection.id],
            lambda _layout, _sights, _view, now_ms: Decision(stages[now_ms // 20_000 % len(stages)], "in turn"),
            bench.edge.device,
            bench.clock.monotonic_ms(),
        )
        self.answered = True
        self.served: set[int] = set()
        self.told: list[str] = []
        self.refused: set[str] = set()

    def run(self, seconds: float) -> None:
        bench = self._bench
        for _ in range(round(seconds * 2)):
            bench.advance(0.5)
            while self._heard < len(bench.wire.heartbeats):
                said = bench.wire.heartbeats[self._heard]
                self._heard += 1
                if said.control == "edge":
                    self.served |= {one.phase for one in said.phases if one.aspect in ("green", "walk")}
                self._carry_out(self._junction.hear(said, {}, bench.clock.monotonic_ms()))
            self._carry_out(self._junction.decide({}, bench.clock.monotonic_ms(), urgent=True))

    def _carry_out(self, effects: Iterable[object]) -> None:
        bench = self._bench
        for effect in effects:
            if isinstance(effect, Order):
                safe = effect.command
                command = SignalCommand(
                    **bench.edge.live(), intersection=safe.intersection, phases=safe.phases,
                    heartbeat=effect.heartbeat, heartbeat_boot=effect.heartbeat_boot, lease_ms=effect.lease_ms,
                    epoch=effect.epoch, controller=safe.controller, reason=safe.reason,
                )  # fmt: skip
                self._junction.sent(effect, command.id, bench.clock.monotonic_ms())
                if self.answered:
                    bench.wire.command(command)
                else:
                    bench.wire.deliver(command)
            elif isinstance(effect, SignalFault) and effect.active:
                self.told.append(effect.error.code)
            elif isinstance(effect, Record) and effect.kind == "refused":
                self.refused.add(effect.reason)
