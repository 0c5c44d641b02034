"""`bench load`: what one edge server holds with mosquitto and TLS, where it breaks, and what happens then.

Devices with a certificate each register and send, at a rate that grows until it is too much; then at one, two and four
times the most that was held, without holding back. Whatever is offered, no alarm may be lost: each has a number, and is
looked for in the store. What of the telemetry is not there in the end was given up, wherever that was.
Devices, broker and edge server share this machine's processors, and so the figures are of all of them together.
"""

from __future__ import annotations

import http.client
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from benchmarks import joined_edge
from benchmarks.child import end
from benchmarks.edge import ROOT, SPARE_FILES, percentile
from benchmarks.edge import load as run_load
from benchmarks.load import Orders, Report
from benchmarks.pki import Pki
from node.broker.acl import Member
from node.broker.paho_client import PahoClient
from node.clock import SystemClock
from node.ports import any_free_port
from node.trust.authority import FOLDER, Authority
from node.trust.desk import Desk
from node.trust.join_code import decode
from node.trust.joining import Joining
from node.trust.records import Records
from node.trust.registry import Registry
from node.trust.tls import PinnedContext
from protocol.ids import DeviceId
from sim_devices.fleet.device import is_alarm
from sim_devices.fleet.fleet import allow_files

EDGE = DeviceId("edge-bench")
# Not 127.0.0.1: by every other address the gateway speaks HTTPS, and devices may join.
HOST = "127.0.0.2"
JOINING = 40
JOINING_AT_ONCE = 4
FIRST_RATE = 400.0
GROWTH = 1.5
MOST_STEPS = 8
# Then these times what it held, from devices that do not hold back: what happens when nobody spares it.
TIMES = (1.0, 2.0, 4.0)
UNSPARING = 10_000
# What still waits when the load ends must be stored within this.
HOLDS_DRAIN_S = 2.0
START_TIMEOUT_S = 40.0
BROKER_TELLS_S = 1.5
JOIN_WITHIN_S = 60.0
DRAIN_S = 60.0
# An acknowledgement that takes longer than this means that messages pile up: a device sends again after 5 s.
HOLDS_P99_MS = 2_000


class Step(Struct, kw_only=True):
    """One load. times: of what was held; None while that is being found. offered_per_s: what the devices came to make,
    or held back. stored_per_s: over the load and what followed until all was acknowledged. refused: by the edge
    server's full inbox; dropped: by the broker's full queue; devices sent both again. held_back: not made, because a
    device had too much under way. shed: observations that are not in the store in the end, held back, refused or
    dropped. unacknowledged: still waiting in devices then. cpu: of one core, while it lasted."""

    rate_per_s: float
    times: float | None
    seconds: float
    offered_per_s: float
    stored_per_s: float
    holds: bool
    observations: int
    shed: int
    refused: int
    dropped: int
    held_back: int
    unacknowledged: int
    repeated: int
    reconnected: int
    lost: int
    alarms: int
    alarms_lost: int
    p50_alarm_ms: float | None
    p99_alarm_ms: float | None
    drain_s: float
    edge_cpu_percent: float
    broker_cpu_percent: float
    load_cpu_percent: float


class Figures(Struct, kw_only=True):
    """messages_per_s: the most that was stored without shedding anything. holds_per_s: the rate that was.
    joins_per_minute: devices that make a key, show a join code over HTTPS, get their certificate and come in to the
    broker, four at once. connects_per_minute: all devices, from TLS to registration, fifty at once. shed: over all
    steps. breaks_at_per_s: the lowest rate that was too much; None when none was."""

    devices: int
    tls: bool
    cores: int
    messages_per_s: float
    holds_per_s: float
    breaks_at_per_s: float | None
    joins_per_minute: float
    connects_per_minute: float
    shed: int
    lost: int
    alarms: int
    alarms_lost: int
    edge_peak_rss_mb: float
    steps: list[Step]


def measure(devices: int, seconds: float, tls: bool) -> Figures:
    """Everything that it starts has ended when this returns. Raises RuntimeError with the reason."""
    needed = devices + SPARE_FILES
    if (allowed := allow_files(needed)) < needed:
        raise RuntimeError(f"{devices} devices need {needed} open files; this user may have {allowed}")
    with tempfile.TemporaryDirectory(prefix="kinflow-load-") as folder:
        members = [Member(DeviceId(f"bench-{number:05d}"), "agent") for number in range(devices)]
        pki = Pki(Path(folder), [EDGE], members)
        steps: list[Step] = []
        connects: list[float] = []
        with _Edge(Path(folder) / EDGE, pki) as edge:
            rate = FIRST_RATE
            while len(steps) < MOST_STEPS and all(step.holds for step in steps):
                steps.append(_step(edge, pki if tls else None, devices, rate, seconds, connects))
                rate *= GROWTH
            holds_per_s = max((step.rate_per_s for step in steps if step.holds), default=FIRST_RATE)
            for times in TIMES:
                steps.append(_step(edge, pki if tls else None, devices, holds_per_s, seconds, connects, times))
            joins_per_minute = round(60 * JOINING / _join(edge, Path(folder)), 1)
            peak_mb = edge.peak_rss_mb()
        growing = [step for step in steps if step.times is None]
        held = [step.stored_per_s for step in growing if step.holds]
        return Figures(
            devices=devices,
            tls=tls,
            cores=len(os.sched_getaffinity(0)),
            messages_per_s=max(held, default=0.0),
            holds_per_s=holds_per_s,
            breaks_at_per_s=min((step.rate_per_s for step in growing if not step.holds), default=None),
            joins_per_minute=joins_per_minute,
            connects_per_minute=round(60 * devices / min(connects)),
            shed=sum(step.shed for step in steps),
            lost=sum(step.lost for step in steps),
            alarms=sum(step.alarms for step in steps),
            alarms_lost=sum(step.alarms_lost for step in steps),
            edge_peak_rss_mb=peak_mb,
            steps=steps,
        )


def _step(  # noqa: PLR0917 (what makes a load)
    edge: _Edge,
    pki: Pki | None,
    devices: int,
    rate: float,
    seconds: float,
    connects: list[float],
    times: float | None = None,
) -> Step:
    rate *= times or 1.0
    orders = Orders(
        broker_port=edge.orders.mqtts_port if pki is not None else edge.orders.broker_port,
        broker_password=(edge.home / "broker-password").read_text().strip(),
        devices=devices,
        rate=rate,
        seconds=seconds,
        drain_s=DRAIN_S,
        gateway_port=0,
        token="",
        pki=str(pki.devices) if pki is not None else "",
        host=HOST,
        window=None if times is None else UNSPARING,
    )
    sorted_out, before, began = edge.sorted_out(), edge.cpu_s(), time.monotonic()
    report = run_load(orders)
    took_s, after = time.monotonic() - began, edge.cpu_s()
    connects.append(report.connect_s)
    found = _found(edge.home / "edge.db", report)
    numbered = {(source, boot): highest for source, boot, highest in report.numbered}
    made = ((*key, seq) for key, highest in numbered.items() for seq in range(1, highest + 1))
    alarms = {one for one in made if is_alarm(one[0], one[2])}
    stored = len(found)
    acked = sorted(float(one) for one in report.alarm_acked_ms)
    p99 = percentile(acked, 0.99)
    refused, dropped = (now - then for now, then in zip(edge.sorted_out(), sorted_out, strict=True))
    offered = sum(numbered.values()) + report.held_back
    shed = offered - len(alarms) - len(found - alarms)
    spared = refused == dropped == shed == 0
    return Step(
        rate_per_s=round(rate, 1),
        times=times,
        seconds=seconds,
        offered_per_s=round(offered / report.load_s, 1),
        stored_per_s=round(stored / (report.load_s + report.drain_s), 1),
        holds=spared and report.drain_s <= HOLDS_DRAIN_S and (p99 or 0) <= HOLDS_P99_MS,
        observations=offered - len(alarms),
        shed=shed,
        refused=refused,
        dropped=dropped,
        held_back=report.held_back,
        unacknowledged=report.unacknowledged,
        repeated=report.repeated,
        reconnected=report.reconnected,
        lost=sum(numbered.values()) - stored - report.unacknowledged,
        alarms=len(alarms),
        alarms_lost=len(alarms - found),
        p50_alarm_ms=percentile(acked, 0.50),
        p99_alarm_ms=p99,
        drain_s=round(report.drain_s, 1),
        edge_cpu_percent=round(100 * (after[0] - before[0]) / took_s, 1),
        broker_cpu_percent=round(100 * (after[1] - before[1]) / took_s, 1),
        load_cpu_percent=round(100 * report.cpu_s / took_s, 1),
    )


def _join(edge: _Edge, folder: Path) -> float:
    """Seconds that it takes JOINING devices to join, from the code to the broker's door."""
    names = [DeviceId(f"fresh-{number:03d}") for number in range(JOINING)]
    clock = SystemClock()
    with closing(Records(edge.home / FOLDER)) as records:
        registry = Registry(Authority(edge.home / FOLDER, EDGE, clock.wall_ms()), records, clock.wall_ms)
        codes = [Desk(registry).make_code(device=name, approved=True)[0] for name in names]

    def join(name: DeviceId, code: str) -> None:
        joining = Joining(folder / "joining" / name, decode(code), HOST, edge.orders.port, name)
        credentials = joining.wait(lambda _: None, JOIN_WITHIN_S).credentials
        if credentials is None:
            raise RuntimeError(f"{name} could not join")
        entered = threading.Event()
        client = PahoClient(credentials.brokers(), name, tls=credentials.tls)
        client.watch(lambda connected: entered.set() if connected else None)
        client.start()
        inside = entered.wait(JOIN_WITHIN_S)
        client.stop()
        if not inside:
            raise RuntimeError(f"{name} joined, and could not come in to the broker: {client.error}")

    began = time.monotonic()
    with ThreadPoolExecutor(JOINING_AT_ONCE) as pool:
        list(pool.map(join, names, codes))
    return time.monotonic() - began


class _Edge:
    """A real edge server with mosquitto and an authority, as a process of its own."""

    def __init__(self, home: Path, pki: Pki) -> None:
        self.home = home
        self._pki = pki
        self.orders = joined_edge.Orders(
            edge=EDGE,
            home=str(home),
            members=[],
            host=HOST,
            port=any_free_port(),
            broker_port=any_free_port(),
            mqtts_port=any_free_port(),
        )
        (home / "orders.json").write_bytes(msgspec.json.encode(self.orders))
        with (home / "edge.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.joined_edge", str(home / "orders.json")],
                cwd=ROOT,
                env={**os.environ, "KINFLOW_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def __enter__(self) -> _Edge:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "connected to" not in (self.home / "edge.log").read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError("the edge server did not start: " + (self.home / "edge.log").read_text()[-1500:])
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)

    @property
    def token(self) -> str:
        return (self.home / "edge-token").read_text().strip()

    def sorted_out(self) -> tuple[int, int]:
        """What the edge server says that it refused, and that its broker dropped, so far. The broker tells once a
        second."""
        time.sleep(BROKER_TELLS_S)
        context = PinnedContext(self._pki.ca, None)
        with closing(http.client.HTTPSConnection(HOST, self.orders.port, timeout=30, context=context)) as connection:
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.token}"})
            said = connection.getresponse().read().decode()
        refused, dropped = (
            int(float(re.findall(rf"^kinflow_{name}_messages_total (\S+)", said, re.M)[0]))
            for name in ("shed", "broker_dropped")
        )
        return refused, dropped

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far: of the edge server, and of its broker."""
        process = psutil.Process(self._process.pid)
        times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
        own, *others = (float(one.user + one.system) for one in times)
        return own, sum(others)

    def peak_rss_mb(self) -> float:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
        return 0.0


def _found(path: Path, report: Report) -> set[tuple[str, str, int]]:
    """The load's messages in the store."""
    boots = {boot for _, boot, _ in report.numbered}
    statement = "SELECT source, boot, seq FROM observations UNION ALL SELECT source, boot, seq FROM alarms"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        return {row for row in store.execute(statement) if row[1] in boots}


def plot(figures: Figures, path: Path) -> None:
    """What was stored, left out, and how long alarms took, over the rate that was offered."""
    import matplotlib as mpl  # noqa: PLC0415 (only a plot needs it, and only the dev extra has it)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    steps = sorted(figures.steps, key=lambda step: step.offered_per_s)
    rates = [step.offered_per_s for step in steps]
    panels: Sequence[tuple[str, list[float], list[float] | None]] = (
        ("messages stored a second", [step.stored_per_s for step in steps], rates),
        ("refused or dropped, and sent again", [float(step.refused + step.dropped) for step in steps], None),
        ("alarm to acknowledgement, p99, ms", [step.p99_alarm_ms or 0.0 for step in steps], None),
    )
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 3.2), constrained_layout=True)
    for axis, (title, values, offered) in zip(axes, panels, strict=True):
        if offered is not None:
            axis.plot(rates, offered, "--", color="0.6", label="offered")
        axis.plot(rates, values, "o-", color="#1f5fbf", label="measured")
        for x, y in zip(rates, values, strict=True):
            axis.annotate(f"{y:,.0f}", (x, y), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
        axis.set(title=title, xlabel="messages offered a second", ylim=(0, max(values) * 1.25 or 1.0))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, loc="lower right")
    lost = f"{figures.alarms:,} alarms, {figures.alarms_lost} lost"
    figure.suptitle(f"{figures.devices:,} devices by TLS on {figures.cores} cores, load included; {lost}", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
