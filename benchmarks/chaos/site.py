"""One site of `bench chaos`: an edge server with mosquitto, two agents with cameras and two controllers, all joined by
TLS, each a real process that is kept running, with links between them and disks of their own; and how each is hurt."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from benchmarks import joined_edge
from benchmarks.chaos import agent, controllers
from benchmarks.chaos.clip import draw_clip
from benchmarks.chaos.controllers import Line
from benchmarks.chaos.disk import SmallDisk
from benchmarks.chaos.ledger import Entry, entries
from benchmarks.chaos.process import Kept
from benchmarks.chaos.schedule import Fault
from benchmarks.wall import shift
from node.clock import SystemClock
from node.ports import any_free_port
from node.trust.authority import FOLDER, Authority
from node.trust.desk import Desk
from node.trust.join_code import decode
from node.trust.joining import Joining
from node.trust.records import Records
from node.trust.registry import Registry
from protocol.ids import DeviceId
from protocol.messages.presence import Role
from protocol.site import Site as Streets
from sim_devices.city.city import plan_city
from sim_devices.city.layout import CityLayout
from sim_devices.city.site import write_site
from sim_devices.faults.link_state import LinkState
from sim_devices.faults.proxy import LinkProxy

# By any address but 127.0.0.1 the edge server speaks HTTPS, and devices may join.
HOST = "127.0.0.2"
AGENTS = ("agent-1", "agent-2")
# Compressed: a certificate lasts four minutes and is renewed after two and a half; readings are kept for three.
CERTIFICATE_DAYS = 4 / (24 * 60)
KEPT_MINUTES = 3.0
EDGE_DISK_MB, AGENT_DISK_MB = 2_000, 64
START_S, JOIN_S, BROKER_S = 60.0, 60.0, 20.0
LOOK_S = 0.1
LINKS = {
    "refused": LinkState(cut="refused"),
    "black-hole": LinkState(cut="black-hole"),
    "slow": LinkState(delay_ms=400.0, jitter_ms=300.0, stall_share=0.2, stall_ms=1_500.0),
    "resets": LinkState(delay_ms=20.0, reset_share=0.1),
}
UP = LinkState()


@dataclass(frozen=True)
class Mark:
    """How far everything was at one moment: what comes after it shows that all is well again."""

    mono_ms: int
    ticks: dict[str, int]
    observation: int


class Site:
    """number: tells this site's names from another's. disks: whether it may mount small ones. Use as a context."""

    def __init__(self, folder: Path, name: str, seed: int, disks: bool) -> None:
        self.folder, self.name = folder / name, name
        self.folder.mkdir()
        self._clock = SystemClock()
        self.streets: Streets = plan_city(CityLayout(columns=2, rows=1), folder).site
        write_site(self.streets, self.folder / "site.toml")
        edge_home = self.folder / "edge"
        self.disks: dict[str, SmallDisk] = {}
        for owner, size_mb in (("edge", EDGE_DISK_MB), *((one, AGENT_DISK_MB) for one in AGENTS)) if disks else ():
            self.disks[owner] = SmallDisk(self.folder / f"{owner}.img", self.folder / owner, size_mb)
        self._edge_orders = joined_edge.Orders(
            edge=DeviceId("edge-1"),
            home=str(edge_home),
            members=[],
            host=HOST,
            port=any_free_port(),
            broker_port=any_free_port(),
            mqtts_port=any_free_port(),
            site=str(self.folder / "site.toml"),
            certificate_days=CERTIFICATE_DAYS,
            kept_minutes=KEPT_MINUTES,
            wall=str(self._wall("edge")),
        )
        self.edge = Kept("edge", "benchmarks.joined_edge", self._edge_orders, self.folder)
        target = (HOST, self._edge_orders.mqtts_port)
        self.links = {name: LinkProxy(target, seed, host=HOST) for name in ("agents", "controllers")}
        approaches = [one for one in self.streets.approaches() if one.camera is not None]
        self.agents: dict[str, Kept] = {}
        for number, (device, approach) in enumerate(zip(AGENTS, approaches, strict=False)):
            draw_clip(self._clip(device), seed + number)
            orders = agent.Orders(
                device=DeviceId(device),
                home=str(self.folder / device),
                host=HOST,
                broker_port=self.links["agents"].address[1],
                camera=str(approach.camera),
                source=str(self._clip(device)),
                approach=approach.id,
                ledger=str(self.ledger(device)),
                wall=str(self._wall(device)),
            )
            self.agents[device] = Kept(device, "benchmarks.chaos.agent", orders, self.folder)
        self.journal = self.folder / "journal.jsonl"
        self.controllers = Kept(
            "controllers",
            "benchmarks.chaos.controllers",
            controllers.Orders(
                site=str(self.folder / "site.toml"),
                homes=str(self.folder / "controllers"),
                host=HOST,
                broker_port=self.links["controllers"].address[1],
                journal=str(self.journal),
            ),
            self.folder,
        )
        self._read_to = 0
        self._obeyed_ms: dict[str, int] = {}
        self._reading = threading.Lock()

    def __enter__(self) -> Site:
        try:
            for disk in self.disks.values():
                disk.mount()
            (self.folder / "edge").mkdir(exist_ok=True)
            self.edge.start()
            self._until("the edge server's start", lambda: "connected to" in self.edge.log.read_text())
            for link in self.links.values():
                link.start()
            for device in AGENTS:
                self._join(DeviceId(device), "agent", self.folder / device)
            for one in self.streets.intersections:
                self._join(one.controller, "controller", self.folder / "controllers" / one.controller)
            for kept in (*self.agents.values(), self.controllers):
                kept.start()
            start = self.mark()
            self._until("everything's first words", lambda: self.whole(start))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for disk in self.disks.values():
            disk.unmount()

    def stop(self) -> None:
        """End every process; what they wrote can be read until the context ends. Once is enough."""
        for kept in (*self.agents.values(), self.controllers, self.edge):
            kept.stop()
        for link in self.links.values():
            link.stop()

    def ledger(self, device: str) -> Path:
        return self.folder / f"{device}.ledger.jsonl"

    def hurt(self, fault: Fault) -> AbstractContextManager[None]:
        """The fault lasts as long as the context. Raises RuntimeError or OSError where it can't be made."""
        match fault.kind:
            case "link":
                return self._link_hurt(fault)
            case "disk":
                return self._disk_full(self.disks[fault.target])
            case "camera":
                return self._camera_broken(fault)
            case "clock":
                return self._clock_wrong(fault)
            case "broker":
                return self._broker_hurt(fault)
            case _:
                kept = {"edge": self.edge, "controller": self.controllers}.get(fault.target)
                return self._process_hurt(kept or self.agents[fault.target], fault.way)

    def mark(self) -> Mark:
        ticks = {device: _ticks(self.ledger(device)) for device in AGENTS}
        with suppress(sqlite3.Error), closing(self._store()) as store:
            (last,) = store.execute("SELECT max(id) FROM observations").fetchone()
            return Mark(self._clock.monotonic_ms(), ticks, last or 0)
        return Mark(self._clock.monotonic_ms(), ticks, 0)

    def whole(self, mark: Mark) -> bool:
        """Since `mark`, each agent's later alarm and a picture's reading of each are in the store, and each controller
        has obeyed the edge server."""
        with suppress(sqlite3.Error), closing(self._store()) as store:
            for device, number in mark.ticks.items():
                found = store.execute(
                    "SELECT 1 FROM alarms WHERE source = ? AND alarm = ? AND CAST(text AS INTEGER) > ?"
                    " ORDER BY id DESC LIMIT 1",
                    (device, agent.TICK, number),
                ).fetchone()
                seen = store.execute(
                    "SELECT 1 FROM observations WHERE source = ? AND id > ? AND problems NOT LIKE '%stalled%' LIMIT 1",
                    (device, mark.observation),
                ).fetchone()
                if found is None or seen is None:
                    return False
            return all(self._obeyed(one.id) > mark.mono_ms for one in self.streets.intersections)
        return False

    def said(self) -> list[Entry]:
        return [one for device in AGENTS for one in entries(self.ledger(device))]

    def stored(self) -> list[tuple[str, str, int, str]]:
        """(source, boot, number, what distinguishes its content) of each alarm of an agent."""
        with closing(self._store()) as store:
            rows = store.execute("SELECT source, boot, seq, alarm, text FROM alarms").fetchall()
        return [
            (source, boot, seq, text if alarm == agent.TICK else "")
            for source, boot, seq, alarm, text in rows
            if source in AGENTS
        ]

    def looked(self) -> list[Line]:
        return [msgspec.json.decode(line, type=Line) for line in self.journal.read_bytes().splitlines()]

    def died(self) -> dict[str, list[int]]:
        """How each process ended by itself, each time."""
        return {one.name: one.died for one in (self.edge, *self.agents.values(), self.controllers) if one.died}

    def renewals(self) -> int:
        with closing(sqlite3.connect(f"file:{self.folder / 'edge' / FOLDER / 'authority.db'}?mode=ro", uri=True)) as db:
            (issued,) = db.execute("SELECT count(*) FROM certificates").fetchone()
        return int(issued) - len(AGENTS) - len(self.streets.intersections)

    def _wall(self, owner: str) -> Path:
        return self.folder / f"{owner}.wall"

    def _clip(self, device: str) -> Path:
        return self.folder / f"{device}.avi"

    @contextmanager
    def _link_hurt(self, fault: Fault) -> Iterator[None]:
        names = list(self.links) if fault.target == "all" else [fault.target]
        for name in names:
            self.links[name].set_state(LINKS[fault.way])
        try:
            yield
        finally:
            for name in names:
                self.links[name].set_state(UP)

    @contextmanager
    def _disk_full(self, disk: SmallDisk) -> Iterator[None]:
        disk.fill()
        try:
            yield
        finally:
            disk.free()

    @contextmanager
    def _clock_wrong(self, fault: Fault) -> Iterator[None]:
        shift(self._wall(fault.target), fault.shift_s)
        try:
            yield
        finally:
            shift(self._wall(fault.target), 0.0)

    @contextmanager
    def _broker_hurt(self, fault: Fault) -> Iterator[None]:
        broker = self._running_broker()
        if fault.way == "kill":
            broker.kill()
            yield
            return
        broker.suspend()
        try:
            yield
        finally:
            broker.resume()

    def _running_broker(self) -> psutil.Process:
        """The edge server may just be starting one."""
        deadline = time.monotonic() + BROKER_S
        while (found := self.edge.child("mosquitto")) is None:
            if time.monotonic() > deadline:
                raise RuntimeError("no broker runs")
            time.sleep(LOOK_S)
        return found

    @contextmanager
    def _camera_broken(self, fault: Fault) -> Iterator[None]:
        clip = self._clip(fault.target)
        away = clip.with_suffix(".away")
        clip.rename(away)
        if fault.way == "garbage":
            clip.write_bytes(b"no picture at all\n" * 1_000)
        try:
            yield
        finally:
            away.replace(clip)

    @contextmanager
    def _process_hurt(self, kept: Kept, way: str) -> Iterator[None]:
        if way == "hang":
            kept.hang(True)
            try:
                yield
            finally:
                kept.hang(False)
            return
        kept.kill(signal.SIGTERM if way == "stop" else signal.SIGKILL)
        yield

    def _obeyed(self, intersection: str) -> int:
        with self._reading:
            if self.journal.exists():
                with self.journal.open("rb") as file:
                    file.seek(self._read_to)
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        self._read_to += len(line)
                        one = msgspec.json.decode(line, type=Line)
                        if one.what == "obeyed":
                            self._obeyed_ms[one.intersection] = one.mono_ms
            return self._obeyed_ms.get(intersection, 0)

    def _join(self, device: DeviceId, role: Role, home: Path) -> None:
        files = self.folder / "edge" / FOLDER
        with closing(Records(files)) as records:
            registry = Registry(
                Authority(files, DeviceId("edge-1"), self._clock.wall_ms()), records, self._clock.wall_ms
            )
            code, _ = Desk(registry).make_code(device=device, approved=True)
        joining = Joining(home, decode(code), HOST, self._edge_orders.port, device, role)
        if joining.wait(lambda _: None, JOIN_S).credentials is None:
            raise RuntimeError(f"{device} could not join")

    def _store(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.folder / 'edge' / 'edge.db'}?mode=ro", uri=True, timeout=1.0)

    def _until(self, what: str, found: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not found():
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited in vain for {what}; the logs end:\n{self.logs()}")
            time.sleep(LOOK_S)

    def logs(self) -> str:
        return "\n".join(
            f"--- {one.name}\n{one.log.read_text()[-1_200:]}"
            for one in (self.edge, *self.agents.values(), self.controllers)
            if one.log.exists()
        )

    def keep(self, folder: Path) -> None:
        """Copy what tells how it went: logs, ledgers, journal, store."""
        target = folder / self.name
        shutil.copytree(self.folder, target, ignore=shutil.ignore_patterns("*.img", "*.avi", "ballast"))


def _ticks(ledger: Path) -> int:
    return max((int(one.text) for one in entries(ledger) if one.alarm == agent.TICK), default=0)
