"""`kinflow bench agent`: how fast, how large and how kind to its disk one agent process is.

A real agent, as its own process held to one core, reads a rendered 640x360 video, with a real broker on loopback and
somebody who acknowledges. First it reads as fast as it can (frames a second), then at the video's own pace (writes).
With a detector it looks at every picture, and then at fewer of them.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import psutil
from msgspec import Struct, structs

from agent.detection.detectors import OFF, Detectors
from agent.traffic.calibration import calibrate, parse_points
from benchmarks.agent_stages import Skipped, kept, stages
from models.vision.detector import Detector
from node.broker.host import Kind, start_broker
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress, Received
from node.child import dying_with_parent
from node.clock import SystemClock
from node.identity import Identity
from node.ports import any_free_port
from protocol.codec import decode_addressed, encode
from protocol.ids import DeviceId
from protocol.messages import Ack, Observation
from protocol.topics import ACK, ALARM, GAP, HEALTH, OBSERVATION
from sim_devices.render.camera import mount
from sim_devices.render.road import Road
from sim_devices.render.scene import Scene
from sim_devices.render.sequences import Act, play
from sim_devices.render.weather import DAY

DEVICE = DeviceId("bench-agent")
FPS = 25.0
CLIP_S = 16.0
START_TIMEOUT_S = 30.0
SETTLE_S = 12.0
ROAD_SAVES_PER_DAY = 48
SKIPS, SKIPPING_S = (1, 2, 3, 5), 10.0
AGENT = [sys.executable, "-c", "from kinflow.main import main; main()", "agent", "run"]
IDLE = [sys.executable, "-m", "benchmarks.idle_link"]
ROOT = Path(__file__).parent.parent
_MB = 1_000_000


class Figures(Struct, kw_only=True):
    """frames_per_s: decoded, looked at and published, on one core. peak_rss_mb: of the agent, over both runs.
    link_idle_rss_mb: a process that holds a connected link and nothing else. writes_mb_per_day: what the kernel wrote
    to disk for the agent over `measured_s` with the link up, scaled, with the saving of the learnt road."""

    frames_per_s: float
    peak_rss_mb: float
    link_idle_rss_mb: float
    writes_mb_per_day: float
    broker: str
    codec: str
    cpu_percent_at_25_fps: float
    live_rss_mb: float
    measured_s: float


class DetectorFigures(Figures, kw_only=True):
    """With a detector on every picture. stages_ms: processor time for a picture, from decoding to what is told, in one
    process on one core; what the agent needs beyond them is its link. skipping: a detector on fewer pictures."""

    detector: str
    stages_ms: dict[str, float]
    skipping: tuple[Skipped, ...]


@dataclass
class Listener:
    """Acknowledges what an agent sends, as an edge server would, and keeps its observations."""

    address: BrokerAddress
    observations: list[Observation] = field(default_factory=list)

    def __enter__(self) -> Listener:
        self._identity = Identity(DeviceId("bench-edge"), SystemClock())
        self._client = PahoClient(self.address, "bench-edge")
        self._due: dict[str, list[int]] = {}
        self._lock, self._stopping = threading.Lock(), threading.Event()
        for topic in (OBSERVATION, HEALTH, ALARM, GAP):
            self._client.subscribe(topic.every(), 1, self._heard)
        self._client.start()
        self._thread = threading.Thread(target=self._acknowledge, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.stop()

    def _heard(self, received: Received) -> None:
        _, message = decode_addressed(received.topic, received.payload)
        with self._lock:
            self._due.setdefault(message.boot, []).append(message.seq)
        if isinstance(message, Observation):
            self.observations.append(message)

    def _acknowledge(self) -> None:
        while not self._stopping.wait(0.2):
            with self._lock:
                due, self._due = self._due, {}
            for boot, numbers in due.items():
                ranges = tuple((number, number) for number in sorted(set(numbers)))
                ack = Ack(**self._identity.live(), acked_boot=boot, ranges=ranges)  # type: ignore[arg-type]
                self._client.publish(ACK.of(DEVICE), encode(ack), ACK.qos)


def measure(broker: Kind, fast_s: float = 25.0, live_s: float = 90.0, detector: str = OFF) -> Figures:
    """Run it once; everything that it starts has ended when this returns. detector: as the agent's `--detector`. Raises
    what opening it raises."""
    model = Detectors(None).of(detector)
    with tempfile.TemporaryDirectory(prefix="kinflow-bench-") as folder:
        root = Path(folder)
        clip, codec, points = render_clip(root)
        host = start_broker(broker, root / "broker", any_free_port(), "bench-password")
        try:
            address = host.address
            url = f"mqtt://{address.username}:{address.password}@{address.host}:{address.port}"
            command = [*AGENT, "--camera", str(clip), "--road", points, "--broker", url, "--id", DEVICE, "--no-page"]
            command += ["--road-width", str(Road().width_m), "--road-length", str(Road().visible_length_m)]
            command += ["--detector", detector]
            idle_mb = _idle_rss_mb(url, root)
            with Listener(address) as listener:
                fast, fast_peak_mb = _fast(command, root, listener, fast_s)
            with Listener(address) as listener:
                live = _live(command, root, listener, live_s)
            more = {} if model is None else _detecting(model, command, root, address, fast)
        finally:
            host.stop()
    figures = Figures(
        frames_per_s=round(fast, 1),
        peak_rss_mb=round(max(fast_peak_mb, live.peak_rss_mb), 1),
        link_idle_rss_mb=round(idle_mb, 1),
        writes_mb_per_day=round(live.writes_mb_per_day, 2),
        broker=broker,
        codec=codec,
        cpu_percent_at_25_fps=round(live.cpu_percent, 1),
        live_rss_mb=round(live.rss_mb, 1),
        measured_s=round(live.seconds, 1),
    )
    return figures if model is None else DetectorFigures(**structs.asdict(figures), **more)


def _detecting(model: Detector, command: list[str], root: Path, address: BrokerAddress, whole: float) -> dict[str, Any]:
    """What DetectorFigures adds. whole: frames a second with a detector on every picture."""
    clip, points = Path(command[command.index("--camera") + 1]), command[command.index("--road") + 1]
    road, size = Road(), mount(Road(), seed=1)
    corners = parse_points(points)
    calibration = calibrate(corners, road.width_m, road.visible_length_m, (size.width_px, size.height_px))
    found = stages(clip, calibration, model)
    rows = []
    for every in SKIPS:
        per_s = whole
        if every > 1:
            with Listener(address) as listener:
                faster = [*command, "--detect-every", str(every)]
                per_s, _ = _fast(faster, root, listener, SKIPPING_S, f"home-every-{every}")
        share, ids = kept(calibration, model, found, every)
        rows.append(Skipped(every=every, frames_per_s=round(per_s, 1), boxes_kept=round(share, 3), ids=ids))
    told = {name: round(value, 2) for name, value in found.milliseconds.items()}
    return {"detector": model.name, "stages_ms": told, "skipping": tuple(rows)}


@dataclass(frozen=True)
class Live:
    peak_rss_mb: float
    rss_mb: float
    cpu_percent: float
    writes_mb_per_day: float
    seconds: float


def render_clip(folder: Path) -> tuple[Path, str, str]:
    """A day with a queue, 640x360 at 25 frames a second: H.264 where ffmpeg is installed, else MPEG-4. Also the road's
    corners, as --road takes them."""
    road = Road()
    camera = mount(road, seed=1)
    scene = Scene(camera, road, DAY, seed=1)
    path = folder / "road.mp4"
    size = (camera.width_px, camera.height_px)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, size)
    for t_s, vehicles in play(road, (Act(CLIP_S / 2, 900, False), Act(CLIP_S / 2, 900, True)), 1, FPS):
        writer.write(scene.render(vehicles, t_s, boxes=False).frame)
    writer.release()
    codec = "mpeg4"
    if ffmpeg := shutil.which("ffmpeg"):
        better = folder / "road-h264.mp4"
        options = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "1500k", "-g", "50"]
        done = subprocess.run([ffmpeg, "-v", "error", "-i", path, *options, better], check=False, capture_output=True)
        if done.returncode == 0:
            path, codec = better, "h264"
    return path, codec, ",".join(f"{value:.1f}" for corner in camera.corners(road) for value in corner)


def _fast(
    command: list[str], root: Path, listener: Listener, seconds: float, home: str = "home-fast"
) -> tuple[float, float]:
    """Frames a second, and the peak of the resident memory in MB."""
    with running([*command, "--fast"], root / home) as process:
        wait_for(lambda: len(listener.observations) >= 4, process)
        first = len(listener.observations)
        time.sleep(seconds)
        _check_alive(process)
        seen = listener.observations[first - 1 :]
        peak_mb = peak_rss_mb(process)
    frames = sum(
        later.frame - earlier.frame if later.frame > earlier.frame else later.frame
        for earlier, later in itertools.pairwise(seen)
    )
    return float(frames * 1000 / (seen[-1].mono_ms - seen[0].mono_ms)), peak_mb


def _live(command: list[str], root: Path, listener: Listener, seconds: float) -> Live:
    home = root / "home-live"
    with running(command, home) as process:
        wait_for(lambda: len(listener.observations) >= 4, process)
        time.sleep(SETTLE_S)
        before, began, cpu_before = process.io_counters().write_bytes, time.monotonic(), _cpu_s(process)
        time.sleep(seconds)
        _check_alive(process)
        took_s = time.monotonic() - began
        written, cpu_s = process.io_counters().write_bytes - before, _cpu_s(process) - cpu_before
        rss_mb, peak_mb = process.memory_info().rss / _MB, peak_rss_mb(process)
    saved = sum(path.stat().st_size for path in (home / "cameras").glob("*.road.npz"))
    per_day_mb = (written * 86_400 / took_s + saved * ROAD_SAVES_PER_DAY) / _MB
    return Live(peak_mb, rss_mb, 100 * cpu_s / took_s, per_day_mb, took_s)


def _idle_rss_mb(url: str, root: Path) -> float:
    with running([*IDLE, url, str(root / "idle.db")], root / "home-idle", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is connected
        time.sleep(2.0)
        return process.memory_info().rss / _MB


@contextmanager
def running(command: list[str], home: Path, stdout: int | None = None) -> Iterator[psutil.Popen]:
    """The command on one core, with a state folder of its own; stopped in the end by SIGTERM."""
    home.mkdir()
    core = min(os.sched_getaffinity(0))
    environment = {**os.environ, "KINFLOW_HOME": str(home), "KINFLOW_LOG_LEVEL": "warning"}
    process = psutil.Popen(dying_with_parent(command), cwd=ROOT, env=environment, stdout=stdout or sys.stderr)
    process.cpu_affinity([core])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for(condition: Callable[[], bool], process: psutil.Popen) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        _check_alive(process)
        if time.monotonic() > deadline:
            raise RuntimeError("the agent sent no observation")
        time.sleep(0.1)


def _check_alive(process: psutil.Popen) -> None:
    if process.poll() is not None:
        raise RuntimeError(f"the agent ended with status {process.returncode}")


def peak_rss_mb(process: psutil.Popen) -> float:
    """VmHWM: the kernel's own record of the peak."""
    for line in Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / _MB
    return float(process.memory_info().rss / _MB)


def _cpu_s(process: psutil.Popen) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
