"""The agent as a whole: on a broker in memory, and once as a real process with a real broker."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from agent.detection.detectors import SHIPPED, Detectors
from agent.options import CameraFlags, cameras_from_flags
from agent.service import AgentService
from agent.settings import CameraFile
from agent.traffic.calibration import calibrate
from node.broker.memory import MemoryBroker
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from protocol.codec import decode_addressed, encode
from protocol.ids import new_message_id
from protocol.messages import Alarm, Birth, ConfigCommand, Health, Observation
from protocol.topics import CONFIG_COMMAND
from tests.agent.test_detection import FakeDetector
from tests.notify_socket import NotifySocket

ROOT = Path(__file__).parent.parent.parent


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


class Running:
    """An agent on a broker in memory, and everything that it says."""

    def __init__(self, home, cameras, detectors=None):
        self.broker = MemoryBroker()
        self.broker.start()
        self.heard = []
        self.edge = self.broker.client("edge")
        self.edge.subscribe("kinflow/1/#", 1, self._hear)
        self.edge.start()
        clock = SystemClock()
        self.identity = Identity("pi-1", clock)
        self.service = AgentService(cameras, home, clock, self.identity, software="test", detectors=detectors)
        client = self.broker.client("pi-1", death_will(self.identity))
        outbox = Outbox(self.identity.boot, clock, None)
        self.link = Link(self.identity, client, outbox, birth=self.service.birth)

    def _hear(self, received):
        if received.payload:
            self.heard.append(decode_addressed(received.topic, received.payload)[1])

    def of(self, kind):
        return [one for one in list(self.heard) if isinstance(one, kind)]

    def __enter__(self):
        self.link.start()
        self.thread = threading.Thread(target=self.service.run, args=(self.link,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.service.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.link.stop()
        self.edge.stop()
        self.broker.stop()

    def command(self, name, /, **arguments):
        identity = Identity("edge-1", SystemClock())
        command = new_message_id(0)
        message = ConfigCommand(
            **identity.live(), command=command, device="pi-1", name=name, status="init", arguments=arguments
        )
        self.edge.publish(CONFIG_COMMAND.of("pi-1", "c1"), encode(message), 1, retained=True)
        return command

    def states_of(self, command):
        return [one.status for one in self.of(ConfigCommand) if one.command == command]


def camera(source, road=None, **more):
    flags = CameraFlags([str(source)], ids=["north"], widths_m=[10.5], lengths_m=[60.0], roads=[road] if road else None)
    return cameras_from_flags(flags)


def test_an_agent_registers_observes_and_tells_its_health(tmp_path, clip):
    path, road = clip
    with Running(tmp_path, camera(path, road)) as agent:
        known = until(lambda: [one for one in agent.of(Observation) if one.status == "ok"])
        assert known[0].calibrated
        assert known[0].index.value < 0.2
        assert known[0].congestion == "free"
        assert len(known[0].lanes) == 3
        learning = agent.of(Observation)[0]
        assert learning.status == "learning"
        assert learning.index.value is None
        health = until(lambda: agent.of(Health))[0]
        assert health.cameras[0].state == "running"
        birth = until(lambda: [one for one in agent.of(Birth) if one.cameras[0].width_px])[0]
        assert (birth.cameras[0].camera, birth.cameras[0].width_px, birth.cameras[0].calibrated) == ("north", 640, True)
        numbers = [one.seq for one in agent.heard if not isinstance(one, (Birth, ConfigCommand))]
        # One thread looks and another tells of health: on the way, two topics may change places.
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_what_a_detector_finds_is_told_and_what_it_lacks_raises_an_alarm(tmp_path, clip):
    path, road = clip
    cameras = [replace(one, detector=SHIPPED) for one in camera(path, road)]
    with Running(tmp_path, cameras, Detectors(None, opening=lambda _: FakeDetector(label="ambulance"))) as agent:
        told = until(lambda: [one for one in agent.of(Observation) if one.emergency == "present"])[0]
        assert told.emergencies[0].kind == "ambulance"
        assert told.emergencies[0].since_ms <= told.captured_ms
        assert "class" in told.emergency_senses
        assert agent.of(Observation)[0].emergency in ("absent", "present")
        assert agent.of(Alarm) == []
    knows_cars = FakeDetector(labels=frozenset({"car"}))
    with Running(tmp_path, cameras, Detectors(None, opening=lambda _: knows_cars)) as agent:
        raised = until(lambda: agent.of(Alarm))[0]
        assert (raised.alarm, raised.subject, raised.code) == ("camera-detector", "north", "KF108")
        assert {one.emergency for one in until(lambda: agent.of(Observation))} == {"unavailable"}


def test_a_camera_that_is_gone_raises_an_alarm_that_clears_itself(tmp_path, clip):
    path, road = clip
    away = path.with_suffix(".away")
    path.rename(away)
    with Running(tmp_path, camera(path, road)) as agent:
        raised = until(lambda: agent.of(Alarm))[0]
        assert (raised.alarm, raised.subject, raised.active, raised.code) == ("camera-stalled", "north", True, "KF55")
        away.rename(path)
        cleared = until(lambda: agent.of(Alarm)[1:])[0]
        assert (cleared.alarm, cleared.active) == ("camera-stalled", False)


def test_relearning_forgets_the_road_and_is_answered(tmp_path, clip):
    path, road = clip
    with Running(tmp_path, camera(path, road)) as agent:
        until(lambda: [one for one in agent.of(Observation) if one.status == "ok"])
        command = agent.command("relearn-road")
        until(lambda: agent.states_of(command)[-1:] == ["successful"])
        assert agent.states_of(command) == ["init", "executing", "successful"]
        until(lambda: agent.of(Observation)[-1].status == "learning")
        unknown = agent.command("make-coffee")
        until(lambda: agent.states_of(unknown)[-1:] == ["failed"])
        elsewhere = agent.command("relearn-road", camera="south")
        until(lambda: agent.states_of(elsewhere)[-1:] == ["failed"])


def test_a_saved_calibration_is_taken_up(tmp_path, clip):
    path, _ = clip
    with Running(tmp_path, camera(path)) as agent:
        first = until(lambda: agent.of(Observation))[0]
        assert not first.calibrated
        assert "uncalibrated" in first.quality.problems
        points = ((130.0, 300.0), (510.0, 300.0), (360.0, 100.0), (280.0, 100.0))
        CameraFile(tmp_path, "north").save(calibrate(points, 10.5, 60.0, (640, 360)))
        until(lambda: agent.of(Observation)[-1].calibrated)
        until(lambda: any(one.cameras[0].calibrated for one in agent.of(Birth)))


@contextlib.contextmanager
def agent_process(tmp_path, *arguments):
    command = [sys.executable, "-c", "from kinflow.main import main; main()", "agent", "run", *arguments]
    environment = {**os.environ, "KINFLOW_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_real_agent_stops_cleanly_and_keeps_what_it_learnt(tmp_path, clip):
    path, road = clip
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    home = tmp_path / "home"
    arguments = ["--camera", str(path), "--road-width", "10.5", "--road-length", "60", "--road", road]
    with agent_process(tmp_path, *arguments, "--broker", f"mqtt://127.0.0.1:{port}", "--port", "0") as process:
        for line in process.stderr:
            if "runs" in line:
                break
        time.sleep(3.0)  # the first frames have come: let it look at them
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "Traceback" not in rest
    assert (home / "cameras" / "road.road.npz").is_file()
    assert (home / "agent-token").stat().st_mode & 0o077 == 0


def agent_under(manager, tmp_path, clip, monkeypatch):
    path, road = clip
    for name, value in manager.environment(watchdog_s=0.6).items():
        monkeypatch.setenv(name, value)
    arguments = ["--camera", str(path), "--road-width", "10.5", "--road-length", "60", "--road", road]
    return agent_process(tmp_path, *arguments, "--broker", "mqtt://127.0.0.1:9", "--port", "0")


def test_a_service_manager_hears_when_the_agent_is_ready_lives_and_stops(tmp_path, clip, monkeypatch):
    with NotifySocket(tmp_path / "notify") as manager, agent_under(manager, tmp_path, clip, monkeypatch) as process:
        until(lambda: manager.count("WATCHDOG=1") > 3)
        assert manager.heard[0] == "READY=1"
        process.send_signal(signal.SIGTERM)
        until(lambda: "STOPPING=1" in manager.heard)
        process.communicate(timeout=15)
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_agent_whose_looking_hangs_feeds_no_watchdog(tmp_path, clip, monkeypatch):
    with NotifySocket(tmp_path / "notify") as manager, agent_under(manager, tmp_path, clip, monkeypatch) as process:
        until(lambda: manager.count("WATCHDOG=1") > 3)
        # Reading a pipe that nobody writes to never ends: the looking thread waits for its calibration.
        cameras = tmp_path / "home" / "cameras"
        cameras.mkdir(exist_ok=True)
        os.mkfifo(cameras / "road.toml")
        until(lambda: "STATUS=hanging: looking" in manager.heard, seconds=60)
        fed = manager.count("WATCHDOG=1")
        time.sleep(3.0)  # five times as long as the watchdog waits
        assert manager.count("WATCHDOG=1") == fed
        assert process.poll() is None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 73),
        (["--camera", "x.mp4", "--road-width", "-1"], 67),
        (["--camera", "x.mp4", "--road", "1,2,3"], 68),
        (["--camera", "x.mp4", "--road", "0,0,10,10,20,20,30,30"], 64),
        (["--camera", "gopher://user:word@host/x"], 61),
        (["--camera", "a", "--camera", "b", "--approach", "n"], 71),
    ],
)
def test_wrong_options_end_with_their_code(tmp_path, arguments, code):
    with agent_process(tmp_path, *arguments) as process:
        _, told = process.communicate(timeout=20)
    assert process.returncode == code
    assert f"KF{code}" in told
    assert "Traceback" not in told
    assert "word" not in told


def test_watch_prints_one_object_and_draws_a_video(tmp_path, clip):
    path, road = clip
    out, series = tmp_path / "out.mp4", tmp_path / "series.jsonl"
    command = [sys.executable, "-c", "from kinflow.main import main; main()", "watch", str(path), "--json"]
    command += ["--road-width", "10.5", "--road-length", "60", "--road", road]
    command += ["--out", str(out), "--series", str(series)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["frames"] == 40
    assert figures["mean_index"] < 0.1
    assert figures["classes"]["free"] == 1.0
    assert len(series.read_text().splitlines()) == 40
    drawn = cv2.VideoCapture(str(out))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 40
    drawn.release()


@pytest.mark.parametrize(
    ("spoil", "arguments", "code"),
    [
        (lambda data: b"", [], 55),
        (lambda data: data[: len(data) // 2], [], 56),
        (None, ["--road", "0,0,10,10,20,20,30,30"], 64),
        (None, ["--road-width", "-4"], 67),
        (None, ["--out", "/nowhere/at/all.mp4"], 70),
        (None, ["--series", "/nowhere/at/all.jsonl"], 70),
        (None, ["--out", "drawn.txt"], 70),
    ],
    ids=["empty", "truncated", "collinear", "negative", "no folder", "no folder for the series", "no video's ending"],
)
def test_watch_tells_bad_input_by_its_code(tmp_path, clip, spoil, arguments, code):
    path, _ = clip
    if spoil is not None:
        path.write_bytes(spoil(path.read_bytes()))
    command = [sys.executable, "-c", "from kinflow.main import main; main()", "watch", str(path), "--json"]
    command += ["--road-width", "10.5", "--road-length", "60", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == code, done.stderr
    assert f"KF{code}" in done.stderr
    assert "Traceback" not in done.stderr
    if code == 56:
        figures = json.loads(done.stdout)
        assert 0 < figures["frames"] < 40
        assert figures["error"] == "KF56"


@pytest.mark.parametrize("option", ["--out", "--series"])
def test_watch_never_writes_over_what_it_watches(tmp_path, clip, option):
    path, _ = clip
    before = path.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(path)
    command = [sys.executable, "-c", "from kinflow.main import main; main()", "watch", str(path)]
    command += ["--road-width", "10.5", "--road-length", "60", option, str(link)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == 70, done.stderr
    assert "it is the video that is watched" in done.stderr
    assert path.read_bytes() == before
