"""The trained network as a file that a device runs: models/vision/weights/road.onnx and its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from models.training.detector.network import Network
from models.vision.detector import LABELS, Label

OPSET = 17
# Width and height. As many pixels as 417 x 417, in the shape of a camera's picture.
INPUT = (544, 320)
MOST_BYTES = 8 * 1024 * 1024
# Fewer real, licensed pictures than this, and a class is synthetic only.
REAL_PICTURES = 50
SYNTHETIC_ONLY: tuple[Label, ...] = ("police_car", "fire_engine", "other_vehicle")
OVERLAP = 0.6
CREDITS = (
    "YOLOX-nano, Megvii Inc. and its contributors, Apache-2.0: the weights from which training began",
    "Open Images V6, pictures CC BY 2.0 by their authors, boxes CC BY 4.0 by Google LLC",
    "Vehicles from Open Images and Caltech (rear views of cars), CC BY 4.0",
    "Wikimedia Commons, pictures of police cars, the licence of each file",
    "intel-iot-devkit sample-videos, car park exit, CC BY 4.0",
)


class _Sigmoids(nn.Module):
    """What the layout of YOLOX wants: objectness and classes already through the sigmoid, boxes raw."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        raw = self.network(images)
        return torch.cat((raw[..., :4], raw[..., 4:].sigmoid()), 2)


def export(network: Network, path: Path, size: tuple[int, int] = INPUT) -> None:
    """size: width and height. ValueError if the file would be larger than devices take."""
    width, height = size
    blank = torch.zeros(1, 3, height, width)
    network = network.to(memory_format=torch.contiguous_format).eval()
    torch.onnx.export(
        _Sigmoids(network), (blank,), str(path), opset_version=OPSET, input_names=["images"], output_names=["output"],
        dynamo=False,
    )  # fmt: skip
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, at most {MOST_BYTES} are allowed")


def manifest(
    path: Path, thresholds: Mapping[Label, float], size: tuple[int, int] = INPUT, labels: Sequence[Label] = LABELS
) -> str:
    """The TOML that stands beside the network (models.vision.manifest)."""

    def listed(names: Sequence[str]) -> str:
        return "[\n" + "".join(f'    "{name}",\n' for name in names) + "]"

    lines = [
        "# What is known about road.onnx; road.md is its card. Written by models.training.detector.",
        'name = "road"',
        'layout = "yolox"',
        f"input = [{size[0]}, {size[1]}]",
        f"overlap = {OVERLAP}",
        f"labels = {listed(labels)}",
        f"synthetic_only = {listed(SYNTHETIC_ONLY)}",
        f'sha256 = "{sha256(path.read_bytes()).hexdigest()}"',
        'licence = "Apache-2.0"',
        f"credits = {listed(CREDITS)}",
        "",
        "[thresholds]",
        *(f"{label} = {thresholds[label]:.2f}" for label in labels),
    ]
    return "\n".join(lines) + "\n"
