"""Whatever lies in a camera's files, in its address and in what the page is asked is a value or a clear error."""

from __future__ import annotations

import io
import resource
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.camera import rtsp
from agent.camera.jpeg import decode, pixels
from agent.camera.mjpeg import MjpegCamera
from agent.camera.source import shown
from agent.road_file import RoadFile
from agent.settings import CameraFile
from agent.traffic.calibration import propose
from agent.traffic.empty_road import BINS, EmptyRoad
from node.clock import ManualClock
from protocol.errors import KinflowError
from protocol.ids import CameraId

CAMERA = CameraId("north")
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from(["0", "-1", "1e400", "nan", "inf", "1_000", "9" * 400, '"x"', "[]"])
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "cameras").mkdir()
    return home


@given(data=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_road_file_is_a_road_or_none(home: Path, data: bytes) -> None:
    (home / "cameras" / "north.road.npz").write_bytes(data)
    RoadFile(home, CAMERA).load(propose(7, 40, (640, 360)))


@given(at=st.integers(0, 2_000), length=st.integers(0, 60), put=st.binary(max_size=30))
@example(at=87, length=52, put=bytes(40))  # no distance of deflate
@example(at=315, length=3, put=b"\xd9\x14\xb4")  # a version that is not there
@example(at=317, length=3, put=b"\x03u\xf7")  # "encrypted"
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_road_file_is_a_road_or_none(home: Path, at: int, length: int, put: bytes) -> None:
    calibration, file = propose(7, 40, (640, 360)), RoadFile(home, CAMERA)
    file.save(calibration, EmptyRoad(np.ones((4, 3, BINS), np.float32)))
    path = home / "cameras" / "north.road.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: at % len(whole)] + put + whole[at % len(whole) + length :])
    file.load(calibration)


@given(shape=st.lists(st.integers(0, 3), min_size=0, max_size=4), kind=st.sampled_from(["f4", "i8", "S3", "?", "c8"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_road_file_of_another_shape_is_a_road_or_none(home: Path, shape: list[int], kind: str) -> None:
    calibration, buffer = propose(7, 40, (640, 360)), io.BytesIO()
    RoadFile(home, CAMERA).save(calibration, EmptyRoad(np.ones((2, 2, BINS), np.float32)))
    path = home / "cameras" / "north.road.npz"
    with np.load(path) as whole:
        fingerprint = whole["calibration"]
    np.savez(buffer, calibration=fingerprint, seconds=np.zeros(shape, kind))
    path.write_bytes(buffer.getvalue())
    RoadFile(home, CAMERA).load(calibration)


@given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_camera_file_is_a_calibration_or_a_clear_error(home: Path, data: bytes) -> None:
    (home / "cameras" / "north.toml").write_bytes(data)
    with suppress(KinflowError):
        CameraFile(home, CAMERA).load()


@given(values=st.lists(NUMBERS, min_size=13, max_size=13))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_odd_numbers_in_a_camera_file_are_a_calibration_or_a_clear_error(home: Path, values: list[object]) -> None:
    said = [str(value) for value in values]
    points = ", ".join(f"[{said[2 * i]}, {said[2 * i + 1]}]" for i in range(4))
    text = f"points = [{points}]\npicture = [{said[8]}, {said[9]}]\nroad_width_m = {said[10]}\n"
    text += f"visible_length_m = {said[11]}\nlanes = {said[12]}\n"
    (home / "cameras" / "north.toml").write_text(text)
    with suppress(KinflowError):
        CameraFile(home, CAMERA).load()


# An address that leads nowhere but this machine's closed port: nothing is asked of anybody.
HOSTS = st.sampled_from(["", "127.0.0.1:1", "[", "[::1]:1", "127.0.0.1:99999", "127.0.0.1:x", "user:pass@127.0.0.1:1"])


@given(host=HOSTS, rest=st.text(max_size=30))
def test_any_rtsp_address_is_tried_or_a_clear_error(host: str, rest: str) -> None:
    with pytest.raises(KinflowError) as refused:
        rtsp._knock(f"rtsp://{host}/{rest}", 0.5)
    assert "pass" not in str(refused.value)


@given(host=HOSTS, rest=st.text(max_size=30), scheme=st.sampled_from(["http", "https"]))
@settings(max_examples=40)
def test_any_mjpeg_address_is_tried_or_a_clear_error(host: str, rest: str, scheme: str) -> None:
    with pytest.raises(KinflowError) as refused:
        MjpegCamera(f"{scheme}://{host}/{rest}", ManualClock(), 0.5)
    assert "pass" not in str(refused.value)


@given(st.text(max_size=60))
def test_any_source_is_shown(text: str) -> None:
    assert isinstance(shown(text), str)


@pytest.mark.parametrize("marker", [0xC0, 0xC2])
def test_a_small_file_that_claims_a_huge_picture_is_not_unpacked(marker: int) -> None:
    plain = cv2.imencode(".jpg", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()
    at = plain.index(b"\xff\xc0")
    assert decode(plain) is not None
    bomb = plain[:at] + bytes([0xFF, marker]) + plain[at + 2 : at + 5] + b"\x75\x30\x75\x30" + plain[at + 9 :]
    assert pixels(bomb) == 900_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert decode(bomb) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@given(st.binary(max_size=200))
def test_any_beginning_of_a_picture_is_a_size(data: bytes) -> None:
    assert 0 <= pixels(b"\xff\xd8" + data) < 1 << 32
