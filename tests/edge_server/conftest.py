"""What the tests of ingest, store and server share: messages of a device, and a way to wait for something."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.broker.mosquitto import MosquittoBroker, find_mosquitto
from node.clock import Clock, ManualClock, SystemClock
from node.identity import Identity
from node.ports import any_free_port
from protocol.ids import ApproachId, CameraId, DeviceId
from protocol.messages import Alarm, Birth, CameraInfo, Estimate, Health, Observation, Quality

CAMERA = CameraId("north-1")
APPROACH = ApproachId("north")


class Device:
    """A device that makes messages, and sends none of them."""

    def __init__(self, name: str = "cam-1", clock: Clock | None = None) -> None:
        self.identity = Identity(DeviceId(name), clock or SystemClock())
        self.name = self.identity.device

    def birth(self) -> Birth:
        camera = CameraInfo(camera=CAMERA, approach=APPROACH, calibrated=True)
        return Birth(**self.identity.live(), role="agent", software="1", cameras=(camera,))

    def observation(self, index: float = 0.4, captured_ms_ago: int = 40) -> Observation:
        envelope = self.identity.accounted()
        return Observation(
            **envelope,
            camera=CAMERA,
            approach=APPROACH,
            captured_ms=envelope["at_ms"] - captured_ms_ago,
            captured_mono_ms=envelope["mono_ms"] - captured_ms_ago,
            frame=envelope["seq"],
            sensor="camera",
            status="ok",
            calibrated=True,
            occupancy=Estimate(index * 0.35, 0.0, 1.0),
            index=Estimate(index, 0.0, 1.0),
            congestion="slow",
            quality=Quality(0.9),
        )

    def alarm(self, active: bool = True, alarm: str = "camera-stalled") -> Alarm:
        return Alarm(
            **self.identity.accounted(),
            alarm=alarm,
            subject=CAMERA,
            severity="warning",
            active=active,
            text="The picture stands still.",
            code="KF55",
        )

    def health(self) -> Health:
        return Health(**self.identity.accounted(), uptime_s=5.0, rss_mb=80.0, cpu_percent=12.0, disk_free_mb=900.0)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def make_device() -> type[Device]:
    return Device


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def eventually() -> Callable[..., None]:
    def wait(condition: Callable[[], object], within_s: float = 15.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.02)

    return wait


@pytest.fixture
def free_port() -> Callable[[], int]:
    return any_free_port


@pytest.fixture
def mosquitto(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[MosquittoBroker]:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    broker = MosquittoBroker(tmp_path / "broker", free_port(), "a password")
    broker.start()
    yield broker
    broker.stop()
