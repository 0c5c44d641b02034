"""A small detector of the layout yolox, and pictures of coloured squares with labels in YOLO's form."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from models.tuning import onnx_file
from models.tuning.graph import Builder, Graph

LABELS = ("car", "bus", "person")
SIZE = 64
_COLOURS = {"car": (220, 60, 60), "bus": (60, 220, 60), "person": (60, 60, 220)}


def detector(path: Path, size: int = SIZE, decoded: bool = False) -> Path:
    """Three strides, and a manifest beside it."""
    random = np.random.default_rng(1)
    graph = Graph(outputs=["output"])
    build = Builder(graph, "net")
    graph.inputs["images"] = ((1, 3, size, size), np.dtype(np.float32))
    classes = len(LABELS)

    def conv(x: str, name: str, sides: tuple[int, int], kernel: int, stride: int) -> str:
        inner, outer = sides
        scale = np.sqrt(2 / (inner * kernel * kernel))
        graph.constants[f"{name}.weight"] = (random.normal(size=(outer, inner, kernel, kernel)) * scale).astype("f4")
        graph.constants[f"{name}.bias"] = np.zeros(outer, np.float32)
        pads = [(kernel - stride) // 2] * 4 if kernel > 1 else [0] * 4
        given = f"{name}.weight", f"{name}.bias"
        return build.add("Conv", x, *given, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)

    x = build.add("Sub", build.add("Mul", "images", build.constant(np.float32(1 / 64))), build.constant(np.float32(2)))
    x = build.add("Relu", conv(x, "stem", (3, 8), 4, 4))
    levels, inner = [], 8
    for stride in (8, 16, 32):
        x = build.add("Relu", conv(x, f"stage{stride}", (inner, 16), 4, 2))
        inner = 16
        raw = conv(x, f"head{stride}", (16, 5 + classes), 1, 1)
        graph.constants[f"head{stride}.bias"][4:] = -3.0
        # As YOLOX exports it: the sigmoid stands before the maps are made rows.
        boxes, sure = build.several("Split", raw, build.ints((4, 1 + classes)), outs=2, axis=1)
        both = build.add("Concat", boxes, build.add("Sigmoid", sure), axis=1)
        levels.append(build.add("Reshape", both, build.ints((0, 5 + classes, -1))))
    rows = build.add("Transpose", build.add("Concat", *levels, axis=2), perm=[0, 2, 1], out="" if decoded else "output")
    if decoded:
        from models.vision.grid import cells  # noqa: PLC0415

        grid = cells(size, size, (8, 16, 32))
        middle, sides, rest = build.several("Split", rows, build.ints((2, 2, 1 + classes)), outs=3, axis=2)
        stride_of = build.constant(grid[:, 2:])
        middle = build.add("Mul", build.add("Add", middle, build.constant(grid[:, :2])), stride_of)
        sides = build.add("Mul", build.add("Exp", sides), stride_of)
        build.add("Concat", middle, sides, rest, axis=2, out="output")
    onnx_file.write(graph, path)
    listed = ", ".join(f'"{one}"' for one in LABELS)
    path.with_suffix(".toml").write_text(f'name = "squares"\nlabels = [{listed}]\nsha256 = ""\n')
    return path


def squares(folder: Path, count: int = 40, names: tuple[str, ...] = ("bus", "car")) -> Path:
    """images/ and labels/; every sixth picture is empty. names: which are drawn and labelled."""
    random = np.random.default_rng(2)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    for number in range(count):
        image = random.integers(90, 120, (48, 64, 3)).astype(np.uint8)
        lines = []
        for _ in range(0 if number % 6 == 5 else 1 + number % 2):
            which = int(random.integers(len(names)))
            side = int(random.integers(14, 26))
            x, y = int(random.integers(0, 64 - side)), int(random.integers(0, 48 - side))
            image[y : y + side, x : x + side] = _COLOURS[names[which]]
            lines.append(f"{which} {(x + side / 2) / 64} {(y + side / 2) / 48} {side / 64} {side / 48}")
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        (folder / "labels" / f"{number}.txt").write_text("\n".join(lines))
    return folder
