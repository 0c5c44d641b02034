"""One intersection on the bench: edges and a controller core joined by a network that loses, repeats and delays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, count
from random import Random

from edge_server.cabinet.wire import EpochTaken, Received, Report
from edge_server.signals.controller import Decision
from edge_server.signals.fault import SignalFault
from edge_server.signals.junction import Effect, Junction, Record
from edge_server.signals.layout import layouts
from edge_server.signals.lease import Order
from node.clock import ManualClock
from node.identity import Identity
from protocol.ids import BootId, DeviceId
from protocol.messages import Heartbeat, SignalCommand
from protocol.site import Intersection
from sim_devices.controller import core
from sim_devices.controller.core import Called, Injected, Tick
from sim_devices.controller.wiring import Wiring
from tests.edge_server.signals.signal_sites import site

STEP_MS = 100


@dataclass
class Network:
    """Delays are drawn from 0 to delay_ms; a link that is cut holds what is sent until it heals, like a socket."""

    random: Random
    loss: float = 0.0
    copies: float = 0.0
    delay_ms: int = 0
    cut: bool = False

    def arrivals(self, now_ms: int) -> list[int]:
        if self.random.random() < self.loss:
            return []
        times = 2 if self.random.random() < self.copies else 1
        return [now_ms + self.random.randint(0, self.delay_ms) for _ in range(times)]


class Edge:
    """An edge server's junction with its shell: what the service does, without threads."""

    def __init__(self, name: str, intersection: Intersection, clock: ManualClock, random: Random) -> None:
        self.identity = Identity(DeviceId(name), clock)
        stages = [stage.id for stage in intersection.stages]
        self.junction = Junction(
            layouts(site(intersection))[intersection.id],
            lambda *_: Decision(random.choice(stages), "any"),
            self.identity.device,
            clock.monotonic_ms(),
        )
        self.faults: dict[str, SignalFault] = {}
        self.records: list[Record] = []
        self.ticked_ms = 0

    def carry_out(self, effects: list[Effect], now_ms: int) -> Iterator[SignalCommand]:
        for effect in effects:
            if isinstance(effect, Order):
                command = SignalCommand(
                    **self.identity.live(),
                    intersection=effect.command.intersection,
                    phases=effect.command.phases,
                    heartbeat=effect.heartbeat,
                    heartbeat_boot=effect.heartbeat_boot,
                    lease_ms=effect.lease_ms,
                    epoch=effect.epoch,
                    controller=effect.command.controller,
                    reason=effect.command.reason,
                )
                self.junction.sent(effect, command.id, now_ms)
                yield command
            elif isinstance(effect, Record):
                self.records.append(effect)
            elif effect.active:
                self.faults[effect.alarm] = effect
            else:
                self.faults.pop(effect.alarm)


class Bench:
    """wrong: every broken promise, in words."""

    def __init__(self, intersection: Intersection, seed: int, edges: tuple[str, ...] = ("edge-a",)) -> None:
        self.intersection = intersection
        self.random = Random(seed)
        self.clock = ManualClock(monotonic_ms=10_000)
        self.network = Network(self.random)
        self.boots = count(1)
        self.epoch_on_disk = 0
        self.edges = {name: self._edge(name) for name in edges}
        self.controller = self._controller()
        self.identity = self._identity()
        self.in_flight: list[tuple[int, int, str, Heartbeat | SignalCommand]] = []
        self.order = count()
        self.made_ms: dict[str, int] = {}
        self.wrong: list[str] = []
        self.accepted: list[tuple[int, SignalCommand]] = []
        self.reports: list[Report] = []
        self._usurped = False

    @property
    def now_ms(self) -> int:
        return self.clock.monotonic_ms()

    @property
    def control(self) -> str:
        return self.controller.control

    def restart_controller(self) -> None:
        self.controller = self._controller()
        self.identity = self._identity()

    def restart_edge(self, name: str) -> None:
        self.edges[name] = self._edge(name)

    def usurp(self, name: str) -> None:
        self._usurped = True
        self.edges[name].junction.take_over()

    def call_somebody(self) -> None:
        self._step(Called(self.random.choice([phase.id for phase in self.intersection.phases])))

    def inject(self, mode: core.FaultMode | None) -> None:
        self._step(Injected(mode))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1000 / STEP_MS)):
            self.clock.advance(STEP_MS)
            self._deliver()
            self._step(Tick(STEP_MS))
            for name, edge in self.edges.items():
                if self.now_ms - edge.ticked_ms >= 500:
                    edge.ticked_ms = self.now_ms
                    self._send(name, edge.junction.decide({}, self.now_ms, urgent=self.random.random() < 0.5))

    def receive(self, command: SignalCommand) -> None:
        """Put a command before the controller, past the network."""
        before = self.controller
        self._step(Received(command))
        outcome = self.controller.last_command
        if outcome is not None and outcome.command == command.id and outcome.refusal is None:
            self._judge_acceptance(before, command)

    def _judge_acceptance(self, before: core.State, command: SignalCommand) -> None:
        self.accepted.append((self.now_ms, command))
        age_ms = self.now_ms - self.made_ms.get(command.id, self.now_ms)
        if age_ms > 1_500:
            self.wrong.append(f"a command {age_ms} ms old was taken")
        if [one.id for _, one in self.accepted].count(command.id) > 1:
            self.wrong.append("a command was taken twice")
        holder = before.register.holder
        if holder is not None and holder.until_ms > self.now_ms and holder.edge != command.source and not self._usurped:
            self.wrong.append(f"{command.source} steers while {holder.edge} holds the lease")

    def _deliver(self) -> None:
        if self.network.cut:
            return
        due = sorted((one for one in self.in_flight if one[0] <= self.now_ms), key=lambda one: one[:2])
        self.in_flight = [one for one in self.in_flight if one[0] > self.now_ms]
        for _, _, to, message in due:
            if isinstance(message, SignalCommand):
                self.receive(message)
            elif to in self.edges:
                edge = self.edges[to]
                self._send(to, edge.junction.hear(message, {}, self.now_ms))

    def _send(self, name: str, effects: list[Effect]) -> None:
        for command in self.edges[name].carry_out(effects, self.now_ms):
            self.made_ms[command.id] = self.now_ms
            self._post("controller", command)

    def _post(self, to: str, message: Heartbeat | SignalCommand) -> None:
        for at_ms in self.network.arrivals(self.now_ms):
            self.in_flight.append((at_ms, next(self.order), to, message))

    def _step(self, event: core.Event) -> None:
        before = self.controller
        self.controller, effects = core.step(before, event)
        for effect in effects:
            if isinstance(effect, EpochTaken):
                self.epoch_on_disk = effect.epoch
            elif isinstance(effect, Report):
                self.reports.append(effect)
                for name in self.edges:
                    self._post(name, effect.message(self.identity.live()))
        self.wrong.extend(self._lamps_wrong(before, self.controller))

    def _lamps_wrong(self, before: core.State, after: core.State) -> Iterator[str]:
        conflicts = self.intersection.conflict_set()
        lit = sorted(phase for phase, lamp in after.lamps.items() if lamp.aspect != "red")
        for pair in combinations(lit, 2):
            if pair in conflicts:
                yield f"phases {pair} lit together"
        if after.control == "flash" or before.control == "flash":
            return
        for phase in self.intersection.phases:
            was, shows = before.lamps[phase.id], after.lamps[phase.id]
            if was.aspect == shows.aspect:
                continue
            least_s = {
                "green": phase.min_green_s,
                "walk": phase.walk_s,
                "yellow": phase.yellow_s,
                "pedestrian-clearance": phase.pedestrian_clearance_s,
                "red": 0.0,
            }[was.aspect]
            if after.now_ms - was.since_ms < round(least_s * 1000):
                yield f"{was.aspect} of phase {phase.id} ended after {after.now_ms - was.since_ms} ms"
            following = {"green": "yellow", "walk": "pedestrian-clearance"}.get(was.aspect)
            if following is not None and shows.aspect != following:
                yield f"{was.aspect} of phase {phase.id} became {shows.aspect}"
            if was.aspect == "red":
                yield from self._too_early(phase.id, after)

    def _too_early(self, phase: int, after: core.State) -> Iterator[str]:
        for other in self.intersection.phases:
            if (phase, other.id) in self.intersection.conflict_set():
                lamp = after.lamps[other.id]
                if lamp.aspect != "red" or after.now_ms - lamp.since_ms < round(other.all_red_s * 1000):
                    yield f"phase {phase} started before {other.id} had cleared"

    def _edge(self, name: str) -> Edge:
        return Edge(name, self.intersection, self.clock, self.random)

    def _controller(self) -> core.State:
        boot = BootId(f"{next(self.boots):016x}")
        return core.boot(Wiring.of(self.intersection), boot, self.now_ms, self.epoch_on_disk)

    def _identity(self) -> Identity:
        return Identity(self.intersection.controller, self.clock, self.controller.boot)
