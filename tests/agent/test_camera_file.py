import os

import cv2
import numpy as np
import pytest

from agent.camera.file import FileCamera
from agent.camera.opening import camera_id_from, open_camera
from agent.camera.source import shown
from agent.errors import CameraForbidden, CameraMissing, SourceUnknown, VideoTruncated, VideoUnreadable
from node.clock import ManualClock


@pytest.fixture
def clip(tmp_path):
    """Twenty frames at 10 a second; frame n has the brightness 10 n."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 96))
    for number in range(20):
        writer.write(np.full((96, 160, 3), 10 * number, np.uint8))
    writer.release()
    return path


def read_all(camera):
    frames = []
    while (frame := camera.read()) is not None:
        frames.append(frame)
    camera.close()
    return frames


def test_a_file_is_read_to_its_end_in_the_files_own_time(clip):
    frames = read_all(open_camera(str(clip), ManualClock(monotonic_ms=5_000), live=False))
    assert [frame.number for frame in frames] == list(range(20))
    assert [frame.captured_mono_ms for frame in frames] == [5_000 + 100 * n for n in range(20)]
    assert abs(float(frames[10].image.mean()) - 100) < 4


def test_live_a_file_is_paced_and_played_again(clip):
    clock = ManualClock(monotonic_ms=0)
    camera = FileCamera(clip, clock, live=True, sleep=lambda seconds: clock.advance(round(seconds * 1000)))
    frames = [camera.read() for _ in range(45)]
    camera.close()
    assert [frame.number for frame in frames] == list(range(45))
    assert [frame.captured_mono_ms for frame in frames[:20]] == [100 * n for n in range(20)]
    assert abs(float(frames[21].image.mean()) - 10) < 4
    assert clock.monotonic_ms() >= 4_000


@pytest.mark.parametrize("content", [b"", b"not a video at all", bytes(range(256)) * 64])
def test_what_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoUnreadable) as caught:
        open_camera(str(path), ManualClock(), live=False)
    assert caught.value.code == "KF55"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(VideoUnreadable):
        open_camera(str(tmp_path / "none.mp4"), ManualClock())


def test_a_file_that_breaks_off_says_so_after_its_last_frame(clip):
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    camera = open_camera(str(clip), ManualClock(), live=False)
    with pytest.raises(VideoTruncated) as caught:
        read_all(camera)
    camera.close()
    assert 0 < caught.value.fields["frames_read"] < 20


def test_a_file_that_may_not_be_read_is_refused(clip, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CameraForbidden):
        open_camera(str(clip), ManualClock())


def test_devices_that_are_missing_or_closed_are_told_apart(monkeypatch):
    with pytest.raises(CameraMissing):
        open_camera("/dev/video97", ManualClock())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CameraForbidden):
        open_camera("/dev/null", ManualClock())


@pytest.mark.parametrize("source", ["ftp://host/x", "", "gopher://x"])
def test_other_addresses_are_refused(source):
    with pytest.raises(SourceUnknown):
        open_camera(source, ManualClock())


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://admin:hunter2@10.0.0.9:554/stream1",
        "rtsp://10.0.0.9/user=admin&password=hunter2&channel=1",
        "http://cam.local/mjpeg?user=admin&pwd=hunter2",
        "http://admin:hun%40hunter2@cam.local/mjpeg",
    ],
)
def test_a_shown_address_has_no_secret(source):
    assert "hunter2" not in shown(source)
    assert "hunter2" not in camera_id_from(source)
    assert shown(source).startswith(source.partition("://")[0])


def test_cameras_are_named_after_their_source():
    assert camera_id_from("/clips/Car-Park_exit.mp4") == "car-park-exit"
    assert camera_id_from("/dev/video0") == "video0"
    assert camera_id_from("???") == "camera"
