"""Networks that find bright squares, one for each layout: blue ones are cars, green ones ambulances, red ones persons.

They are real ONNX files in the layouts' real shapes, and find what stands in the picture: a square of 32 pixels of the
input whose middle is that of a cell (NETS says which)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.models.vision.onnx_writer import INT64, Graph, Shape

NAMES = ("car", "ambulance", "person")
SIDE = 32
BGR, RGB = (0, 1, 2), (2, 1, 0)
IMAGENET_BGR = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])


def sureness(graph: Graph, picture: str, stride: int, pads: tuple[int, int], order: Sequence[int] = BGR) -> str:
    """How much brighter than grey each square is, by channel as `order` has it: 1 x n x rows x columns, 0..1."""
    mean = graph.add(
        "AveragePool",
        picture,
        kernel_shape=[SIDE, SIDE],
        strides=[stride, stride],
        pads=[pads[0], pads[0], pads[1], pads[1]],
        count_include_pad=1,
    )
    above = graph.add("Div", graph.add("Sub", mean, graph.constant(128)), graph.constant(127))
    clipped = graph.add("Clip", above, graph.constant(0), graph.constant(1))
    return graph.add("Gather", clipped, graph.constant(order, np.int64), axis=1)


def rows(graph: Graph, maps: str, channels: int) -> str:
    """1 x channels x rows x columns to 1 x cells x channels."""
    flat = graph.add("Reshape", maps, graph.constant([1, channels, -1], np.int64))
    return graph.add("Transpose", flat, perm=[0, 2, 1])


def scaled(graph: Graph, picture: str, factor: object, offset: object = 0.0) -> str:
    """What the layout did to the picture, undone."""
    columns = (graph.constant(np.reshape(one, (1, -1, 1, 1))) for one in (factor, offset))
    return graph.add("Add", graph.add("Mul", picture, next(columns)), next(columns))


def grid(size: int, stride: int = 8) -> np.ndarray:
    """The middle of each cell, row by row."""
    across, down = np.meshgrid(*[np.arange(size // stride) * stride + stride / 2] * 2)
    return np.stack([across.ravel(), down.ravel()], axis=1)


def yolox(
    path: Path, size: int = 416, shape: Shape | None = None, order: Sequence[int] = BGR, decoded: bool = False
) -> Path:
    """order: which of blue, green and red each class is. decoded: boxes in pixels."""
    graph = Graph()
    picture = graph.input("images", shape or [1, 3, size, size])
    cells = [(size // stride) ** 2 for stride in (8, 16, 32)]
    colours = rows(graph, sureness(graph, picture, 8, (12, 12), order), len(order))
    sure = graph.add("ReduceMax", colours, axes=[2], keepdims=1)
    # The middle of the cell; 32 pixels are exp(1.386) * 8.
    raw = np.tile([0.5, 0.5, np.log(SIDE / 8), np.log(SIDE / 8)], (cells[0], 1))
    pixels = np.hstack([grid(size), np.full((cells[0], 2), SIDE)])
    fine = graph.add("Concat", graph.constant([pixels if decoded else raw]), sure, colours, axis=2)
    nothing = graph.constant(np.zeros((1, sum(cells[1:]), 5 + len(order))))
    graph.add("Concat", fine, nothing, out="output", axis=1)
    graph.output("output", [1, sum(cells), 5 + len(order)])
    return graph.write(path)


def nanodet(path: Path, size: int = 416) -> Path:
    graph = Graph()
    mean, deviation = IMAGENET_BGR
    picture = scaled(graph, graph.input("data", [1, 3, size, size]), deviation, mean)
    cells = [(-(-size // stride)) ** 2 for stride in (8, 16, 32, 64)]
    # Around a cell's corner: two strides to each side.
    colours = rows(graph, sureness(graph, picture, 8, (16, 8)), 3)
    far = np.tile(np.where(np.arange(8) == 2, 60.0, 0.0), (1, cells[0], 4))
    fine = graph.add("Concat", colours, graph.constant(far), axis=2)
    graph.add("Concat", fine, graph.constant(np.zeros((1, sum(cells[1:]), 35))), out="output", axis=1)
    graph.output("output", [1, sum(cells), 35])
    return graph.write(path)


def dfine(path: Path, size: int = 416) -> Path:
    graph = Graph()
    picture = scaled(graph, graph.input("images", ["N", 3, size, size]), 255)
    sizes = graph.add("Cast", graph.input("orig_target_sizes", ["N", 2], INT64), to=1)
    colours = rows(graph, sureness(graph, picture, 8, (12, 12), RGB), 3)
    boxes = np.hstack([grid(size) - SIDE / 2, grid(size) + SIDE / 2]) / size
    twice = graph.add("Unsqueeze", graph.add("Concat", sizes, sizes, axis=1), graph.constant([1], np.int64))
    graph.add("ArgMax", colours, out="labels", axis=2, keepdims=0)
    graph.add("Mul", graph.constant([boxes]), twice, out="boxes")
    graph.add("ReduceMax", colours, out="scores", axes=[2], keepdims=0)
    graph.output("labels", ["N", len(boxes)], INT64)
    graph.output("boxes", ["N", len(boxes), 4])
    graph.output("scores", ["N", len(boxes)])
    return graph.write(path)


def rfdetr(path: Path, size: int = 416) -> Path:
    graph = Graph()
    mean, deviation = (one[::-1] for one in IMAGENET_BGR)
    picture = scaled(graph, graph.input("input", [1, 3, size, size]), deviation, mean)
    colours = rows(graph, sureness(graph, picture, 8, (12, 12), RGB), 3)
    graph.add("Mul", graph.add("Sub", colours, graph.constant(0.5)), graph.constant(20), out="labels")
    boxes = np.hstack([grid(size), np.full_like(grid(size), SIDE)]) / size
    graph.add("Identity", graph.constant([boxes]), out="dets")
    graph.output("dets", [1, len(boxes), 4])
    graph.output("labels", [1, len(boxes), 3])
    return graph.write(path)


def fastestdet(path: Path, size: int = 352) -> Path:
    graph = Graph()
    picture = scaled(graph, graph.input("input.1", [1, 3, size, size]), 255)
    colours = sureness(graph, picture, 16, (8, 8))
    sure = graph.add("ReduceMax", colours, axes=[1], keepdims=1)
    share = SIDE / size
    place = np.array([np.arctanh(0.5)] * 2 + [np.log(share / (1 - share))] * 2)
    side = size // 16
    boxes = graph.constant(np.tile(place.reshape(1, 4, 1, 1), (1, 1, side, side)))
    graph.add("Concat", sure, boxes, colours, out="758", axis=1)
    graph.output("758", [1, 8, side, side])
    return graph.write(path)


# By slug: how to write it, the input's size, the stride of its cells, and where in a cell a square's middle lies.
Net = tuple[Callable[[Path], Path], int, int, int]
NETS: dict[str, Net] = {
    "dfine": (dfine, 416, 8, 4),
    "fastestdet": (fastestdet, 352, 16, 8),
    "nanodet": (nanodet, 416, 8, 0),
    "rfdetr": (rfdetr, 416, 8, 4),
    "yolox": (yolox, 416, 8, 4),
}
