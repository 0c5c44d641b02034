"""Every kind of signal controller on a bench: what the contract is run against. Time moves only when told to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import combinations
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec

from edge_server.cabinet.epoch_file import EpochFile
from edge_server.cabinet.ntcip.cabinet import NtcipCabinet
from edge_server.cabinet.ntcip.objects import Oid
from edge_server.cabinet.ntcip.security import Security, User
from edge_server.cabinet.ntcip.snmp import Snmp, UdpSnmp, Value
from edge_server.cabinet.port import Cabinet
from edge_server.cabinet.recorder import Recorder
from edge_server.cabinet.runner import CabinetGateway
from edge_server.errors import CabinetRefused, CabinetUnreachable
from node.clock import ManualClock
from node.identity import Identity
from protocol.cabinet import Cabinet as Described
from protocol.ids import BootId, DeviceId, PhaseId
from protocol.messages import Heartbeat, SignalCommand
from protocol.messages.heartbeat import Aspect
from protocol.site import Intersection
from sim_devices.controller import epoch_file
from sim_devices.controller.runner import SimulatedController
from sim_devices.ntcip import core, tables
from sim_devices.ntcip.agent import SimulatedNtcipController
from sim_devices.ntcip.card import Card
from sim_devices.sumo.cabinet import SumoCabinet
from sim_devices.sumo.net import read_net
from sim_devices.sumo.programme import Programme, Step
from sim_devices.sumo.signals import derive
from tests.edge_server.signals.signal_sites import crossing
from tests.sim_devices.cabinet.wire import WireClient
from tests.sim_devices.sumo.sumo_nets import make

SECURITY = Security("v3", "sha-256", "aes-128")
USER = User("kinflow", "an authentication key", "a privacy key")
DESCRIBED = Described(address="127.0.0.1", acts=True, phases=((PhaseId(12), 2), (PhaseId(14), 4)))


def ntcip_crossing(**described: Any) -> Intersection:
    return msgspec.structs.replace(crossing(), cabinet=msgspec.structs.replace(DESCRIBED, **described))


class Bench(ABC):
    """step_ms: how finely time moves. acts: False for one that only records. wrong: every lamp that was not as it has
    to be."""

    step_ms = 100
    acts = True

    def __init__(self, intersection: Intersection, folder: Path) -> None:
        self.intersection = intersection
        self.folder = folder
        self.clock = ManualClock(monotonic_ms=100_000)
        self.edge = Identity(DeviceId("edge-a"), self.clock)
        self.wire = WireClient(intersection.controller)
        self.wrong: list[str] = []
        self._shown: dict[PhaseId, tuple[Aspect, int]] = {}

    @property
    def heartbeat(self) -> Heartbeat:
        return self.wire.heartbeats[-1]

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * 1000 / self.step_ms)):
            self.clock.advance(self.step_ms)
            self.move()
            self._judge_lamps(self.lamps())

    def command(self, *phases: int, **changed: Any) -> SignalCommand:
        """A command that would be taken, but for what is changed."""
        fields: dict[str, Any] = {
            "intersection": self.intersection.id,
            "phases": tuple(PhaseId(one) for one in phases),
            "heartbeat": self.heartbeat.counter,
            "heartbeat_boot": self.heartbeat.boot,
            "lease_ms": 3_000,
            "epoch": self.heartbeat.highest_epoch + (self.heartbeat.lease is None),
            "controller": "test",
            "reason": "",
        }
        edge = changed.pop("edge", self.edge)
        return SignalCommand(**{**edge.live(), **fields, **changed})

    def hold(self, seconds: float, *phases: int, **changed: Any) -> None:
        """Command it, and renew each half second."""
        for _ in range(round(seconds * 2)):
            outcome = self.wire.command(self.command(*phases, **changed))
            assert outcome.refusal is None, outcome
            self.advance(0.5)

    def restart(self) -> None:
        """The controller's process (or its gateway's) anew."""
        self.stop()
        self.wire = WireClient(self.intersection.controller)
        self.start()
        self.advance(self.step_ms / 1000)

    def _judge_lamps(self, lamps: dict[PhaseId, Aspect]) -> None:
        now_ms = self.clock.monotonic_ms()
        lit = sorted(one for one, aspect in lamps.items() if aspect != "red")
        conflicts = self.intersection.conflict_set()
        self.wrong += [f"phases {pair} lit together" for pair in combinations(lit, 2) if pair in conflicts]
        for phase in self.intersection.phases:
            was = self._shown.get(phase.id)
            if was is not None and was[0] == lamps[phase.id]:
                continue
            self._shown[phase.id] = (lamps[phase.id], now_ms)
            if was is None:
                continue
            after = {"green": "yellow", "yellow": "red", "walk": "pedestrian-clearance", "pedestrian-clearance": "red"}
            if lamps[phase.id] != after.get(was[0], lamps[phase.id]):
                self.wrong.append(f"phase {phase.id} went from {was[0]} to {lamps[phase.id]}")
            least_s = {"green": phase.min_green_s, "yellow": phase.yellow_s, "walk": phase.walk_s,
                       "pedestrian-clearance": phase.pedestrian_clearance_s}.get(was[0], 0.0)  # fmt: skip
            # What was seen of it is up to one step less than it was.
            if now_ms - was[1] + self.step_ms < least_s * 1000 and was[1] > 100_000 + self.step_ms:
                self.wrong.append(f"{was[0]} of phase {phase.id} lasted {now_ms - was[1]} ms")

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def move(self) -> None:
        """Bring the controller up to the clock."""

    @abstractmethod
    def lamps(self) -> dict[PhaseId, Aspect]:
        """What its lamps really show, past all messages."""

    def close(self) -> None:
        self.stop()


class SimulatedBench(Bench):
    """The simulated controller, which speaks MQTT by itself."""

    def start(self) -> None:
        epochs = epoch_file.EpochFile(self.folder / "epoch")
        self.controller = SimulatedController(self.intersection, lambda _: self.wire, self.clock, epochs)
        self.controller.start()

    def stop(self) -> None:
        self.controller.stop()

    def move(self) -> None:
        self.controller.tick()

    def lamps(self) -> dict[PhaseId, Aspect]:
        return dict(self.controller.aspects())


class GatewayBench(Bench):
    """A gateway in front of a cabinet."""

    @abstractmethod
    def cabinet(self) -> Cabinet: ...

    def start(self) -> None:
        epochs = EpochFile(self.folder / "epoch")
        self.gateway = CabinetGateway(self.intersection, self.cabinet(), lambda _: self.wire, self.clock, epochs)
        self.gateway.start(threaded=False)

    def stop(self) -> None:
        self.gateway.stop()

    def move(self) -> None:
        self.gateway.cycle()


@cache
def _net() -> Path:
    return make("one-lane", Path(mkdtemp()))


class SumoBench(GatewayBench):
    """A junction of a real SUMO simulation."""

    def __init__(self, folder: Path) -> None:
        import libsumo  # noqa: PLC0415 (takes a second)

        self._api = libsumo
        path = _net()
        libsumo.start(["sumo", "-n", str(path), "--no-step-log", "true", "--no-warnings", "true"])
        net = read_net(path)
        name = libsumo.trafficlight.getIDList()[0]
        logic = libsumo.trafficlight.getAllProgramLogics(name)[0]
        steps = tuple(Step(round(phase.duration * 1000), phase.state) for phase in logic.phases)
        steered = derive(net, (name,), (Programme(steps),), 1)
        assert steered is not None
        super().__init__(steered.intersection, folder)
        self._sumo = SumoCabinet(steered, net, libsumo, self.clock.monotonic_ms())

    def cabinet(self) -> Cabinet:
        return self._sumo

    def move(self) -> None:
        self._sumo.step(self.clock.monotonic_ms())
        super().move()
        self._sumo.step(self.clock.monotonic_ms())

    def lamps(self) -> dict[PhaseId, Aspect]:
        return dict(self._sumo.look().aspects)

    def close(self) -> None:
        super().close()
        self._api.close()


class DirectSnmp:
    """The simulated controller's objects without a socket between: the fake of edge_server.cabinet.ntcip.snmp.Snmp."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    def get(self, oids: Sequence[Oid]) -> dict[Oid, Value]:
        if self._plant.state.fault == "dead":
            raise CabinetUnreachable(address="here", detail="it is dead")
        read = {oid: tables.read(self._plant.state, oid) for oid in oids}
        return {oid: value.decode("latin-1") if isinstance(value, bytes) else value for oid, value in read.items()}

    def set(self, values: Mapping[Oid, int]) -> None:
        self.get([])
        try:
            self._plant.change(lambda state: tables.change(state, values))
        except tables.Refused as refused:
            raise CabinetRefused(address="here", detail=refused.kind) from refused

    def close(self) -> None: ...


class Plant:
    """A simulated NTCIP controller's state, without its agent."""

    def __init__(self, card: Card) -> None:
        self.state = core.boot(card, 0)

    def change(self, how: Callable[[core.State], core.State]) -> None:
        self.state = how(self.state)

    def spoil(self, fault: core.Fault | None) -> None:
        self.change(lambda state: core.spoil(state, fault))


class NtcipBench(GatewayBench):
    """The NTCIP adapter in front of the simulated NTCIP controller's objects."""

    step_ms = 500

    def __init__(self, folder: Path, backup_s: int = 10, **described: Any) -> None:
        super().__init__(ntcip_crossing(**described), folder)
        assert self.intersection.cabinet is not None
        self.described = self.intersection.cabinet
        self.plant = self._plant(Card.of(self.intersection, self.described, backup_s))

    def _plant(self, card: Card) -> Any:
        return Plant(card)

    def _snmp(self) -> Snmp:
        return DirectSnmp(self.plant)

    def cabinet(self) -> Cabinet:
        return NtcipCabinet(self.intersection, self.described, self._snmp(), self.clock)

    def move(self) -> None:
        self.plant.change(lambda state: core.advance(state, self.step_ms))
        super().move()

    def lamps(self) -> dict[PhaseId, Aspect]:
        shown = self.plant.state.outputs
        walks: dict[str, Aspect] = {"walk": "walk", "clear": "pedestrian-clearance", "dont-walk": "red"}
        lamps: dict[PhaseId, Aspect] = {PhaseId(one): shown[one][0] for one in (2, 4, 6, 8)}  # type: ignore[misc]
        return lamps | {PhaseId(12): walks[shown[2][1]], PhaseId(14): walks[shown[4][1]]}


class NtcipUdpBench(NtcipBench):
    """The same over UDP on loopback, with SNMPv3."""

    def _plant(self, card: Card) -> Any:
        return SimulatedNtcipController(card, SECURITY, USER, clock=None)

    def _snmp(self) -> Snmp:
        return UdpSnmp("127.0.0.1", self.plant.port, SECURITY, USER)

    def close(self) -> None:
        super().close()
        self.plant.stop()


class RecorderBench(NtcipBench):
    """A recorder in front of the NTCIP adapter."""

    acts = False

    def cabinet(self) -> Cabinet:
        return Recorder(super().cabinet())


KINDS: dict[str, Callable[[Path], Bench]] = {
    "simulated": lambda folder: SimulatedBench(crossing(), folder),
    "sumo": SumoBench,
    "ntcip": NtcipBench,
    "ntcip-udp": NtcipUdpBench,
}


@contextmanager
def on_bench(bench: Bench) -> Iterator[Any]:
    """Started, and heard once."""
    try:
        bench.start()
        bench.advance(bench.step_ms / 1000)
        yield bench
    finally:
        bench.close()


def stranger(bench: Bench, name: str = "edge-b") -> Identity:
    return Identity(DeviceId(name), bench.clock, BootId("b" * 16))
