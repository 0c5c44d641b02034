"""The Raspberry Pi camera's program, played by a small script."""

import sys

import cv2
import numpy as np
import pytest

from agent.camera.opening import open_camera
from agent.camera.picamera import PiCamera
from agent.errors import CameraMissing, CameraStalled, CameraUnreachable, PiCameraToolMissing
from node.clock import ManualClock

SCRIPT = """#!{python}
import sys, time
pictures = [open(name, 'rb').read() for name in {names!r}]
for picture in pictures:
    sys.stdout.buffer.write(picture)
    sys.stdout.buffer.flush()
    time.sleep(0.3)
{end}
"""


@pytest.fixture
def tool(tmp_path):
    def make(count=2, end="time.sleep(30)"):
        names = []
        for number in range(count):
            name = tmp_path / f"{number}.jpg"
            cv2.imwrite(str(name), np.full((36, 64, 3), 60 + 60 * number, np.uint8))
            names.append(str(name))
        script = tmp_path / "rpicam-vid"
        script.write_text(SCRIPT.format(python=sys.executable, names=names, end=end))
        script.chmod(0o755)
        return lambda name: str(script) if name == "rpicam-vid" else None

    return make


def test_pictures_come_through_the_pipe_and_the_program_ends_with_the_camera(tool):
    camera = PiCamera(0, ManualClock(), which=tool())
    frames = [camera.read(), camera.read()]
    camera.close()
    assert [frame.image.shape for frame in frames] == [(36, 64, 3)] * 2
    assert frames[1].image.mean() > frames[0].image.mean() + 30
    assert camera._process.poll() is not None


def test_a_pi_without_the_program_is_told():
    with pytest.raises(PiCameraToolMissing):
        PiCamera(0, ManualClock(), which=lambda name: None)


def test_a_pi_without_a_camera_is_told(tool):
    camera = PiCamera(0, ManualClock(), which=tool(count=0, end="sys.exit(255)"))
    with pytest.raises(CameraMissing):
        camera.read()
    camera.close()


def test_a_program_that_dies_or_falls_silent_is_noticed(tool):
    camera = PiCamera(0, ManualClock(), which=tool(count=1, end="sys.exit(3)"))
    camera.read()
    with pytest.raises(CameraUnreachable):
        camera.read()
    camera.close()
    camera = PiCamera(0, ManualClock(), which=tool(count=1), timeout_s=0.6)
    camera.read()
    with pytest.raises(CameraStalled):
        camera.read()
    camera.close()


def test_the_program_is_asked_for_the_size_of_the_settings(tool, tmp_path, monkeypatch):
    tool(count=1, end=f"open({str(tmp_path / 'called')!r}, 'w').write(' '.join(sys.argv))")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    camera = open_camera("picamera:1", ManualClock(), picture=(1280, 720))
    camera.read()
    with pytest.raises(CameraUnreachable):
        camera.read()
    camera.close()
    assert "--camera 1" in (tmp_path / "called").read_text()
    assert "--width 1280 --height 720" in (tmp_path / "called").read_text()
