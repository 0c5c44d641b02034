"""Each layout finds what stands in a picture, where it stands, whatever the picture's size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.vision.layout import layout, recognised, slugs
from models.vision.onnx_model import OnnxModel, Signature, Tensor
from models.vision.opening import open_detector
from tests.models.vision.square_nets import NAMES, NETS, SIDE, yolox

COLOURS = {"car": (255, 0, 0), "ambulance": (0, 255, 0), "person": (0, 0, 255)}
# Their shape is kept; the others stretch the picture.
LETTERBOXED = {"yolox"}


def test_each_layout_has_a_network_here() -> None:
    assert set(slugs()) == set(NETS)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 1), (1, 3)], ids=str)
@pytest.mark.parametrize("slug", NETS)
def test_it_finds_what_is_there(slug: str, size: tuple[int, int], tmp_path: Path) -> None:
    write, side, stride, middle = NETS[slug]
    width, height = side * size[0], side * size[1]
    across, down = (max(size),) * 2 if slug in LETTERBOXED else size
    picture = np.zeros((height, width, 3), np.uint8)
    there = {}
    for number, name in enumerate(NAMES):
        along, beside = stride * (4 + 5 * number) + middle, stride * 3 + middle
        x, y = (along, beside) if width >= height else (beside, along)
        box = ((x - SIDE // 2) * across, (y - SIDE // 2) * down, (x + SIDE // 2) * across, (y + SIDE // 2) * down)
        there[name] = np.clip(box, 0, [width, height] * 2)
        left, top, right, bottom = there[name]
        picture[top:bottom, left:right] = COLOURS[name]
    found = {
        one.label: one for one in reversed(open_detector(write(tmp_path / "net.onnx"), names=NAMES).detect(picture))
    }
    assert set(found) == set(there)
    for name, box in there.items():
        assert found[name].score > 0.9
        assert np.allclose(found[name].box, box, atol=0.51 * max(size)), name


@pytest.mark.parametrize("slug", NETS)
def test_it_is_recognised_as_itself_alone(slug: str, tmp_path: Path) -> None:
    assert recognised(OnnxModel(NETS[slug][0](tmp_path / "net.onnx")).signature) == (slug,)


def test_what_is_no_layout_is_none() -> None:
    number = np.dtype(np.float32)
    picture = Tensor("x", (1, 3, 640, 640), number)
    for outputs in (
        (),
        (Tensor("y", (1, 1000), number),),
        (Tensor("y", (1, 84, 8400), number),),
        (Tensor("y", (1, 5), number),) * 2,
        (Tensor("y", (1, 9, 5), number), Tensor("z", (1, 9), number)),
        (Tensor("y", (1, 9), number),) * 3,
    ):
        for inputs in ((picture,), (picture, Tensor("s", (1, 2), number)), (picture, picture), (outputs[:1])):
            assert recognised(Signature(inputs, outputs)) == ()


@pytest.mark.parametrize("decoded", [False, True])
def test_yolox_with_and_without_its_decoding(decoded: bool, tmp_path: Path) -> None:
    detector = open_detector(yolox(tmp_path / "net.onnx", decoded=decoded), names=NAMES)
    picture = np.zeros((416, 416, 3), np.uint8)
    cv2.rectangle(picture, (196, 100), (227, 131), (255, 0, 0), -1)
    (car,) = detector.detect(picture)
    assert np.allclose(car.box, (196, 100, 228, 132), atol=0.01)


def test_a_layout_says_how_many_classes_there_are(tmp_path: Path) -> None:
    for slug, (write, *_) in NETS.items():
        told = layout(slug).classes(OnnxModel(write(tmp_path / f"{slug}.onnx")).signature)
        assert told == (None if slug == "dfine" else 3)
