"""The compiler's own form of a network: nodes, constants, and the shape and kind of every tensor."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
# Constants up to this size are shared when they are equal.
_SHARED_BYTES = 4096
MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Spec:
    """Every length resolved."""

    shape: Shape
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass
class Node:
    """One operator. An absent input or output is "". attributes: int, float, str, list of these, or an array."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        return f"{self.op} {self.name or self.outputs[0]!r}"


@dataclass
class Graph:
    """nodes: in an order in which they can run. specs: of every tensor, once models.tuning.resolve has measured them;
    what the compiler adds has them where a rule needed them."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, tuple[tuple[int | str | None, ...], np.dtype[Any]]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    opset: int = 17
    specs: dict[str, Spec] = field(default_factory=dict)

    def copy(self) -> Graph:
        """Nodes are copied, arrays are shared."""
        return Graph(
            [copy.deepcopy(one) for one in self.nodes],
            dict(self.constants), dict(self.inputs), list(self.outputs), self.opset, dict(self.specs),
        )  # fmt: skip

    def names(self) -> set[str]:
        found = set(self.inputs) | set(self.constants)
        for node in self.nodes:
            found.update(node.outputs)
        return found - {""}

    def producers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs if name}

    def consumers(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    found.setdefault(name, []).append(node)
        return found

    def reached_from(self, names: Iterable[str]) -> set[str]:
        """`names` and all that is computed from them."""
        reached = set(names)
        for node in self.nodes:
            if not reached.isdisjoint(node.inputs):
                reached.update(one for one in node.outputs if one)
        return reached


class Builder:
    """Adds nodes at the end of a graph, under names that are not taken yet."""

    def __init__(self, graph: Graph, prefix: str = "t") -> None:
        self.graph = graph
        self._prefix = prefix
        self._taken = graph.names()
        self._number = 0
        self._shared: dict[tuple[str, Shape, bytes], str] = {}
        self._reshaped: dict[str, str] = {}

    def fresh(self, hint: str = "") -> str:
        while True:
            self._number += 1
            name = f"{self._prefix}.{self._number}" + (f".{hint}" if hint else "")
            if name not in self._taken:
                self._taken.add(name)
                return name

    def add(self, op: str, *inputs: str, out: str = "", domain: str = "", **attributes: Any) -> str:
        return self.several(op, *inputs, outs=[out or self.fresh(op)], domain=domain, **attributes)[0]

    def several(self, op: str, *inputs: str, outs: list[str] | int, domain: str = "", **attributes: Any) -> list[str]:
        names = [self.fresh(op) for _ in range(outs)] if isinstance(outs, int) else outs
        self.graph.nodes.append(Node(op, list(inputs), names, attributes, domain, self.fresh("node")))
        return names

    def constant(self, value: Any, dtype: Any = None, name: str = "") -> str:
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes() if array.nbytes <= _SHARED_BYTES else b"")
        if not name and key in self._shared:
            return self._shared[key]
        name = name or self.fresh("constant")
        self.graph.constants[name] = array
        self.graph.specs[name] = Spec(array.shape, array.dtype)
        if array.nbytes <= _SHARED_BYTES:
            self._shared.setdefault(key, name)
        return name

    def ints(self, values: Iterable[int]) -> str:
        return self.constant(np.asarray(list(values), np.int64))

    def number(self, value: float, like: str) -> str:
        """A scalar of the kind of tensor `like`."""
        return self.constant(np.asarray(value, self.dtype(like)))

    def dtype(self, name: str) -> np.dtype[Any]:
        return self.graph.specs[name].dtype

    def shape(self, name: str) -> Shape:
        return self.graph.specs[name].shape

    def note(self, name: str, shape: Iterable[int], like: str) -> str:
        """Record what `name` is: of `shape`, of the kind of tensor `like`."""
        self.graph.specs[name] = Spec(tuple(int(one) for one in shape), self.dtype(like))
        return name

    def reshape(self, name: str, shape: Iterable[int]) -> str:
        """`name`, or what it was reshaped from, in `shape`."""
        wanted = tuple(int(one) for one in shape)
        source = self._reshaped.get(name, name)
        if source in self.graph.specs and self.shape(source) == wanted:
            return source
        done = self.add("Reshape", source, self.ints(wanted))
        self._reshaped[done] = source
        return self.note(done, wanted, source) if source in self.graph.specs else done

    def sum_over(self, name: str, axes: Iterable[int], keep: bool = False) -> str:
        wanted = list(axes)
        return self.add("ReduceSum", name, self.ints(wanted), keepdims=int(keep)) if wanted else name

    def cast(self, name: str, like: str) -> str:
        return self.add("Cast", name, to=CODES[self.dtype(like)])


# ONNX's numbers for kinds of tensors (onnx.proto, TensorProto.DataType).
CODES: Mapping[np.dtype[Any], int] = {
    np.dtype(np.float32): 1,
    np.dtype(np.uint8): 2,
    np.dtype(np.int8): 3,
    np.dtype(np.int32): 6,
    np.dtype(np.int64): 7,
    np.dtype(np.bool_): 9,
    np.dtype(np.float16): 10,
    np.dtype(np.float64): 11,
}
KINDS = {code: kind for kind, code in CODES.items()}


def is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f"


def listed(value: Any) -> list[int]:
    return [int(one) for one in np.asarray(value).reshape(-1)]
