"""A detector of the shape of YOLOX-Nano (Ge and others 2021, arXiv 2107.08430; depth 0.33, width 0.25, depthwise
convolutions), its normalisation folded into the convolutions, with random weights and random boxes to learn from.
"""

from __future__ import annotations

import numpy as np

from benchmarks.tuning.networks import Weights
from models.tuning.data.assignment import assigned
from models.tuning.graph import Array, Builder, Graph
from models.tuning.losses import Boxes
from models.vision.grid import cells
from models.vision.layouts.yolox import STRIDES

CLASSES, SIZE = 80, 416
BOXES = Boxes(decoded=False, labelled=(True,) * CLASSES)
# As YOLOX starts: of a cell it is as likely as this that it holds something.
_PRIOR = 0.01


def detector(seed: int = 0) -> Graph:
    graph = Graph(outputs=["boxes"])
    graph.inputs["pictures"] = (("n", 3, SIZE, SIZE), np.dtype(np.float32))
    _Net(graph, seed).build()
    return graph


def labels(random: np.random.Generator, batch: int) -> Array:
    """Three boxes a picture, of all sizes. batch x cells x (models.tuning.losses.detection.row_length)."""
    grid = cells(SIZE, SIZE, STRIDES)

    def one() -> Array:
        middles, sizes = random.uniform(60, SIZE - 60, (3, 2)), np.array([[25.0], [80.0], [240.0]]) * [1.0, 0.8]
        boxes = np.concatenate([middles - sizes / 2, middles + sizes / 2], 1).astype(np.float32)
        return assigned(boxes, random.integers(0, CLASSES, 3), grid, CLASSES)

    return np.stack([one() for _ in range(batch)])


class _Net:
    """Methods add a part of the network each, under the name `name`. Places are names of tensors, beside how many
    channels they have."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self._build, self._weight = Builder(graph, "net"), Weights(graph, seed)

    def build(self) -> None:
        levels = self.neck(*self.backbone("pictures"))
        maps = [self.head(level, width, number) for number, (level, width) in enumerate(levels)]
        flat = [self._build.add("Reshape", one, self._build.ints([0, 5 + CLASSES, -1])) for one in maps]
        self._build.add("Transpose", self._build.add("Concat", *flat, axis=2), perm=[0, 2, 1], out="boxes")

    def plain(  # noqa: PLR0917 (a convolution has as many)
        self, x: str, name: str, sides: tuple[int, int], kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> str:
        weight = self._weight(f"{name}.weight", sides[1], sides[0] // groups, kernel, kernel)
        bias = self._weight.value(f"{name}.bias", np.full(sides[1], 0.01))
        return self._build.add(
            "Conv", x, weight, bias, group=groups, pads=[kernel // 2] * 4, strides=[stride] * 2,
            kernel_shape=[kernel] * 2,
        )  # fmt: skip

    def conv(self, x: str, name: str, sides: tuple[int, int], kernel: int = 1) -> str:
        return self.silu(self.plain(x, name, sides, kernel))

    def silu(self, x: str) -> str:
        return self._build.add("Mul", x, self._build.add("Sigmoid", x))

    def apart(self, x: str, name: str, sides: tuple[int, int], stride: int = 1) -> str:
        """Depthwise, then 1 x 1."""
        y = self.plain(x, f"{name}.depthwise", (sides[0], sides[0]), 3, stride, sides[0])
        return self.conv(self.silu(y), f"{name}.pointwise", sides)

    def stage(self, x: str, name: str, sides: tuple[int, int], depth: int, adds: bool = True) -> str:
        """Cross stage partial: half of the channels through `depth` bottlenecks, half past them."""
        inner = sides[1] // 2
        through = self.conv(x, f"{name}.through", (sides[0], inner))
        past = self.conv(x, f"{name}.past", (sides[0], inner))
        for number in range(depth):
            y = self.conv(through, f"{name}.{number}.first", (inner, inner))
            y = self.apart(y, f"{name}.{number}.second", (inner, inner))
            through = self._build.add("Add", through, y) if adds else y
        return self.conv(self.joined(through, past), f"{name}.joined", (2 * inner, sides[1]))

    def joined(self, *parts: str) -> str:
        return self._build.add("Concat", *parts, axis=1)

    def backbone(self, x: str) -> tuple[str, str, str]:
        """At strides 8, 16 and 32: 64, 128 and 256 channels."""
        build = self._build
        ends, axes, steps = build.ints([SIZE, SIZE]), build.ints([2, 3]), build.ints([2, 2])
        corners = ((0, 0), (1, 0), (0, 1), (1, 1))
        focused = [build.add("Slice", x, build.ints(corner), ends, axes, steps) for corner in corners]
        x = self.conv(self.joined(*focused), "stem", (12, 16), 3)
        x = self.stage(self.apart(x, "dark2.down", (16, 32), 2), "dark2", (32, 32), 1)
        eighth = self.stage(self.apart(x, "dark3.down", (32, 64), 2), "dark3", (64, 64), 3)
        sixteenth = self.stage(self.apart(eighth, "dark4.down", (64, 128), 2), "dark4", (128, 128), 3)
        x = self.conv(self.apart(sixteenth, "dark5.down", (128, 256), 2), "pool.first", (256, 128))
        pools = [
            build.add("MaxPool", x, kernel_shape=[side] * 2, pads=[side // 2] * 4, strides=[1, 1])
            for side in (5, 9, 13)
        ]
        x = self.conv(self.joined(x, *pools), "pool.second", (512, 256))
        return eighth, sixteenth, self.stage(x, "dark5", (256, 256), 1, adds=False)

    def neck(self, eighth: str, sixteenth: str, last: str) -> list[tuple[str, int]]:
        low = self.conv(last, "lateral", (256, 128))
        middle = self.stage(self.joined(self.twice(low), sixteenth), "up4", (256, 128), 1, adds=False)
        narrow = self.conv(middle, "reduce", (128, 64))
        high = self.stage(self.joined(self.twice(narrow), eighth), "up3", (128, 64), 1, adds=False)
        down = self.joined(self.apart(high, "down3", (64, 64), 2), narrow)
        middle = self.stage(down, "out4", (128, 128), 1, adds=False)
        down = self.joined(self.apart(middle, "down4", (128, 128), 2), low)
        return [(high, 64), (middle, 128), (self.stage(down, "out5", (256, 256), 1, adds=False), 256)]

    def twice(self, x: str) -> str:
        scales = self._build.constant(np.array([1, 1, 2, 2], np.float32))
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self._build.add("Resize", x, "", scales, **how)

    def head(self, x: str, width: int, number: int) -> str:
        name = f"head.{number}"
        x = self.conv(x, f"{name}.stem", (width, 64))

        def branch(kind: str) -> str:
            y = self.apart(x, f"{name}.{kind}.0", (64, 64))
            return self.apart(y, f"{name}.{kind}.1", (64, 64))

        def score(y: str, kind: str, outputs: int) -> str:
            found = self.plain(y, f"{name}.{kind}", (64, outputs))
            self._weight.value(f"{name}.{kind}.bias", np.full(outputs, -np.log(1 / _PRIOR - 1)))
            return self._build.add("Sigmoid", found)

        boxes, classes = branch("boxes"), branch("classes")
        box = self.plain(boxes, f"{name}.box", (64, 4))
        return self.joined(box, score(boxes, "object", 1), score(classes, "class", CLASSES))
