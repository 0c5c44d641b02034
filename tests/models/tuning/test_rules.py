"""Every rule against finite differences in double precision. A case draws shapes and settings; the law is that the
gradient, along any direction, is what the function does when it is moved that way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.tuning.autodiff import differentiate
from models.tuning.cleaning import clean
from models.tuning.composites import KINFLOW
from models.tuning.graph import MICROSOFT, Array, Builder, Graph, Spec
from models.tuning.resolve import measured as run_once
from models.tuning.rules import all_rules
from tests.models.tuning.doubles import Evaluator

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass
class Case:
    """inputs: whose gradients are asked for. constants: never trained."""

    op: str
    inputs: Sequence[Array]
    constants: Sequence[Any] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    opset: int = 17
    # Names of inputs and constants, in the operator's order; "" for an absent one.
    order: Sequence[str] = ()
    frozen: Sequence[int] = ()
    domain: str = ""


def normal(draw: Draw, *shape: int) -> Array:
    """Away from zero and from one another, where kinks lie."""
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = random.permutation(int(np.prod(shape))).astype(np.float64) + random.uniform(0.2, 0.8, int(np.prod(shape)))
    values = values / max(values.size, 1) * 4 - 2
    values[np.abs(values) < 0.01] = 0.05
    return values.reshape(shape)


def positive(draw: Draw, *shape: int) -> Array:
    return np.abs(normal(draw, *shape)) + 0.3


def size(draw: Draw, least: int = 1, most: int = 4) -> int:
    return int(draw(st.integers(least, most)))


def unary(op: str, make: Callable[..., Array] = normal, **attributes: Any) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        return Case(op, [make(draw, 2, size(draw), size(draw))], attributes=attributes)

    return case


def binary(op: str, second: Callable[..., Array] = normal) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        shape = [2, size(draw, 2), size(draw, 2)]
        other = [one if draw(st.booleans()) else 1 for one in shape][draw(st.integers(0, 2)) :]
        return Case(op, [normal(draw, *shape), second(draw, *other)])

    return case


def conv(draw: Draw, depthwise: bool = False, kernel: int = 0) -> Case:
    groups = draw(st.sampled_from([1, 2]))
    inner, outer = size(draw, 1, 3), size(draw, 1, 3)
    if depthwise:
        groups, inner, outer = size(draw, 2, 3), 1, 1
    k = kernel or size(draw, 1, 3)
    stride, dilation = size(draw, 1, 2), (1 if draw(st.booleans()) else 2)
    pads = [draw(st.integers(0, k - 1)) for _ in range(4)]
    high, wide = size(draw, 6, 8), size(draw, 6, 8)
    settings_ = {"group": groups, "strides": [stride] * 2, "dilations": [dilation] * 2, "pads": pads}
    values = [normal(draw, 2, groups * inner, high, wide), normal(draw, groups * outer, inner, k, k)]
    values.append(normal(draw, groups * outer))
    return Case("Conv", values, attributes=settings_, frozen=draw(st.sampled_from([(), (1,), (1, 2)])))


def pointwise(draw: Draw) -> Case:
    inner, outer, n = size(draw, 1, 3), size(draw, 1, 3), size(draw, 1, 2)
    values = [normal(draw, n, inner, 3, 4), normal(draw, outer, inner, 1, 1)]
    return Case("Conv", values, frozen=draw(st.sampled_from([(), (1,)])))


def conv_transpose(draw: Draw) -> Case:
    inner, outer, k, stride = size(draw, 1, 3), size(draw, 1, 3), size(draw, 1, 3), size(draw, 1, 2)
    pads = [draw(st.integers(0, k - 1)) for _ in range(4)]
    values = [normal(draw, 2, inner, 4, 3), normal(draw, inner, outer, k, k), normal(draw, outer)]
    return Case("ConvTranspose", values, attributes={"strides": [stride] * 2, "pads": pads})


def gemm(draw: Draw) -> Case:
    m, k, n = size(draw), size(draw), size(draw)
    turn_a, turn_b = draw(st.booleans()), draw(st.booleans())
    a = normal(draw, k, m) if turn_a else normal(draw, m, k)
    b = normal(draw, n, k) if turn_b else normal(draw, k, n)
    bias = normal(draw, *draw(st.sampled_from([(n,), (1, n), (m, 1), (1,)])))
    factors = {"transA": int(turn_a), "transB": int(turn_b), "alpha": 0.5, "beta": 2.0}
    return Case("Gemm", [a, b, bias], attributes=factors)


def matmul(draw: Draw) -> Case:
    m, k, n, batch = size(draw), size(draw), size(draw), size(draw, 1, 3)
    a = normal(draw, *draw(st.sampled_from([(m, k), (batch, m, k), (2, batch, m, k), (1, 1, m, k), (k,)])))
    b = normal(draw, *draw(st.sampled_from([(k, n), (batch, k, n), (2, 1, k, n), (k,)])))
    return Case("MatMul", [a, b])


def pool(op: str) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        k, stride = size(draw, 1, 3), size(draw, 1, 2)
        pads = [draw(st.integers(0, k // 2)) for _ in range(4)]
        more = {"count_include_pad": draw(st.integers(0, 1))} if op == "AveragePool" else {}
        shape = {"kernel_shape": [k, k], "strides": [stride] * 2, "pads": pads}
        return Case(op, [normal(draw, 2, size(draw, 1, 2), 6, 5)], attributes={**shape, **more})

    return case


def reduction(op: str, make: Callable[..., Array] = normal) -> Callable[[Draw], Case]:
    """ReduceSum takes its axes as an input, the others (of opset 17) as an attribute."""

    def case(draw: Draw) -> Case:
        axes = draw(st.sampled_from([[0], [1], [-1], [1, 2], [0, 1, 2], None]))
        keep = {"keepdims": draw(st.integers(0, 1))}
        x = make(draw, 2, size(draw, 2), size(draw, 2))
        if axes is None:
            return Case(op, [x], attributes=keep)
        if op == "ReduceSum":
            return Case(op, [x], [np.array(axes)], keep)
        return Case(op, [x], attributes={**keep, "axes": axes})

    return case


def slice_(draw: Draw) -> Case:
    bounds = draw(
        st.sampled_from(
            [([1], [9], [2], [1]), ([0, 1], [2, -1], [1, 2], [1, 1]), ([0], [9], [2], [2]), ([-1], [-99], [1], [-1])]
        )
    )
    return Case("Slice", [normal(draw, 2, 3, 5)], [np.array(one) for one in bounds])


def concat(draw: Draw) -> Case:
    axis = draw(st.sampled_from([0, 1, -1]))
    return Case("Concat", [normal(draw, 2, 3, 2) for _ in range(size(draw, 1, 3))], attributes={"axis": axis})


def split(draw: Draw) -> Case:
    return Case("Split", [normal(draw, 2, 5)], [np.array([2, 3])], {"axis": draw(st.sampled_from([1, -1]))}, outputs=2)


def gather(draw: Draw) -> Case:
    axis = draw(st.sampled_from([0, 1, -1]))
    picked = draw(st.sampled_from([[0, 2, 2], [[-1, 0], [1, 1]], 1]))
    return Case("Gather", [normal(draw, 3, 3, 3)], [np.array(picked)], {"axis": axis})


def gather_elements(draw: Draw) -> Case:
    picked = np.array([[0, 2, 2], [-1, 1, 1]])
    return Case("GatherElements", [normal(draw, 3, 3)], [picked], {"axis": 0})


def pad(draw: Draw) -> Case:
    return Case("Pad", [normal(draw, 2, 3, 4)], [np.array([0, 1, 0, 2, 0, 1])])


def resize(draw: Draw) -> Case:
    mode = draw(st.sampled_from(["nearest", "linear"]))
    where = draw(st.sampled_from(["asymmetric", "half_pixel", "align_corners"]))
    scale = draw(st.sampled_from([2.0, 3.0, 0.5]))
    given_ = {"mode": mode, "coordinate_transformation_mode": where}
    if mode == "nearest":
        given_["nearest_mode"] = "floor"
    scales = np.array([1, 1, scale, scale], np.float32)
    return Case("Resize", [normal(draw, 1, 2, 4, 6)], [scales], given_, order=["x0", "", "c0"])


def layer_normalization(draw: Draw) -> Case:
    n = size(draw, 2, 5)
    values = [normal(draw, 2, 3, n), normal(draw, n), normal(draw, n)]
    return Case("LayerNormalization", values, attributes={"axis": -1})


def instance_normalization(draw: Draw) -> Case:
    return Case("InstanceNormalization", [normal(draw, 2, 3, 3, 2), normal(draw, 3), normal(draw, 3)])


def batch_normalization(draw: Draw) -> Case:
    values = [normal(draw, 2, 3, 2, 2), normal(draw, 3), normal(draw, 3)]
    return Case("BatchNormalization", values, [normal(draw, 3), positive(draw, 3)])


def rms_normalization(draw: Draw) -> Case:
    n = size(draw, 2, 5)
    return Case(
        "SimplifiedLayerNormalization", [normal(draw, 2, 3, n), normal(draw, n)], outputs=draw(st.sampled_from([1, 2])),
        attributes={"axis": -1, "epsilon": 1e-4},
    )  # fmt: skip


def rotary_embedding(draw: Draw) -> Case:
    places, pairs = size(draw), size(draw, 1, 3)
    angles = normal(draw, places + draw(st.integers(0, 2)), pairs)
    return Case(
        "RotaryEmbedding", [normal(draw, 2, size(draw), places, 2 * pairs)],
        [np.array([0]), np.cos(angles), np.sin(angles)], attributes={"interleaved": draw(st.integers(0, 1))},
        domain=MICROSOFT,
    )  # fmt: skip


def many(op: str) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        return Case(op, [normal(draw, 2, 3), normal(draw, 3), normal(draw, 2, 1)][: size(draw, 1, 3)])

    return case


def clip(draw: Draw) -> Case:
    bounds = draw(st.sampled_from([("c0", "c1"), ("c0",), ("", "c1"), ()]))
    return Case("Clip", [normal(draw, 3, 7)], [np.float32(-0.611), np.float32(1.203)], order=["x0", *bounds])


CASES: dict[str, Sequence[Callable[[Draw], Case]]] = {
    "Abs": [unary("Abs")],
    "Add": [binary("Add")],
    "AveragePool": [pool("AveragePool")],
    "BatchNormalization": [batch_normalization],
    "Cast": [unary("Cast", to=1)],
    "Clip": [clip],
    "Concat": [concat],
    "Conv": [conv, lambda draw: conv(draw, depthwise=True), pointwise],
    "ConvTranspose": [conv_transpose],
    "Cos": [unary("Cos")],
    "DepthToSpace": [
        lambda draw: Case("DepthToSpace", [normal(draw, 1, 8, 2, 3)], attributes={"blocksize": 2, "mode": "DCR"}),
        lambda draw: Case("DepthToSpace", [normal(draw, 1, 8, 2, 3)], attributes={"blocksize": 2, "mode": "CRD"}),
    ],
    "Div": [binary("Div", second=positive)],
    "Dropout": [unary("Dropout")],
    "Elu": [unary("Elu", alpha=0.7)],
    "Erf": [unary("Erf")],
    "Exp": [unary("Exp")],
    "Expand": [lambda draw: Case("Expand", [normal(draw, 3, 1)], [np.array([2, 3, 4])])],
    "Flatten": [unary("Flatten", axis=1)],
    "Gather": [gather],
    "GatherElements": [gather_elements],
    "Gelu": [lambda draw: Case("Gelu", [normal(draw, 3, 4)], opset=20)],
    "Gemm": [gemm],
    "GlobalAveragePool": [lambda draw: Case("GlobalAveragePool", [normal(draw, 2, 3, 4, 2)])],
    "GlobalMaxPool": [lambda draw: Case("GlobalMaxPool", [normal(draw, 2, 3, 4, 2)])],
    "HardSigmoid": [unary("HardSigmoid", alpha=0.3, beta=0.45)],
    "HardSwish": [lambda draw: Case("HardSwish", [normal(draw, 3, 5) * 3])],
    "Identity": [unary("Identity")],
    "InstanceNormalization": [instance_normalization],
    "LayerNormalization": [layer_normalization],
    "LeakyRelu": [unary("LeakyRelu", alpha=0.2)],
    "Log": [unary("Log", positive)],
    "LogSoftmax": [unary("LogSoftmax", axis=axis) for axis in (1, -1)],
    "MatMul": [matmul],
    "Max": [many("Max")],
    "MaxPool": [pool("MaxPool")],
    "Mean": [many("Mean")],
    "Min": [many("Min")],
    "Mul": [binary("Mul"), lambda draw: Case("Mul", [normal(draw, 3)], order=["x0", "x0"])],
    "Neg": [unary("Neg")],
    "PRelu": [lambda draw: Case("PRelu", [normal(draw, 2, 3, 2, 2), normal(draw, 3, 1, 1)])],
    "Pad": [pad],
    "Pow": [
        lambda draw: Case("Pow", [normal(draw, 2, 3)], [np.float32(2.0)]),
        lambda draw: Case("Pow", [positive(draw, 2, 3), normal(draw, 3)]),
    ],
    "RMSNormalization": [],  # of opset 23, which is not read yet; SimplifiedLayerNormalization is the same rule
    "Reciprocal": [unary("Reciprocal", positive)],
    "ReduceL2": [reduction("ReduceL2")],
    "ReduceMax": [reduction("ReduceMax")],
    "ReduceMean": [reduction("ReduceMean")],
    "ReduceMin": [reduction("ReduceMin")],
    "ReduceSum": [reduction("ReduceSum")],
    "ReduceSumSquare": [reduction("ReduceSumSquare")],
    "Relu": [unary("Relu")],
    "Reshape": [lambda draw: Case("Reshape", [normal(draw, 2, 6)], [np.array([3, -1])])],
    "Resize": [resize],
    "RotaryEmbedding": [rotary_embedding],
    # Two calls of the others: test_sampling.py.
    **dict.fromkeys(("SampledConv", "SampledGemm", "SampledMatMul"), ()),
    "Sigmoid": [unary("Sigmoid")],
    "Silu": [lambda draw: Case("Silu", [normal(draw, 3, 4)], outputs=2, domain=KINFLOW)],
    "SimplifiedLayerNormalization": [rms_normalization],
    "Sin": [unary("Sin")],
    "Slice": [slice_],
    "Softmax": [unary("Softmax", axis=axis) for axis in (1, -1)],
    "Softplus": [unary("Softplus")],
    "SpaceToDepth": [lambda draw: Case("SpaceToDepth", [normal(draw, 1, 2, 4, 6)], attributes={"blocksize": 2})],
    "Split": [split],
    "Sqrt": [unary("Sqrt", positive)],
    "Squeeze": [lambda draw: Case("Squeeze", [normal(draw, 2, 1, 3)], [np.array([1])])],
    "Sub": [binary("Sub")],
    "Sum": [many("Sum")],
    "Tanh": [unary("Tanh")],
    "Tile": [lambda draw: Case("Tile", [normal(draw, 2, 3)], [np.array([2, 3])])],
    "Transpose": [unary("Transpose", perm=[2, 0, 1]), unary("Transpose")],
    "Unsqueeze": [lambda draw: Case("Unsqueeze", [normal(draw, 2, 3)], [np.array([1, -1])])],
    "Upsample": [],  # an older name of Resize, which the conversion of old files leaves behind nowhere
    "Where": [
        lambda draw: Case(
            "Where", [normal(draw, 2, 3), normal(draw, 3)], [normal(draw, 2, 3) > 0], order=["c0", "x0", "x1"]
        )
    ],
}  # fmt: skip


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(all_rules())


def network(case: Case) -> tuple[Graph, list[str], dict[str, Array]]:
    """One node between linear ones, so that its gradients are neither given nor asked for directly."""
    graph = Graph(opset=case.opset)
    build = Builder(graph, "case")
    feeds, trained = {}, []
    for index, value in enumerate(case.inputs):
        name = f"x{index}"
        if index in case.frozen:
            graph.constants[name] = value.astype(np.float32)
            continue
        graph.inputs[name] = (value.shape, np.dtype(np.float32))
        feeds[name], _ = value, trained.append(name)
    for index, value in enumerate(case.constants):
        array = np.asarray(value)
        graph.constants[f"c{index}"] = array.astype(np.float32) if array.dtype.kind == "f" else array
    order = case.order or [*(f"x{i}" for i in range(len(case.inputs))), *(f"c{i}" for i in range(len(case.constants)))]
    outs = [f"y{i}" for i in range(case.outputs)]
    build.several(case.op, *order, outs=outs, domain=case.domain, **case.attributes)
    graph.outputs = outs
    return graph, trained, feeds


def measured(case: Case, graph: Graph, feeds: dict[str, Array]) -> Graph:
    """Shapes; the operators that are ours alone have that of their input."""
    if case.domain or case.op.startswith("Simplified"):
        plain = graph.copy()
        plain.nodes[0].op, plain.nodes[0].domain = "Identity", ""
        plain.nodes[0].inputs, plain.nodes[0].outputs, plain.nodes[0].attributes = ["x0"], ["y0"], {}
        plain.outputs = ["y0"]
        done = _resolved(plain, feeds)
        done.nodes, done.outputs = graph.nodes, ["y0"]
        spec = done.specs["y0"]
        shape = spec.shape if case.domain else (*spec.shape[:-1], 1)
        done.specs["y1"] = type(spec)(shape, spec.dtype)
        return done
    return _resolved(graph, feeds)


def _resolved(graph: Graph, feeds: dict[str, Array]) -> Graph:
    # What `resolve` takes for the batch is the first axis; each input here has its own.
    for name, value in feeds.items():
        graph.inputs[name] = (value.shape, np.dtype(np.float32))
    done = graph.copy()
    values = run_once(done, 1)
    for name, value in {**values, **done.constants}.items():
        done.specs[name] = Spec(value.shape, value.dtype)
    return done


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("op", "index"), [(op, index) for op, cases in CASES.items() for index in range(len(cases))])
@settings(max_examples=12, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate])
@given(data=st.data())
def test_a_rule_gives_what_differences_give(op: str, index: int, data: st.DataObject) -> None:
    case = CASES[op][index](data.draw)
    graph, trained, feeds = network(case)
    graph = measured(case, graph, feeds)
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    build = Builder(graph, "back")
    weights = {name: random.normal(size=graph.specs[name].shape) for name in graph.outputs}
    seeds = {name: build.constant(one.astype(np.float32)) for name, one in weights.items()}
    outputs = list(graph.outputs)
    forward = clean(graph)
    gradients = differentiate(build, seeds, trained)
    assert set(gradients) == set(trained)
    graph.outputs = [*outputs, *gradients.values()]
    back = Evaluator(clean(graph))(feeds)
    function = Evaluator(forward)

    def value(moved: dict[str, Array]) -> float:
        found = function(moved)
        return sum(float((found[name] * weights[name].astype(np.float32)).sum()) for name in outputs)

    for name in trained:
        direction = random.normal(size=feeds[name].shape)
        step = 1e-5
        ahead, behind = (
            value({**feeds, name: feeds[name] + step * direction}),
            value({**feeds, name: feeds[name] - step * direction}),
        )
        expected = (ahead - behind) / (2 * step)
        gradient = back[gradients[name]]
        assert gradient.shape == feeds[name].shape
        scale = float(np.abs(gradient * direction).sum())
        assert abs(float((gradient * direction).sum()) - expected) <= 1e-6 * scale + 1e-8
