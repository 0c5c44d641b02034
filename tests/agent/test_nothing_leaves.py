"""With the settings that an agent comes with, no picture and no sound leaves it, nor is written down.

A real agent process on a real broker watches a picture that is unlike any other. All that the broker was given, and all
that lies in the state folder, is searched for it, and for any picture or sound at all.
"""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.options import CameraFlags, cameras_from_flags
from node.broker.host import start_broker
from node.broker.paho_client import PahoClient
from node.broker.port import Received
from node.config.schema import Camera
from tests.agent.test_agent_service import agent_process, until

# How files and streams of pictures and sound begin.
MAGIC = (
    b"\xff\xd8\xff\xe0",
    b"\xff\xd8\xff\xdb",
    b"\x89PNG",
    b"RIFF",
    b"GIF8",
    b"ftyp",
    b"OggS",
    b"fLaC",
    b"data:image",
)
LONGEST_MESSAGE = 4_000


def traces(image: np.ndarray) -> Iterator[bytes]:
    """The picture as it could be carried: bytes of its rows, as they are, in base64 and in hex, at three sizes."""
    for size in (1, 2, 4):
        small = cv2.resize(image, None, fx=1 / size, fy=1 / size, interpolation=cv2.INTER_AREA)
        for plane in (small, cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)):
            for row in plane[5::7]:
                piece = row.reshape(-1)[30:54].tobytes()
                yield piece
                yield piece.hex().encode()
                yield from (base64.b64encode(piece[start:])[1:-4] for start in range(3))


def test_sound_and_real_thumbnails_are_off_unless_set() -> None:
    for settings in (Camera(id="north", source="x.mp4"), *cameras_from_flags(CameraFlags(["x.mp4"]))):
        assert settings.sound == "off"
        assert settings.real_thumbnails is False


def found_in(data: bytes, searched: list[bytes]) -> list[bytes]:
    return [one for one in (*searched, *MAGIC) if one in data]


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, list[bytes]]:
    """Noise that is the same in each picture, kept without loss, so that its very bytes are what the agent sees."""
    random = np.random.default_rng(2026)
    image = np.kron(random.integers(0, 256, (45, 80, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    path = tmp_path / "road.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (640, 360))
    for _ in range(30):
        writer.write(image)
    writer.release()
    shown = cv2.VideoCapture(str(path)).read()[1]
    return path, list(traces(shown))


def test_the_search_would_find_it(clip: tuple[Path, list[bytes]]) -> None:
    path, searched = clip
    shown = cv2.VideoCapture(str(path)).read()[1]
    for carried in (
        shown.tobytes(),
        cv2.resize(shown, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).tobytes(),
        base64.b64encode(shown.tobytes()),
        shown.tobytes().hex().encode(),
        cv2.imencode(".jpg", shown)[1].tobytes(),
        cv2.imencode(".png", shown)[1].tobytes(),
    ):
        assert found_in(b"before" + carried + b"after", searched)
    assert not found_in(b'{"occupancy": [0.1, 0.0, 0.2]}', searched)


@pytest.mark.timeout(120)
def test_no_picture_and_no_sound_leaves_or_is_written(tmp_path: Path, clip: tuple[Path, list[bytes]]) -> None:
    path, searched = clip
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    host = start_broker("auto", tmp_path / "broker", port, "a-password")
    heard: list[Received] = []
    try:
        address = host.address
        listening = PahoClient(address, "listener")
        listening.subscribe("#", 1, heard.append)
        listening.start()
        url = f"mqtt://{address.username}:{address.password}@{address.host}:{address.port}"
        arguments = ["--camera", str(path), "--road-width", "7", "--road-length", "40", "--broker", url]
        with agent_process(tmp_path, *arguments, "--id", "pi-1", "--port", "0") as agent:
            until(lambda: sum("/observation/" in one.topic for one in heard) >= 6, 40)
            time.sleep(1.0)  # what is sent less often: health, and a saved road
            agent.terminate()
            agent.wait(20)
        listening.stop()
    finally:
        host.stop()
    assert {one.topic.split("/")[3] for one in heard} >= {"presence", "observation", "health"}
    for one in heard:
        assert len(one.payload) < LONGEST_MESSAGE, one.topic
        assert found_in(one.payload, searched) == [], one.topic
    written = [file for file in (tmp_path / "home").rglob("*") if file.is_file()]
    assert any(file.suffix == ".db" for file in written)
    for file in written:
        assert found_in(file.read_bytes(), searched) == [], file
