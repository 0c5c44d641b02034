"""Groups of nodes that have a shorter way back together than one by one. They are found before differentiation."""

from __future__ import annotations

import numpy as np

from models.tuning.cleaning import clean
from models.tuning.graph import Builder, Graph, Node
from models.tuning.rotary import ROTARY, rotary
from models.tuning.rotary import spelt_out as spelt_out_rotary

KINFLOW = "kinflow"


def recognise(graph: Graph) -> Graph:
    """x sigmoid(x) becomes Silu; x / sqrt(mean(x^2) + e) times a weight becomes SimplifiedLayerNormalization; rotary
    positions become RotaryEmbedding."""
    done = graph.copy()
    build = Builder(done, "composite")
    made = {node.outputs[0]: node for node in done.nodes}
    uses = done.consumers()
    result: list[Node] = []
    for node in done.nodes:
        found = _silu(node, made, uses, done) or _rms(node, made, done) or rotary(node, made, build)
        result.append(found or node)
    done.nodes = result
    return clean(done)


def _silu(node: Node, made: dict[str, Node], uses: dict[str, list[Node]], graph: Graph) -> Node | None:
    if node.op != "Mul" or len(set(node.inputs)) != 2:
        return None
    for x, s in (node.inputs, node.inputs[::-1]):
        gate = made.get(s)
        if gate is not None and gate.op == "Sigmoid" and gate.inputs[0] == x and len(uses[s]) == 1:
            inner = f"{node.outputs[0]}.gate"
            graph.specs[inner] = graph.specs[s]
            return Node("Silu", [x], [node.outputs[0], inner], {}, KINFLOW, node.name)
    return None


def _rms(node: Node, made: dict[str, Node], graph: Graph) -> Node | None:
    """weight * (x * inverse), where inverse is 1 / sqrt(mean(x^2) + e), or x / sqrt(...)."""
    if node.op != "Mul":
        return None
    for scale, scaled in (node.inputs, node.inputs[::-1]):
        unit = made.get(scaled)
        if scale not in graph.constants or graph.constants[scale].ndim != 1 or unit is None:
            continue
        found = _root_of_mean_square(unit, made, graph)
        if found is None:
            continue
        x, epsilon = found
        spec = graph.specs[x]
        if spec.shape[-1:] != graph.constants[scale].shape or len(spec.shape) < 2:
            continue
        inverse = f"{node.outputs[0]}.inverse"
        graph.specs[inverse] = type(spec)((*spec.shape[:-1], 1), spec.dtype)
        attributes = {"axis": -1, "epsilon": epsilon, "stash_type": 1}
        return Node("SimplifiedLayerNormalization", [x, scale], [node.outputs[0], inverse], attributes, "", node.name)
    return None


def _root_of_mean_square(unit: Node, made: dict[str, Node], graph: Graph) -> tuple[str, float] | None:
    """x and epsilon, when `unit` is x over the root of its mean square along the last axis."""
    found = _over_root(unit, made, graph)
    raised = made.get(found[1].inputs[0]) if found else None
    if found is None or raised is None or raised.op != "Add":
        return None
    x = found[0]
    for square, number in (raised.inputs, raised.inputs[::-1]):
        epsilon = graph.constants.get(number)
        if epsilon is not None and epsilon.size == 1 and _is_mean_square(made.get(square), x, made, graph):
            return x, float(epsilon.reshape(-1)[0])
    return None


def _over_root(unit: Node, made: dict[str, Node], graph: Graph) -> tuple[str, Node] | None:
    """x and the Sqrt, when `unit` is x / sqrt or x * (1 / sqrt)."""
    x, root = "", None
    if unit.op == "Div":
        x, root = unit.inputs[0], made.get(unit.inputs[1])
    elif unit.op == "Mul":
        for one, other in (unit.inputs, unit.inputs[::-1]):
            inverse = made.get(other)
            if inverse is not None and _is_inverse(inverse, graph):
                x, root = one, made.get(inverse.inputs[-1])
    return (x, root) if root is not None and root.op == "Sqrt" else None


def _is_inverse(node: Node, graph: Graph) -> bool:
    return node.op == "Reciprocal" or (node.op == "Div" and _is_number(node.inputs[0], 1.0, graph))


def _is_mean_square(mean: Node | None, x: str, made: dict[str, Node], graph: Graph) -> bool:
    if mean is None or mean.op != "ReduceMean":
        return False
    power, axes = made.get(mean.inputs[0]), mean.attributes.get("axes")
    if axes is None and len(mean.inputs) > 1:
        axes = graph.constants.get(mean.inputs[1])
    rank = len(graph.specs[x].shape)
    if axes is None or [int(one) % rank for one in np.ravel(axes)] != [rank - 1] or power is None:
        return False
    squared = power.op == "Pow" and _is_number(power.inputs[1], 2.0, graph)
    return power.inputs[0] == x and (squared or (power.op == "Mul" and power.inputs[1] == x))


def _is_number(name: str, value: float, graph: Graph) -> bool:
    given = graph.constants.get(name)
    return given is not None and given.size == 1 and float(given.reshape(-1)[0]) == value


def lower(graph: Graph) -> Graph:
    """What only the compiler knows is spelt out in ONNX's own operators."""
    done = graph.copy()
    result: list[Node] = []
    for node in done.nodes:
        if node.op == "Silu" and node.domain == KINFLOW:
            y, gate = node.outputs
            result.append(Node("Sigmoid", list(node.inputs), [gate], {}, "", f"{node.name}.gate"))
            result.append(Node("Mul", [node.inputs[0], gate], [y], {}, "", node.name))
        elif node.op.startswith("Sampled") and node.domain == KINFLOW:
            x, weight, _, _, *rest = node.inputs
            result.append(
                Node(node.op.removeprefix("Sampled"), [x, weight, *rest], node.outputs, node.attributes, "", node.name)
            )
        else:
            result.append(node)
    done.nodes = result
    return done


def spelt_out(graph: Graph) -> Graph:
    """As `lower`, and onnxruntime's own operators too: for an evaluator that knows ONNX alone."""
    done = lower(graph)
    build = Builder(done, "plain")
    nodes, done.nodes = done.nodes, []
    for node in nodes:
        if node.op == ROTARY:
            spelt_out_rotary(build, node)
            continue
        if node.op != "SimplifiedLayerNormalization":
            done.nodes.append(node)
            continue
        x, scale = node.inputs
        count = float(done.specs[x].shape[-1])
        square = build.add("ReduceSum", build.add("Mul", x, x), build.ints((-1,)), keepdims=1)
        mean = build.add(
            "Add", build.add("Div", square, build.number(count, x)), build.number(node.attributes["epsilon"], x)
        )
        inverse = build.add("Reciprocal", build.add("Sqrt", mean), out=node.outputs[1] if len(node.outputs) > 1 else "")
        build.add("Mul", build.add("Mul", x, inverse), scale, out=node.outputs[0])
    return done
