"""Rendered pictures with labels, for training and judging a detector."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.vision.detector import LABELS
from sim_devices.render.camera import mount
from sim_devices.render.dataset import KIND_LABELS, draw_pictures, main, yolo_lines
from sim_devices.render.road import Road
from sim_devices.render.scene import Rendered, Scene
from sim_devices.render.truth import measure
from sim_devices.render.vehicle import KINDS, vehicle_of_kind
from sim_devices.render.weather import DAY

ROAD = Road()


@pytest.fixture(scope="module")
def pictures() -> list[Rendered]:
    return list(draw_pictures(10, seed=3))


def test_the_same_seed_draws_the_same_pictures(pictures: list[Rendered]) -> None:
    again = list(draw_pictures(2, seed=3))
    for first, second in zip(pictures, again, strict=False):
        assert np.array_equal(first.frame, second.frame)
        assert first.truth.boxes == second.truth.boxes
    assert not np.array_equal(next(draw_pictures(1, seed=4)).frame, pictures[0].frame)


def test_every_kind_is_a_label_and_every_label_is_drawn(pictures: list[Rendered]) -> None:
    assert set(KIND_LABELS) == set(KINDS)
    assert set(KIND_LABELS.values()) == set(LABELS)
    drawn = {KIND_LABELS[box.kind] for one in pictures for box in one.truth.boxes}
    assert drawn == set(LABELS)


def test_labels_lie_within_the_picture_and_give_the_boxes_back(pictures: list[Rendered]) -> None:
    for one in pictures:
        height, width = one.frame.shape[:2]
        boxes = {box.box for box in one.truth.boxes}
        for line in yolo_lines(one):
            number, *shares = line.split()
            x, y, w, h = map(float, shares)
            assert 0 <= int(number) < len(LABELS)
            corners = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            assert tuple(round(one) for one in corners) in boxes


def test_pictures_and_labels_are_written_side_by_side(tmp_path: Path) -> None:
    main(tmp_path, count=2, seed=3)
    images = sorted(os.listdir(tmp_path / "images"))
    assert [name.replace(".jpg", ".txt") for name in images] == sorted(os.listdir(tmp_path / "labels"))
    assert len(images) == 2
    assert cv2.imread(str(tmp_path / "images" / images[0])).shape[1] == 640


def test_people_are_seen_but_are_no_traffic() -> None:
    camera = mount(ROAD, seed=5)
    walker = vehicle_of_kind("walker-1", "person", ROAD.lane_centre_m(1), 10.0)
    rendered = Scene(camera, ROAD, DAY, seed=5).render([walker], 0.0)
    (box,) = rendered.truth.boxes
    left, top, right, bottom = box.box
    assert bottom - top > right - left
    assert (rendered.truth.occupancy, rendered.truth.count, rendered.truth.queue_m) == (0.0, 0, 0.0)


@pytest.mark.parametrize("heading", [0.0, 3.14159])
def test_a_three_wheeler_is_painted_whole_from_either_side(heading: float) -> None:
    camera = mount(ROAD, seed=5)
    scene = Scene(camera, ROAD, DAY.shaken(0.0), seed=5)
    cab = vehicle_of_kind("three-wheeler-1", "three-wheeler", ROAD.lane_centre_m(1), 12.0, heading_rad=heading)
    with_it, without = scene.render([cab], 1.0), scene.render([], 1.0)
    left, top, right, bottom = with_it.truth.boxes[0].box
    changed = np.abs(with_it.frame.astype(int) - without.frame.astype(int)).max(axis=2) > 10
    assert changed[top:bottom, left:right].mean() > 0.6
    truth = measure(ROAD, [cab], 0.0, ((0.0, 0.0),) * 4)
    assert truth.occupancy > 0
