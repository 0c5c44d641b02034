"""The network and its loss, where torch is installed (the extra `training`)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.training.detector.loss import losses  # noqa: E402
from models.training.detector.network import Network, decode, grid, load_coco, with_road_classes  # noqa: E402
from models.training.detector.targets import hard, joined  # noqa: E402
from models.vision.detector import LABELS  # noqa: E402
from tests.conftest import DATA  # noqa: E402

SIDE = 96


def perfect(box: tuple[float, ...], label: int, sure: float = 6.0):
    """Raw rows that say that box and nothing else."""
    cells = grid(SIDE, SIDE)
    raw = torch.full((1, len(cells), 5 + len(LABELS)), -sure)
    left, top, right, bottom = box
    middle = torch.tensor([(left + right) / 2, (top + bottom) / 2])
    at = ((cells[:, :2] + 0.5) * cells[:, 2:] - middle).abs().max(1).values < 1.5 * cells[:, 2]
    raw[0, :, :2] = middle / cells[:, 2:] - cells[:, :2]
    raw[0, :, 2:4] = (torch.tensor([right - left, bottom - top]) / cells[:, 2:]).log()
    raw[0, at, 4] = sure
    raw[0, at, 5 + label] = sure
    return raw, cells


def test_decoding_gives_the_box_back() -> None:
    raw, cells = perfect((20.0, 24.0, 60.0, 70.0), 0)
    assert torch.allclose(decode(raw, cells)[0], torch.tensor([20.0, 24.0, 60.0, 70.0]), atol=1e-3)


def test_a_right_answer_costs_less_than_a_wrong_one() -> None:
    box = (20.0, 24.0, 60.0, 70.0)
    truth = [hard(np.array([box], np.float32), ["car"])]
    right, cells = perfect(box, 0)
    for wrong in (perfect(box, 1)[0], perfect((50.0, 50.0, 90.0, 90.0), 0)[0], -right):
        assert losses(right, cells, truth).total < 0.5 * losses(wrong, cells, truth).total
    assert losses(right, cells, truth).cells >= 1


def test_a_masked_class_and_a_doubt_cost_nothing() -> None:
    box = (20.0, 24.0, 60.0, 70.0)
    raw, cells = perfect(box, LABELS.index("fire_engine"))
    truth = hard(np.array([box], np.float32), ["truck"])
    masked = hard(truth.boxes, ["truck"])
    masked.known[:, LABELS.index("fire_engine")] = 0.0
    assert losses(raw, cells, [masked]).classes < losses(raw, cells, [truth]).classes
    doubt = truth.soften(np.array([True]))
    assert losses(raw, cells, [doubt]).objectness < 0.6 * losses(raw, cells, [joined([])]).objectness


@pytest.mark.data
def test_the_start_gives_what_the_original_file_gives() -> None:
    path = DATA / "weights" / "yolox_nano.onnx"
    onnxruntime = pytest.importorskip("onnxruntime")
    network = load_coco(path).eval()
    picture = cv2.resize(np.random.default_rng(1).integers(0, 255, (13, 13, 3)).astype(np.uint8), (416, 416))
    blob = picture.transpose(2, 0, 1)[None].astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"images": blob})
    with torch.no_grad():
        raw = network(torch.from_numpy(blob))
        raw[..., 4:] = raw[..., 4:].sigmoid()
        road = with_road_classes(network)(torch.from_numpy(blob))
    assert np.abs(raw.numpy() - wanted).max() < 1e-3
    assert torch.allclose(road[..., :4], raw[..., :4], atol=1e-5)
    assert isinstance(network, Network)
