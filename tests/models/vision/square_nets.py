"""Networks that find bright squares, one for each layout: blue ones are cars, green ones ambulances, red ones persons.

They are real ONNX files in the layouts' real shapes, and find what stands in the picture: a square of 32 pixels of the
input whose middle lies on a cell's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.models.vision.onnx_writer import Graph, Shape

NAMES = ("car", "ambulance", "person")
SIDE = 32


def brightness(graph: Graph, picture: str, stride: int, pads: tuple[int, int]) -> str:
    """How much brighter than grey each square is, by channel: 1 x 3 x rows x columns, 0..1."""
    before, after = pads
    mean = graph.add(
        "AveragePool",
        picture,
        kernel_shape=[SIDE, SIDE],
        strides=[stride, stride],
        pads=[before, before, after, after],
        count_include_pad=1,
    )
    above = graph.add("Div", graph.add("Sub", mean, graph.constant(128)), graph.constant(127))
    return graph.add("Clip", above, graph.constant(0), graph.constant(1))


def rows(graph: Graph, maps: str, channels: int) -> str:
    """1 x channels x rows x columns to 1 x cells x channels."""
    flat = graph.add("Reshape", maps, graph.constant([1, channels, -1], np.int64))
    return graph.add("Transpose", flat, perm=[0, 2, 1])


def yolox(path: Path, size: int = 416, shape: Shape | None = None, order: tuple[int, ...] = (0, 1, 2)) -> Path:
    """order: which of blue, green and red each class is."""
    graph = Graph()
    picture = graph.input("images", shape or [1, 3, size, size])
    cells = [(size // stride) ** 2 for stride in (8, 16, 32)]
    colours = rows(graph, brightness(graph, picture, 8, (12, 12)), 3)
    colours = graph.add("Gather", colours, graph.constant(order, np.int64), axis=2)
    sure = graph.add("ReduceMax", colours, axes=[2], keepdims=1)
    # The middle of the cell; 32 pixels are exp(1.386) * 8.
    place = graph.constant(np.tile([0.5, 0.5, np.log(SIDE / 8), np.log(SIDE / 8)], (1, cells[0], 1)))
    fine = graph.add("Concat", place, sure, colours, axis=2)
    nothing = graph.constant(np.zeros((1, sum(cells[1:]), 5 + len(order))))
    graph.add("Concat", fine, nothing, out="output", axis=1)
    graph.output("output", [1, sum(cells), 5 + len(order)])
    return graph.write(path)
