"""The networks that the bench trains, made here with random weights: a step costs the same with any."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.tuning.graph import Array, Builder, Graph

# Of MobileNetV2 (Sandler and others 2018, arXiv 1801.04381, table 2): expansion, channels, repeats, first stride.
_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_WIDTH = 0.35


@dataclass(frozen=True)
class Llama:
    """As Touvron and others 2023 (arXiv 2302.13971), small."""

    vocabulary: int = 4096
    width: int = 256
    layers: int = 8
    heads: int = 8
    hidden: int = 688
    places: int = 128

    @property
    def head(self) -> int:
        return self.width // self.heads


class Weights:
    """Random ones, as constants of the graph."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self._graph, self._random = graph, np.random.default_rng(seed)

    def __call__(self, name: str, *shape: int, gain: float = 2.0, inner: int = 0) -> str:
        inner = inner or int(np.prod(shape[1:]))
        scale = math.sqrt(gain / inner)
        self._graph.constants[name] = (self._random.normal(size=shape) * scale).astype(np.float32)
        return name

    def value(self, name: str, value: Array) -> str:
        self._graph.constants[name] = value.astype(np.float32)
        return name


def rounded(channels: float) -> int:
    """To a multiple of 8, and not down by more than a tenth, as MobileNet's authors do."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def mobilenet(classes: int = 10, size: int = 128, seed: int = 0) -> Graph:
    """MobileNetV2-0.35, its normalisation folded into the convolutions."""
    graph = Graph(outputs=["logits"])
    build, weight = Builder(graph, "net"), Weights(graph, seed)
    graph.inputs["pictures"] = (("n", 3, size, size), np.dtype(np.float32))
    low, high = build.constant(np.float32(0)), build.constant(np.float32(6))

    def conv(  # noqa: PLR0917 (a convolution has as many)
        x: str, name: str, inputs: int, outputs: int, kernel: int, stride: int, groups: int, bounded: bool
    ) -> str:
        # ReLU6 halves the power; what ends a block has none after it.
        gain = 2.0 if bounded else 1.0
        weights = weight(f"{name}.weight", outputs, inputs // groups, kernel, kernel, gain=gain)
        bias = weight.value(f"{name}.bias", np.full(outputs, 0.01))
        pads, strides = [kernel // 2] * 4, [stride] * 2
        y = build.add("Conv", x, weights, bias, group=groups, pads=pads, strides=strides, kernel_shape=[kernel] * 2)
        return build.add("Clip", y, low, high) if bounded else y

    x, channels = conv("pictures", "stem", 3, rounded(32 * _WIDTH), 3, 2, 1, True), rounded(32 * _WIDTH)
    number = 0
    for expansion, wide, repeats, first in _BLOCKS:
        outputs = rounded(wide * _WIDTH)
        for repeat in range(repeats):
            stride, name, inner = first if repeat == 0 else 1, f"blocks.{number}", channels * expansion
            y = conv(x, f"{name}.expand", channels, inner, 1, 1, 1, True) if expansion > 1 else x
            y = conv(y, f"{name}.depthwise", inner, inner, 3, stride, inner, True)
            y = conv(y, f"{name}.project", inner, outputs, 1, 1, 1, False)
            x = build.add("Add", x, y) if stride == 1 and channels == outputs else y
            channels, number = outputs, number + 1
    x = conv(x, "last", channels, 1280, 1, 1, 1, True)
    flat = build.add("Flatten", build.add("GlobalAveragePool", x), axis=1)
    head = weight("classifier.weight", classes, 1280, gain=1.0), weight.value("classifier.bias", np.zeros(classes))
    build.add("Gemm", flat, *head, transB=1, out="logits")
    return graph


def spectrogram_network(classes: int, shape: tuple[int, int, int], seed: int = 0) -> Graph:
    """Small, of blocks as MobileNetV2 has them: 1 x 1 that widens, depthwise, 1 x 1 that narrows. shape: channels,
    bands, frames."""
    graph = Graph(outputs=["logits"])
    build, weight = Builder(graph, "net"), Weights(graph, seed)
    graph.inputs["sounds"] = (("n", *shape), np.dtype(np.float32))

    def conv(  # noqa: PLR0917 (a convolution has as many)
        x: str, name: str, sides: tuple[int, int], kernel: int, stride: int = 1, groups: int = 1
    ) -> str:
        weights = weight(f"{name}.weight", sides[1], sides[0] // groups, kernel, kernel)
        bias = weight.value(f"{name}.bias", np.zeros(sides[1]))
        pads, strides = [kernel // 2] * 4, [stride] * 2
        return build.add("Conv", x, weights, bias, group=groups, pads=pads, strides=strides, kernel_shape=[kernel] * 2)

    x, channels = build.add("Relu", conv("sounds", "stem", (shape[0], 16), 3, 2)), 16
    for number, (outputs, stride) in enumerate(((16, 1), (24, 2), (24, 1), (32, 2), (32, 1))):
        name, inner = f"blocks.{number}", channels * 4
        y = build.add("Relu", conv(x, f"{name}.expand", (channels, inner), 1))
        y = build.add("Relu", conv(y, f"{name}.depthwise", (inner, inner), 3, stride, inner))
        y = conv(y, f"{name}.project", (inner, outputs), 1)
        x = build.add("Add", x, y) if stride == 1 and channels == outputs else y
        channels = outputs
    x = build.add("Relu", conv(x, "last", (channels, 96), 1))
    flat = build.add("Flatten", build.add("GlobalAveragePool", x), axis=1)
    head = weight("classifier.weight", classes, 96, gain=1.0), weight.value("classifier.bias", np.zeros(classes))
    build.add("Gemm", flat, *head, transB=1, out="logits")
    return graph


def llama(form: Llama | None = None, seed: int = 0) -> Graph:
    """Logits for each place; the operators are spelt out, as an export has them."""
    form = form or Llama()
    graph = Graph(outputs=["logits"])
    build, weight = Builder(graph, "net"), Weights(graph, seed)
    graph.inputs["tokens"] = (("n", form.places), np.dtype(np.int64))
    width, heads, head, places = form.width, form.heads, form.head, form.places
    angles = np.outer(np.arange(places), 10_000.0 ** (-np.arange(0, head, 2) / head))
    cos, sin = (build.constant(np.tile(one(angles), 2).astype(np.float32)) for one in (np.cos, np.sin))
    mask = build.constant(np.triu(np.full((places, places), -1e9, np.float32), 1))
    half, zero, end, last = (build.ints([one]) for one in (head // 2, 0, head, 3))

    def norm(x: str, name: str) -> str:
        mean = build.add("ReduceMean", build.add("Pow", x, build.constant(np.float32(2))), axes=[-1], keepdims=1)
        root = build.add("Sqrt", build.add("Add", mean, build.constant(np.float32(1e-5))))
        return build.add("Mul", build.add("Div", x, root), weight.value(f"{name}.weight", np.ones(width)))

    def linear(x: str, name: str, inputs: int, outputs: int) -> str:
        return build.add("MatMul", x, weight(f"{name}.weight", inputs, outputs, gain=1.0, inner=inputs))

    def parted(x: str) -> str:
        apart = build.add("Reshape", x, build.ints([0, places, heads, head]))
        return build.add("Transpose", apart, perm=[0, 2, 1, 3])

    def turned(x: str) -> str:
        first, second = build.add("Slice", x, zero, half, last), build.add("Slice", x, half, end, last)
        around = build.add("Concat", build.add("Neg", second), first, axis=-1)
        return build.add("Add", build.add("Mul", x, cos), build.add("Mul", around, sin))

    x = build.add("Gather", weight("embedding.weight", form.vocabulary, width, gain=1.0, inner=1), "tokens")
    for number in range(form.layers):
        name = f"layers.{number}"
        y = norm(x, f"{name}.attention_norm")
        q, k, v = (parted(linear(y, f"{name}.attention.{one}", width, width)) for one in "qkv")
        scores = build.add("MatMul", turned(q), build.add("Transpose", turned(k), perm=[0, 1, 3, 2]))
        scores = build.add("Add", build.add("Mul", scores, build.constant(np.float32(head**-0.5))), mask)
        mixed = build.add("MatMul", build.add("Softmax", scores, axis=-1), v)
        joined = build.add("Reshape", build.add("Transpose", mixed, perm=[0, 2, 1, 3]), build.ints([0, places, width]))
        x = build.add("Add", x, linear(joined, f"{name}.attention.o", width, width))
        y = norm(x, f"{name}.feed_norm")
        gate = linear(y, f"{name}.feed.gate", width, form.hidden)
        gated = build.add("Mul", gate, build.add("Sigmoid", gate))
        inner = build.add("Mul", gated, linear(y, f"{name}.feed.up", width, form.hidden))
        x = build.add("Add", x, linear(inner, f"{name}.feed.down", form.hidden, width))
    weights = weight("head.weight", width, form.vocabulary, gain=1.0, inner=width)
    build.add("MatMul", norm(x, "norm"), weights, out="logits")
    return graph
