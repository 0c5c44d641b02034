"""The network: YOLOX-nano (Ge et al. 2021, arXiv 2107.08430: CSPDarknet, PAFPN and a decoupled head, depthwise, depth
0.33, width 0.25) with batch normalisation folded into its convolutions, as it is in the weights that we start from.

Layers are registered in the order in which they run, so that the convolutions of an ONNX file pair with ours in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.vision.detector import LABELS, Label

STRIDES = (8, 16, 32)
COCO_CLASSES = 80
# The row of COCO-80 from which each of our classes starts.
COCO_ROWS: dict[Label, int] = {
    "car": 2, "bus": 5, "truck": 7, "motorcycle": 3, "bicycle": 1, "person": 0,
    "ambulance": 7, "police_car": 2, "fire_engine": 7, "other_vehicle": 3,
}  # fmt: skip
# Added to the class biases of rows that are copies, so that at the start the original class wins.
COPY_BIAS = -1.5
_COPIES: tuple[Label, ...] = ("ambulance", "police_car", "fire_engine", "other_vehicle")


class Conv(nn.Module):
    """A convolution with bias and SiLU that keeps its input's size, or divides it by `stride`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.conv(x))


def depthwise(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(Conv(inputs, inputs, 3, stride, groups=inputs), Conv(inputs, outputs, 1))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.narrow = Conv(channels, channels, 1)
        self.spread = depthwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.spread(self.narrow(x))
        return y + x if self.shortcut else y


class CrossStage(nn.Module):
    """CSP: half of the channels pass through bottlenecks, half go round them."""

    def __init__(self, inputs: int, outputs: int, depth: int, shortcut: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.through = Conv(inputs, half, 1)
        self.round = Conv(inputs, half, 1)
        self.blocks = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(depth)))
        self.join = Conv(outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(torch.cat((self.blocks(self.through(x)), self.round(x)), 1))


class Pyramid(nn.Module):
    """Spatial pyramid pooling with windows of 5, 9 and 13."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = Conv(channels, channels // 2, 1)
        self.join = Conv(channels * 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        return self.join(torch.cat([x, *(functional.max_pool2d(x, k, 1, k // 2) for k in (5, 9, 13))], 1))


class Backbone(nn.Module):
    """To features of strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 6, 2, 2)
        self.dark2 = nn.Sequential(depthwise(16, 32, 2), CrossStage(32, 32, 1, True))
        self.dark3 = nn.Sequential(depthwise(32, 64, 2), CrossStage(64, 64, 3, True))
        self.dark4 = nn.Sequential(depthwise(64, 128, 2), CrossStage(128, 128, 3, True))
        self.dark5 = nn.Sequential(depthwise(128, 256, 2), Pyramid(256), CrossStage(256, 256, 1, False))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.dark3(self.dark2(functional.silu(self.stem(x))))
        middle = self.dark4(fine)
        return fine, middle, self.dark5(middle)


class Neck(nn.Module):
    """Path aggregation: coarse features down to the fine ones, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = Conv(256, 128, 1)
        self.top4 = CrossStage(256, 128, 1, False)
        self.reduce = Conv(128, 64, 1)
        self.top3 = CrossStage(128, 64, 1, False)
        self.down3 = depthwise(64, 64, 2)
        self.bottom4 = CrossStage(128, 128, 1, False)
        self.down4 = depthwise(128, 128, 2)
        self.bottom5 = CrossStage(256, 256, 1, False)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        lateral = self.lateral(coarse)
        up4 = self.top4(torch.cat((functional.interpolate(lateral, scale_factor=2.0), middle), 1))
        reduced = self.reduce(up4)
        out3 = self.top3(torch.cat((functional.interpolate(reduced, scale_factor=2.0), fine), 1))
        out4 = self.bottom4(torch.cat((self.down3(out3), reduced), 1))
        return out3, out4, self.bottom5(torch.cat((self.down4(out4), lateral), 1))


class Head(nn.Module):
    """Of one level: 4 box figures, objectness and classes, all as logits."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.stem = Conv(inputs, 64, 1)
        self.class_convs = nn.Sequential(depthwise(64, 64), depthwise(64, 64))
        self.classes = nn.Conv2d(64, classes, 1)
        self.box_convs = nn.Sequential(depthwise(64, 64), depthwise(64, 64))
        self.box = nn.Conv2d(64, 4, 1)
        self.objectness = nn.Conv2d(64, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        boxes = self.box_convs(x)
        return torch.cat((self.box(boxes), self.objectness(boxes), self.classes(self.class_convs(x))), 1)


class Network(nn.Module):
    """Pictures (n, 3, h, w), BGR 0..255, h and w multiples of 32, to raw rows (n, cells, 5 + classes): x, y (offset
    from the cell in strides), log w, log h (in strides), then logits of objectness and classes."""

    def __init__(self, classes: int = len(LABELS)) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.neck = Neck()
        self.heads = nn.ModuleList(Head(channels, classes) for channels in (64, 128, 256))

    def forward(self, images: Tensor) -> Tensor:
        features = self.neck(*self.backbone(images))
        return torch.cat([head(x).flatten(2) for head, x in zip(self.heads, features, strict=True)], 2).transpose(1, 2)

    def convolutions(self) -> list[nn.Conv2d]:
        return [one for one in self.modules() if isinstance(one, nn.Conv2d)]


def grid(height: int, width: int) -> Tensor:
    """(cells, 3): column, row and stride of each cell of a picture."""
    parts = []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        parts.append(torch.stack((x, y, torch.full_like(x, stride)), -1).reshape(-1, 3))
    return torch.cat(parts).float()


def decode(raw: Tensor, cells: Tensor) -> Tensor:
    """Raw rows (..., cells, 5 + classes) to boxes (..., cells, 4): left, top, right, bottom in pixels."""
    stride = cells[:, 2:]
    middle = (raw[..., :2] + cells[:, :2]) * stride
    half = raw[..., 2:4].clamp(max=8.0).exp() * stride / 2
    return torch.cat((middle - half, middle + half), -1)


def load_coco(path: Path) -> Network:
    """The network with the 80 classes of an ONNX file of YOLOX-nano. ValueError if its convolutions are not ours."""
    graph = onnx.load(str(path)).graph
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    given = [[arrays[name] for name in node.input[1:3]] for node in graph.node if node.op_type == "Conv"]
    network = Network(COCO_CLASSES)
    own = network.convolutions()
    if len(own) != len(given):
        raise ValueError(f"{path} has {len(given)} convolutions, YOLOX-nano has {len(own)}")
    with torch.no_grad():
        for conv, (weight, bias) in zip(own, given, strict=True):
            values = _unfocused(weight) if conv is network.backbone.stem else weight
            if tuple(values.shape) != tuple(conv.weight.shape):
                raise ValueError(f"{path} has a convolution of {values.shape} where {tuple(conv.weight.shape)} stands")
            conv.weight.copy_(torch.tensor(values))
            conv.bias.copy_(torch.tensor(bias))
    return network


def _unfocused(weight: np.ndarray) -> np.ndarray:
    """YOLOX's Focus (four interleaved quarters, then 3 x 3) is one 6 x 6 convolution of stride 2."""
    wide = np.zeros((weight.shape[0], 3, 6, 6), weight.dtype)
    for patch, (dy, dx) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        wide[:, :, dy::2, dx::2] = weight[:, 3 * patch : 3 * patch + 3]
    return wide


def with_road_classes(coco: Network, labels: Sequence[Label] = LABELS) -> Network:
    """The same network with our classes, each of which starts from its row of COCO."""
    network = Network(len(labels))
    rows = [COCO_ROWS[label] for label in labels]
    state = coco.state_dict()
    for level in range(len(STRIDES)):
        weight, bias = f"heads.{level}.classes.weight", f"heads.{level}.classes.bias"
        state[weight] = state[weight][rows].clone()
        shift = [COPY_BIAS if label in _COPIES else 0.0 for label in labels]
        state[bias] = state[bias][rows] + torch.tensor(shift)
    network.load_state_dict(state)
    return network
