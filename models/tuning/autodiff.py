"""Reverse-mode differentiation of the whole graph before anything runs.

The backward part is pruned as it is built: a node gets one only where something that is trained stands above it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from models.errors import OperatorUnknown
from models.tuning.graph import MICROSOFT, Builder, is_float
from models.tuning.rules import Call, NoRule, all_rules, broadcast_shapes, full, is_lazy

# Their gradient is zero or undefined everywhere, and everybody lets it pass as none.
_STOPS = {
    "Shape", "Size", "ConstantOfShape", "ArgMax", "ArgMin", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal",
    "Not", "And", "Or", "Floor", "Ceil", "Round", "Sign", "NonZero", "IsNaN", "IsInf", "OneHot", "Range",
    "DynamicQuantizeMatMul",
}  # fmt: skip


def differentiate(build: Builder, seeds: Mapping[str, str], trained: Collection[str]) -> dict[str, str]:
    """Append the backward part to the graph. seeds: for tensors, the gradient of the loss by each. trained: names.

    Returns the gradient of each trained tensor that the loss depends on. Raises OperatorUnknown (KF364), naming the
    node, when the way back leads through an operator without a rule.
    """
    graph = build.graph
    forward = list(graph.nodes)
    moved = graph.reached_from(trained)
    frozen = frozenset(set(graph.constants) - set(trained))
    found: dict[str, list[str]] = {name: [gradient] for name, gradient in seeds.items()}
    total: dict[str, str] = {}
    for node in reversed(forward):
        dy = tuple(_total(build, name, found, total) if name in moved else "" for name in node.outputs)
        if not any(dy) or moved.isdisjoint(node.inputs) or node.op in _STOPS:
            continue
        wanted = tuple(name in moved and is_float(build.dtype(name)) for name in node.inputs)
        if not any(wanted):
            continue
        rule = all_rules().get(node.op) if node.domain in ("", "ai.onnx", "kinflow", MICROSOFT) else None
        if rule is None:
            raise OperatorUnknown(
                operator=node.op, where=node.name or node.outputs[0], detail="there is no rule for it"
            )
        if not is_lazy(node.op):
            dy = tuple(
                full(build, one, build.shape(name)) if one else "" for name, one in zip(node.outputs, dy, strict=True)
            )
        try:
            given = rule(Call(build, node, dy, wanted, frozen))
        except NoRule as error:
            raise OperatorUnknown(operator=node.op, where=node.name or node.outputs[0], detail=str(error)) from error
        for name, wants, gradient in zip(node.inputs, wanted, given, strict=False):
            if wants and gradient:
                if gradient not in graph.specs:
                    build.note(gradient, build.shape(name), name)
                found.setdefault(name, []).append(gradient)
    gradients = {name: _total(build, name, found, total) for name in trained}
    return {name: full(build, one, build.shape(name)) for name, one in gradients.items() if one}


def _total(build: Builder, name: str, found: Mapping[str, list[str]], total: dict[str, str]) -> str:
    """The sum of all gradients that reached `name`, each once."""
    if name not in total:
        parts = found.get(name, [])
        sum_ = parts[0] if parts else ""
        for part in parts[1:]:
            shape = broadcast_shapes(build.shape(sum_), build.shape(part))
            sum_ = build.note(build.add("Add", sum_, part), shape, name)
        total[name] = sum_
    return total[name]
