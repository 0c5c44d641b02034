import threading
import time

import numpy as np
import pytest

from agent.camera.newest import NewestFrame
from agent.camera.port import Frame
from agent.camera.watchdog import Watchdog
from agent.errors import CameraStalled, CameraUnreachable
from node.clock import ManualClock, SystemClock

IMAGE = np.zeros((4, 4, 3), np.uint8)


class FakeCamera:
    """Follows a script: a number of frames, then an error, an end (None) or a read that hangs."""

    def __init__(self, frames, then=None, gate=None):
        self.frames, self.then, self.gate, self.number, self.closed = frames, then, gate, 0, False

    def read(self):
        if self.number < self.frames:
            self.number += 1
            return Frame(IMAGE, 0, 0, self.number - 1)
        if self.gate is not None:
            self.gate.wait(20)
        if isinstance(self.then, Exception):
            raise self.then
        return None

    def close(self):
        self.closed = True


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


class NoPause:
    """Jitter that leaves no pause to speak of."""

    @staticmethod
    def random():
        return -1.0


def watchdog(cameras, clock=None, **more):
    opened = iter(cameras)
    arrived = threading.Condition()
    newest = NewestFrame(arrived)

    def open_source():
        camera = next(opened, None)
        if camera is None:
            return FakeCamera(0, gate=threading.Event())
        if isinstance(camera, Exception):
            raise camera
        return camera

    dog = Watchdog("cam", "rtsp://u:p@h/x", open_source, newest, clock or SystemClock(), random=NoPause(), **more)
    return dog, newest, arrived


def test_a_source_that_breaks_is_opened_again():
    cameras = [
        CameraUnreachable(source="x", detail="no"),
        FakeCamera(2, CameraUnreachable(source="x", detail="gone")),
        FakeCamera(3),
    ]
    gate = threading.Event()
    cameras.append(FakeCamera(1, gate=gate))
    dog, newest, arrived = watchdog(cameras)
    dog.start()
    until(lambda: cameras[3].number == 1)
    assert dog.state == "running"
    assert all(camera.closed for camera in cameras[1:3])
    with arrived:
        assert newest.take().number == 0
    dog.stop()
    gate.set()


def test_a_source_that_falls_silent_is_stalled_and_runs_again():
    clock, gate = ManualClock(), threading.Event()
    silent = FakeCamera(1, CameraStalled(source="x", timeout_s=5), gate=gate)
    last = threading.Event()
    dog, _, _ = watchdog([silent, FakeCamera(1, gate=last)], clock)
    dog.start()
    until(lambda: dog.state == "running")
    assert dog.check() == "running"
    clock.advance(4_000)
    assert dog.check() == "stalled"
    assert dog.health().state == "stalled"
    assert "KF58" in dog.health().detail
    assert "u:p" not in dog.health().detail
    gate.set()
    until(lambda: dog.state == "running")
    assert dog.health().restarts == 1
    dog.stop()
    last.set()


def test_a_read_that_hangs_for_ever_is_left_behind():
    clock, never, last = ManualClock(), threading.Event(), threading.Event()
    hanging, fresh = FakeCamera(1, gate=never), FakeCamera(1, gate=last)
    dog, _, _ = watchdog([hanging, fresh], clock)
    dog.start()
    until(lambda: dog.state == "running")
    clock.advance(40_000)
    assert dog.check() == "stalled"
    until(lambda: fresh.number == 1)
    until(lambda: dog.state == "running")
    never.set()
    until(lambda: hanging.closed)
    assert dog.state == "running"
    dog.stop()
    last.set()


def test_an_impatient_slot_keeps_the_newest_frame_only():
    arrived = threading.Condition()
    newest = NewestFrame(arrived)
    for number in range(5):
        newest.put(Frame(IMAGE, 0, 0, number))
    with arrived:
        assert newest.take().number == 4
        assert newest.take() is None
    assert newest.dropped == 4


def test_a_patient_slot_loses_nothing():
    arrived = threading.Condition()
    newest = NewestFrame(arrived, patient=True)
    thread = threading.Thread(target=lambda: [newest.put(Frame(IMAGE, 0, 0, n)) for n in range(20)])
    thread.start()
    taken = []
    while len(taken) < 20:
        with arrived:
            arrived.wait_for(lambda: newest._frame is not None, 5)
            taken.append(newest.take().number)
    thread.join(5)
    assert taken == list(range(20))
    assert newest.dropped == 0


@pytest.mark.parametrize("patient", [True, False])
def test_closing_lets_a_waiting_reader_go(patient):
    arrived = threading.Condition()
    newest = NewestFrame(arrived, patient)
    newest.put(Frame(IMAGE, 0, 0, 0))
    thread = threading.Thread(target=lambda: newest.put(Frame(IMAGE, 0, 0, 1)))
    thread.start()
    newest.close()
    thread.join(5)
    assert not thread.is_alive()
