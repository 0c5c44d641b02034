"""A small network and small data that tests train with."""

from __future__ import annotations

import wave
from pathlib import Path

import cv2
import numpy as np

from kinflow.main import run as kinflow
from models.tuning import onnx_file
from models.tuning.graph import Builder, Graph


def tune(*words: object) -> int:
    """`kinflow tune` with these words; its exit status."""
    return kinflow(["tune", *map(str, words)])


def network(path: Path, classes: int = 2, channels: int = 3, size: int = 16) -> Path:
    """Two convolutions, a mean and a matrix; the batch is open."""
    random = np.random.default_rng(5)
    graph = Graph(outputs=["logits"])
    build = Builder(graph, "net")
    graph.inputs["x"] = (("n", channels, size, size), np.dtype(np.float32))

    def weight(name: str, *shape: int) -> str:
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.0
        graph.constants[name] = (random.normal(size=shape) * scale).astype(np.float32)
        return name

    x = "x"
    for number, (inner, outer) in enumerate(((channels, 8), (8, 12)), 1):
        given = weight(f"conv{number}.weight", outer, inner, 3, 3), weight(f"conv{number}.bias", outer)
        x = build.add("Relu", build.add("Conv", x, *given, pads=[1] * 4, strides=[2, 2], kernel_shape=[3, 3]))
    flat = build.add("Flatten", build.add("GlobalAveragePool", x), axis=1)
    build.add("Gemm", flat, weight("head.weight", classes, 12), weight("head.bias", classes), transB=1, out="logits")
    onnx_file.write(graph, path)
    return path


def stripes(folder: Path, count: int = 25, size: int = 16) -> Path:
    """Three classes of pictures: stripes that lie, that stand, and none."""
    random = np.random.default_rng(7)
    for label in ("flat", "lying", "standing"):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            image = random.integers(60, 120, (size, size, 3)).astype(np.uint8)
            start = int(random.integers(0, 4))
            if label == "lying":
                image[start::4] += 100
            elif label == "standing":
                image[:, start::4] += 100
            cv2.imwrite(str(folder / label / f"{number}.png"), image)
    return folder


def tones(folder: Path, count: int = 6) -> Path:
    random = np.random.default_rng(8)
    for label, hertz in (("low", 300), ("high", 1800)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            times = np.arange(4000) / 8000
            sound = np.sin(2 * np.pi * hertz * times) * 0.4 + random.normal(size=4000) * 0.02
            with wave.open(str(folder / label / f"{number}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes((sound * 32000).astype("<i2").tobytes())
    return folder
