"""A camera of one's own is judged before the city is started."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.camera.source import shown
from node.clock import SystemClock
from protocol.errors import KinflowError
from sim_devices.own_camera import OwnCamera, checked

ROAD = "10,90,150,90,100,20,60,20"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "road.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (160, 96))
    for number in range(10):
        writer.write(np.full((96, 160, 3), number * 20, np.uint8))
    writer.release()
    return path


def test_a_good_one_gets_its_whole_path(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(video.parent)
    assert checked(OwnCamera(video.name, 7.0, 40.0, ROAD), SystemClock()).source == str(video)


def test_an_address_on_the_network_is_left_to_its_agent() -> None:
    camera = OwnCamera("rtsp://user:word@192.0.2.1/stream", 7.0, 40.0, ROAD)
    assert checked(camera, SystemClock()) == camera


@pytest.mark.parametrize(
    ("source", "width_m", "road", "number"),
    [
        (None, -2.0, None, 67),
        (None, float("nan"), None, 67),
        (None, 7.0, "1,2,3", 68),
        (None, 7.0, "10,10,20,20,30,30,40,40", 64),
        (None, 7.0, "10,90,100,20,150,90,60,20", 65),
        (None, 7.0, "10,90,900,90,100,20,60,20", 66),
        ("nowhere.mp4", 7.0, None, 55),
        (__file__, 7.0, None, 55),
        ("gopher://user:word@host/x", 7.0, None, 61),
        ("", 7.0, None, 61),
    ],
)
def test_a_bad_one_is_refused_by_its_code(
    video: Path, source: str | None, width_m: float, road: str | None, number: int
) -> None:
    camera = OwnCamera(str(video) if source is None else source, width_m, 40.0, road)
    with pytest.raises(KinflowError) as refused:
        checked(camera, SystemClock())
    assert refused.value.number == number
    assert "word" not in str(refused.value)


def test_what_is_shown_of_a_source_holds_no_password() -> None:
    assert "word" not in shown("gopher://user:word@host/x?pw=word")
