"""`bench pair`: two edge servers with a mosquitto each, controllers and agents between them, and the one that steers is
ended: killed with -9 (`kill`), stopped so that its sockets stay open and nobody answers (`hang`), or cut off with its
whole network (`vanish`, in network namespaces, as root).

Measured for each controller: from that moment to the first command of the other edge server that it obeys. Counted:
commands that a controller obeyed while another's lease still ran, by the controller's own clock; and alarms that were
raised meanwhile and stand in neither store.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import psutil
from msgspec import Struct

from benchmarks import joined_edge
from benchmarks.child import end
from benchmarks.edge import ROOT, percentile
from benchmarks.pki import Pki
from edge_server.pair.peer import Peer
from node.broker.acl import Member
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from node.ports import LOOPBACK, any_free_port
from protocol.ids import DeviceId
from protocol.messages import Alarm, Birth, SignalCommand
from protocol.topics import ALARM
from sim_devices.city.city import plan_city
from sim_devices.city.layout import CityLayout
from sim_devices.city.site import write_site
from sim_devices.controller.runner import Connect, ControllerRunner

Mode = Literal["kill", "hang", "vanish"]
EDGES = (DeviceId("edge-a"), DeviceId("edge-b"))
AGENTS = 4
ALARM_EVERY_S = 0.5
READY_S = 40.0
STEADY_S = 3.0
PATIENCE_S = 30.0
DRAIN_S = 20.0
KEEPALIVE_S = 2


class Orders(Struct):
    mode: Mode
    runs: int
    folder: str


class Figures(Struct, kw_only=True):
    """takeover_s: the longest of all. two_in_command: commands obeyed while another edge server's lease ran. measured:
    controllers times runs."""

    mode: str
    runs: int
    controllers: int
    takeover_s: float
    p50_takeover_s: float | None
    p99_takeover_s: float | None
    measured: int
    never: int
    two_in_command: int
    commands_obeyed: int
    alarms: int
    alarms_lost: int


def measure(mode: Mode, runs: int) -> Figures:
    """Everything that it starts has ended when this returns. Raises RuntimeError with the reason."""
    with tempfile.TemporaryDirectory(prefix="kinflow-pair-") as folder:
        orders = Orders(mode, runs, folder)
        return carry_out(orders) if mode != "vanish" else _in_namespaces(orders)


def carry_out(orders: Orders) -> Figures:
    quiet = logging.getLogger("node")
    before = quiet.level
    quiet.setLevel(logging.ERROR)  # that a broker is away is what is measured here
    try:
        with _Bench(orders) as bench:
            for _ in range(orders.runs):
                bench.run_once()
            return bench.figures()
    finally:
        quiet.setLevel(before)


@dataclass
class _Obeyed:
    """What controllers took: (intersection, edge, when, until when), on this machine's monotonic clock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    rows: list[tuple[str, str, int, int]] = field(default_factory=list)

    def take(self, command: SignalCommand, mono_ms: int) -> None:
        with self.lock:
            self.rows.append((command.intersection, command.source, mono_ms, mono_ms + command.lease_ms))

    def copy(self) -> list[tuple[str, str, int, int]]:
        with self.lock:
            return list(self.rows)


@dataclass(frozen=True)
class _Place:
    """Where one of the two runs. namespace: of the network, "" for this machine's own."""

    edge: DeviceId
    home: Path
    host: str
    namespace: str
    port: int = field(default_factory=any_free_port)
    broker_port: int = field(default_factory=any_free_port)
    mqtts_port: int = field(default_factory=any_free_port)

    def as_peer(self, first: bool) -> Peer:
        """As the other one knows it; first: the other one's rank."""
        rank: Literal["first", "second"] = "first" if first else "second"
        return Peer(edge=self.edge, hosts=(self.host,), rank=rank, mqtts_port=self.mqtts_port, http_port=self.port)


class _Edge:
    """One of the two: a process of its own, with its broker, in its state folder."""

    def __init__(self, place: _Place, orders: joined_edge.Orders) -> None:
        self.place = place
        self._orders = place.home / "orders.json"
        self._orders.write_bytes(msgspec.json.encode(orders))
        self._process: subprocess.Popen[bytes] | None = None
        self._held: list[psutil.Process] = []

    def start(self) -> None:
        prefix = ["ip", "netns", "exec", self.place.namespace] if self.place.namespace else []
        with (self.place.home / "edge.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "benchmarks.joined_edge", str(self._orders)],
                cwd=ROOT,
                env={**os.environ, "KINFLOW_HOME": str(self.place.home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def end(self, mode: Mode) -> None:
        assert self._process is not None
        if mode == "kill":
            self._process.kill()
            self._process.wait()
        elif mode == "hang":
            process = psutil.Process(self._process.pid)
            self._held = [process, *process.children(recursive=True)]
            for one in self._held:
                one.suspend()
        else:
            _ip("-n", self.place.namespace, "link", "set", "out", "down")

    def come_back(self, mode: Mode) -> None:
        if mode == "kill":
            self.start()
        elif mode == "hang":
            for one in self._held:
                one.resume()
        else:
            _ip("-n", self.place.namespace, "link", "set", "out", "up")

    def close(self) -> None:
        for one in self._held:
            with suppress(psutil.Error):
                one.resume()
        if self._process is not None:
            end(self._process)

    @property
    def log(self) -> str:
        return (self.place.home / "edge.log").read_text()


class _Bench:
    def __init__(self, orders: Orders) -> None:
        folder = Path(orders.folder)
        self._mode, self._runs = orders.mode, orders.runs
        self._clock = SystemClock()
        self._site = plan_city(CityLayout(columns=2, rows=1), folder).site
        write_site(self._site, folder / "site.toml")
        self._obeyed = _Obeyed()
        self._pki = Pki(folder, EDGES, self._members())
        places = [
            _Place(edge, folder / edge, f"10.83.7.{number}", f"kf-{os.environ['KF_BENCH']}-{edge[-1]}")
            if orders.mode == "vanish"
            else _Place(edge, folder / edge, LOOPBACK, "")
            for number, edge in enumerate(EDGES, start=1)
        ]
        self._edges: dict[str, _Edge] = {
            place.edge: _Edge(place, self._orders(place, other, folder / "site.toml"))
            for place, other in zip(places, reversed(places), strict=True)
        }
        self._brokers = [BrokerAddress(host=one.host, port=one.mqtts_port, tls=True) for one in places]
        self._controllers = ControllerRunner(
            self._site, self._connect, self._clock, folder / "controllers", on_obeyed=self._obeyed.take
        )
        self._agents = [_Agent(DeviceId(f"agent-{number}"), self._connect, self._clock) for number in range(AGENTS)]
        self._takeovers_s: list[float] = []
        self._never = 0

    def __enter__(self) -> _Bench:
        try:
            for edge in self._edges.values():
                edge.start()
            self._controllers.start()
            for agent in self._agents:
                agent.start()
            self._await_steady()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for agent in self._agents:
            agent.stop()
        self._controllers.stop()
        for edge in self._edges.values():
            edge.close()

    def run_once(self) -> None:
        """End the one that steers most, wait until the other one steers all of that, and let the first come back."""
        steered = self._await_steady()
        steering = max(steered.values(), key=list(steered.values()).count)
        began_ms = self._clock.monotonic_ms()
        self._edges[steering].end(self._mode)
        waiting = {intersection for intersection, edge in steered.items() if edge == steering}
        while waiting and self._clock.monotonic_ms() - began_ms < PATIENCE_S * 1000:
            for intersection, edge, at_ms, _ in self._obeyed.copy():
                if intersection in waiting and edge != steering and at_ms >= began_ms:
                    waiting.remove(intersection)
                    self._takeovers_s.append((at_ms - began_ms) / 1000)
            time.sleep(0.02)
        self._never += len(waiting)
        self._edges[steering].come_back(self._mode)

    def figures(self) -> Figures:
        for agent in self._agents:
            agent.finish()
        deadline = time.monotonic() + DRAIN_S
        while any(agent.waiting for agent in self._agents) and time.monotonic() < deadline:
            time.sleep(0.1)
        rows = self._obeyed.copy()
        raised = {alarm for agent in self._agents for alarm in agent.raised}
        ordered = sorted(self._takeovers_s)
        return Figures(
            mode=self._mode,
            runs=self._runs,
            controllers=len(self._site.intersections),
            takeover_s=round(ordered[-1], 2) if ordered and not self._never else PATIENCE_S,
            p50_takeover_s=_seconds(ordered, 0.50),
            p99_takeover_s=_seconds(ordered, 0.99),
            measured=len(ordered),
            never=self._never,
            two_in_command=two_in_command(rows),
            commands_obeyed=len(rows),
            alarms=len(raised),
            alarms_lost=len(raised - self._stored()),
        )

    def _orders(self, place: _Place, other: _Place, site: Path) -> joined_edge.Orders:
        return joined_edge.Orders(
            edge=place.edge,
            home=str(place.home),
            members=[(one.device, one.role) for one in self._pki.members],
            port=place.port,
            broker_port=place.broker_port,
            mqtts_port=place.mqtts_port,
            site=str(site),
            everywhere=bool(place.namespace),
            peer=other.as_peer(first=place.edge == EDGES[0]),
        )

    def _members(self) -> list[Member]:
        controllers = [Member(one.controller, "controller") for one in self._site.intersections]
        return controllers + [Member(DeviceId(f"agent-{number}"), "agent") for number in range(AGENTS)]

    def _connect(self, identity: Identity) -> PahoClient:
        return PahoClient(
            self._brokers,
            identity.device,
            death_will(identity),
            keepalive_s=KEEPALIVE_S,
            tls=lambda: self._pki.context(identity.device),
        )

    def _await_steady(self) -> dict[str, str]:
        """Wait until both edge servers hear everything, and each intersection has obeyed one of them for STEADY_S:
        which one that is."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            now_ms = self._clock.monotonic_ms()
            recent = [row for row in self._obeyed.copy() if row[2] >= now_ms - STEADY_S * 1000]
            pairs = {(intersection, edge) for intersection, edge, _, _ in recent}
            steered = dict(pairs)
            lasted = all(
                min(row[2] for row in recent if row[0] == one) <= now_ms - (STEADY_S - 1) * 1000 for one in steered
            )
            if len(pairs) == len(steered) == len(self._site.intersections) and lasted and self._both_hear():
                return steered
            time.sleep(0.1)
        logs = "\n".join(edge.log[-800:] for edge in self._edges.values())
        raise RuntimeError(f"no edge server steers all intersections; the logs end:\n{logs}")

    def _both_hear(self) -> bool:
        """Both have stored something of the last seconds: the one that stands by is connected, and knows it all."""
        return all(_newest_ms(edge.place.home) >= (time.time() - STEADY_S) * 1000 for edge in self._edges.values())

    def _stored(self) -> set[tuple[str, str, int]]:
        found: set[tuple[str, str, int]] = set()
        for edge in self._edges.values():
            with closing(_store(edge.place.home)) as store:
                found |= set(store.execute("SELECT source, boot, seq FROM alarms"))
        return found


class _Agent:
    """A device with a real link and outbox that raises and clears an alarm again and again."""

    def __init__(self, device: DeviceId, connect: Connect, clock: SystemClock) -> None:
        self._identity = Identity(device, clock)
        self._outbox = Outbox(self._identity.boot, clock, None)
        self._link = Link(self._identity, connect(self._identity), self._outbox, birth=self._birth)
        self._finishing = threading.Event()
        self._thread = threading.Thread(target=self._speak, name=device, daemon=True)
        self.raised: set[tuple[str, str, int]] = set()

    def start(self) -> None:
        self._link.start()
        self._thread.start()

    def finish(self) -> None:
        self._finishing.set()
        if self._thread.is_alive():
            self._thread.join()

    def stop(self) -> None:
        self.finish()
        self._link.stop()

    @property
    def waiting(self) -> int:
        return self._outbox.metrics.queued + self._outbox.metrics.in_flight

    def _birth(self) -> Birth:
        return Birth(**self._identity.live(), role="agent", software="bench", simulated=True)

    def _speak(self) -> None:
        while not self._finishing.wait(ALARM_EVERY_S):
            alarm = Alarm(
                **self._identity.accounted(),
                alarm="bench",
                subject=self._identity.device,
                severity="info",
                active=len(self.raised) % 2 == 0,
                text="A message that must never be lost.",
            )
            self.raised.add((alarm.source, alarm.boot, alarm.seq))
            self._link.send(ALARM, alarm)


def two_in_command(rows: Sequence[tuple[str, str, int, int]]) -> int:
    """Commands (intersection, edge, when, until when) that were obeyed while the lease of another edge ran."""
    found = 0
    for intersection in {row[0] for row in rows}:
        until: dict[str, int] = {}
        for _, edge, at_ms, until_ms in sorted((row for row in rows if row[0] == intersection), key=lambda row: row[2]):
            found += any(other != edge and at_ms < lapses_ms for other, lapses_ms in until.items())
            until[edge] = until_ms
    return found


def _seconds(ordered: list[float], share: float) -> float | None:
    found = percentile([1000 * one for one in ordered], share)
    return round(found / 1000, 2) if found is not None else None


def _newest_ms(home: Path) -> int:
    """When the store of an edge server took its last alarm; 0 while there is none, or no store."""
    with suppress(sqlite3.Error), closing(_store(home)) as store:
        (last,) = store.execute("SELECT max(received_ms) FROM alarms WHERE alarm = 'bench'").fetchone()
        return last or 0
    return 0


def _store(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{home / 'edge.db'}?mode=ro", uri=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _in_namespaces(orders: Orders) -> Figures:
    """A network of three machines: two edge servers and, in a third one, everybody else. They are joined by a bridge in
    the third; to vanish is to lose the cable."""
    if os.geteuid() != 0:
        raise RuntimeError("`vanish` makes network namespaces, which only root may do; `hang` needs no root")
    tag = f"{os.getpid():x}"
    street, *others = names = [f"kf-{tag}-{end}" for end in ("s", *(edge[-1] for edge in EDGES))]
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", street, "link", "add", "road", "type", "bridge")
        _ip("-n", street, "address", "add", "10.83.7.9/24", "dev", "road")
        _ip("-n", street, "link", "set", "road", "up")
        for number, name in enumerate(others, start=1):
            _ip("-n", street, "link", "add", f"to-{number}", "type", "veth", "peer", "name", "out", "netns", name)
            _ip("-n", street, "link", "set", f"to-{number}", "master", "road", "up")
            _ip("-n", name, "address", "add", f"10.83.7.{number}/24", "dev", "out")
            _ip("-n", name, "link", "set", "out", "up")
        done = subprocess.run(
            ["ip", "netns", "exec", street, sys.executable, "-m", "benchmarks.pair"],
            cwd=ROOT,
            env={**os.environ, "KF_BENCH": tag},
            input=msgspec.json.encode(orders),
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError("the bench inside its network failed; its reason stands above")
        return msgspec.json.decode(done.stdout, type=Figures)
    finally:
        for name in names:
            with suppress(RuntimeError):
                _ip("netns", "delete", name)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(carry_out(msgspec.json.decode(sys.stdin.buffer.read(), type=Orders))))
