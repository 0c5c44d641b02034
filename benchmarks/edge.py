"""`bench edge`: broker, a real edge server and simulated devices as processes of their own, on loopback.

Measured: how many messages a second reach the store, and how long one takes from a device's publish to the event that
a reader of the dashboard's stream gets. What was numbered by a device and is not in the store afterwards is lost.
"""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from benchmarks.child import end
from benchmarks.load import Orders, Report
from node.ports import any_free_port
from sim_devices.fleet.fleet import allow_files

START_TIMEOUT_S = 30.0
DRAIN_S = 30.0
SPARE_FILES = 200
EDGE = [sys.executable, "-c", "from kinflow.main import main; main()", "edge", "run"]
LOAD = [sys.executable, "-m", "benchmarks.load"]
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Setting:
    broker: str
    devices: int
    rate: float
    seconds: float


class Figures(Struct, kw_only=True):
    """messages_per_s: stored, over the time from the first publish to the last acknowledgement. cpu: of one core."""

    broker: str
    devices: int
    rate_per_s: float
    seconds: float
    messages_per_s: float
    p50_event_ms: float | None
    p99_event_ms: float | None
    event_measured_at: str
    events_measured: int
    numbered: int
    stored: int
    lost: int
    duplicated: int
    held_back: int
    repeated: int
    reconnected: int
    drain_s: float
    edge_cpu_percent: float
    broker_cpu_percent: float | None
    load_cpu_percent: float
    edge_peak_rss_mb: float
    open_files_limit: int


def measure(setting: Setting) -> Figures:
    """Run it once; everything that it starts has ended when this returns. Raises RuntimeError with the reason."""
    needed = setting.devices + SPARE_FILES
    if (allowed := allow_files(needed)) < needed:
        raise RuntimeError(f"{setting.devices} devices need {needed} open files; this user may have {allowed}")
    with tempfile.TemporaryDirectory(prefix="kinflow-bench-") as folder:
        home = Path(folder)
        with _Edge(setting, home) as edge:
            orders = Orders(
                broker_port=edge.broker_port,
                broker_password=(home / "broker-password").read_text().strip(),
                devices=setting.devices,
                rate=setting.rate,
                seconds=setting.seconds,
                drain_s=DRAIN_S,
                gateway_port=edge.port,
                token=(home / "edge-token").read_text().strip(),
            )
            before = edge.cpu_s()
            began = time.monotonic()
            report = load(orders)
            took_s = time.monotonic() - began
            after = edge.cpu_s()
            stored, duplicated, lost = _compare(home / "edge.db", report)
            event_ms = sorted(report.event_ms)
            return Figures(
                broker=setting.broker,
                devices=setting.devices,
                rate_per_s=setting.rate,
                seconds=setting.seconds,
                messages_per_s=round(stored / (report.load_s + report.drain_s), 1),
                p50_event_ms=percentile(event_ms, 0.50),
                p99_event_ms=percentile(event_ms, 0.99),
                event_measured_at="server-sent events",
                events_measured=len(event_ms),
                numbered=sum(highest for _, _, highest in report.numbered),
                stored=stored,
                lost=lost,
                duplicated=duplicated,
                held_back=report.held_back,
                repeated=report.repeated,
                reconnected=report.reconnected,
                drain_s=round(report.drain_s, 2),
                edge_cpu_percent=round(100 * (after[0] - before[0]) / took_s, 1),
                broker_cpu_percent=round(100 * (after[1] - before[1]) / took_s, 1) if edge.has_broker_process else None,
                load_cpu_percent=round(100 * report.cpu_s / took_s, 1),
                edge_peak_rss_mb=edge.peak_rss_mb(),
                open_files_limit=report.open_files_limit,
            )


def percentile(ordered: list[float], share: float) -> float | None:
    """Nearest rank; None of nothing."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None


class _Edge:
    """A real edge server with its broker, in a state folder of its own."""

    def __init__(self, setting: Setting, home: Path) -> None:
        self.port, self.broker_port = any_free_port(), any_free_port()
        ports = ["--port", str(self.port), "--broker-port", str(self.broker_port)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KINFLOW_")}
        self._home = home
        self._log = home / "edge.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*EDGE, "--home", str(home), "--embed", setting.broker, "--id", "edge-bench", *ports],
                cwd=ROOT,
                env={**environment, "KINFLOW_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def __enter__(self) -> _Edge:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError("the edge server did not start: " + self._log.read_text()[-1500:])
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)

    @property
    def has_broker_process(self) -> bool:
        return bool(psutil.Process(self._process.pid).children())

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far: of the edge server, and of the broker that it started."""
        process = psutil.Process(self._process.pid)
        return _cpu_s(process), sum(_cpu_s(child) for child in process.children(recursive=True))

    def peak_rss_mb(self) -> float:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
        rss: int = psutil.Process(self._process.pid).memory_info().rss
        return round(rss / 2**20, 1)

    def _answers(self) -> bool:
        """Whether the door is open and the broker reached: a device's birth is then heard as it happens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2.0)
        try:
            token = (self._home / "edge-token").read_text().strip()
            connection.request("GET", "/api/v1/state", headers={"Authorization": f"Bearer {token}"})
            servers = json.loads(connection.getresponse().read())["servers"]
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return any(one["broker_connected"] for one in servers)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def load(orders: Orders) -> Report:
    limit_s = orders.seconds + orders.drain_s + 90.0
    with subprocess.Popen(LOAD, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            output, _ = process.communicate(msgspec.json.encode(orders), timeout=limit_s)
        finally:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"the load process ended with status {process.returncode}")
    return msgspec.json.decode(output, type=Report)


def _compare(path: Path, report: Report) -> tuple[int, int, int]:
    """Messages of the load in the store, those there more than once, and those that never came."""
    expected = {(source, boot): highest for source, boot, highest in report.numbered}
    found: dict[tuple[str, str], set[int]] = {key: set() for key in expected}
    rows = 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        statement = "SELECT source, boot, seq FROM observations UNION ALL SELECT source, boot, seq FROM alarms"
        for source, boot, seq in store.execute(statement):
            if (source, boot) in found:
                found[source, boot].add(seq)
                rows += 1
    stored = sum(map(len, found.values()))
    return stored, rows - stored, sum(expected.values()) - stored
