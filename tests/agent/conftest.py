"""A road that the tests draw themselves: boxes in perspective."""

from __future__ import annotations

import cv2
import pytest

from sim_devices.plain_road import DrawnRoad


@pytest.fixture(scope="session")
def drawn_road() -> type[DrawnRoad]:
    return DrawnRoad


@pytest.fixture
def clip(tmp_path, drawn_road):
    """Twelve seconds of an empty road, 10 frames a second."""
    road = drawn_road(height_m=12.0, lane_marks=False)
    path = tmp_path / "road.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, road.size)
    for _ in range(40):
        writer.write(road.draw())
    writer.release()
    return path, ",".join(f"{value:.1f}" for corner in road.corners for value in corner)
