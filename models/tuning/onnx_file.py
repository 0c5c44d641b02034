"""ONNX files in and out. The one place of models/tuning that needs the `onnx` package: a device that runs a graph
compiled elsewhere does without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import CompilerMissing, ModelNewer, ModelUnreadable, ModelUntrainable
from models.tuning.graph import CODES, KINDS, MICROSOFT, Array, Graph, Node, Spec

OLDEST, NEWEST = 17, 22
# Smaller constants stand in the file itself: shapes and axes must be there when it is opened.
_EXTERNAL_BYTES = 1024
_ALIGNED = 64


def _onnx() -> Any:
    try:
        import onnx  # noqa: PLC0415 (only compiling needs it)
        import onnx.version_converter  # noqa: PLC0415
    except ImportError as error:
        raise CompilerMissing() from error
    return onnx


def read(path: Path) -> Graph:
    """Raises ModelUnreadable (KF105), ModelNewer (KF361), ModelUntrainable (KF362), CompilerMissing (KF360)."""
    onnx = _onnx()
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, onnx and the file system each have their own
        raise ModelUnreadable(path=path, detail=str(error).strip().split("\n")[0][:200]) from error
    return from_model(model, str(path))


def from_model(model: Any, path: str = "the model") -> Graph:
    onnx = _onnx()
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
    if opset > NEWEST:
        raise ModelNewer(path=path, opset=opset, newest=NEWEST)
    if opset < OLDEST:
        try:
            model = onnx.version_converter.convert_version(model, OLDEST)
        except Exception as error:  # of C++, without a common class
            raise ModelUntrainable(
                path=path, detail=f"opset {opset} could not be raised to {OLDEST}: {error}"
            ) from error
        opset = OLDEST
    proto = model.graph
    graph = Graph(opset=opset, outputs=[one.name for one in proto.output])
    for one in proto.initializer:
        graph.constants[one.name] = onnx.numpy_helper.to_array(one)
    for one in proto.input:
        if one.name not in graph.constants:
            graph.inputs[one.name] = _typed(one)
    for number, one in enumerate(proto.node):
        attributes = {each.name: _attribute(each, one, path) for each in one.attribute}
        if one.op_type == "Constant":
            graph.constants[one.output[0]] = _constant(attributes)
            continue
        name = one.name or f"{one.op_type}_{number}"
        graph.nodes.append(Node(one.op_type, list(one.input), list(one.output), attributes, one.domain, name))
    _require_distinct(graph, path)
    return graph


def _require_distinct(graph: Graph, path: str) -> None:
    seen = set(graph.inputs) | set(graph.constants)
    for node in graph.nodes:
        for name in node.outputs:
            if name and name in seen:
                raise ModelUntrainable(path=path, detail=f"two tensors have the name {name!r}")
            seen.add(name)


def _typed(value: Any) -> tuple[tuple[int | str | None, ...], np.dtype[Any]]:
    tensor = value.type.tensor_type
    dims = [one.dim_value if one.HasField("dim_value") else one.dim_param or None for one in tensor.shape.dim]
    return tuple(dims), KINDS.get(tensor.elem_type, np.dtype(np.float32))


def _attribute(attribute: Any, node: Any, path: str) -> Any:
    onnx = _onnx()
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, (onnx.GraphProto, onnx.SparseTensorProto)):
        raise ModelUntrainable(path=path, detail=f"{node.op_type} {node.name!r} holds a graph within it")
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (int, float)):
        return value
    return [one.decode() if isinstance(one, bytes) else one for one in value]


def _constant(attributes: dict[str, Any]) -> np.ndarray[Any, Any]:
    (key, value), *_ = attributes.items()
    kind = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}.get(
        key
    )
    return np.asarray(value, kind)


def to_model(graph: Graph) -> Any:
    """An onnx.ModelProto; constants stand within it."""
    onnx = _onnx()
    helper = onnx.helper
    nodes = []
    for node in graph.nodes:
        made = helper.make_node(node.op, node.inputs, node.outputs, node.name, domain=node.domain)
        for key, value in node.attributes.items():
            given = onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            made.attribute.append(helper.make_attribute(key, given))
        nodes.append(made)
    inputs = [helper.make_tensor_value_info(name, CODES[kind], dims) for name, (dims, kind) in graph.inputs.items()]
    outputs = []
    for name in graph.outputs:
        spec = graph.specs.get(name)
        if spec is None:
            outputs.append(onnx.ValueInfoProto(name=name))
        else:
            outputs.append(helper.make_tensor_value_info(name, CODES[spec.dtype], spec.shape))
    constants = [onnx.numpy_helper.from_array(np.asarray(one), name) for name, one in graph.constants.items()]
    made = helper.make_graph(nodes, "kinflow", inputs, outputs, constants)
    domains = {node.domain for node in graph.nodes} - {""} | {MICROSOFT}
    opsets = [helper.make_opsetid("", graph.opset), *(helper.make_opsetid(one, 1) for one in sorted(domains))]
    return helper.make_model(made, opset_imports=opsets, ir_version=8, producer_name="kinflow")


def write(graph: Graph, path: Path) -> None:
    """One file that holds everything, with outputs whose kinds and shapes are found where they are not known."""
    onnx = _onnx()
    onnx.save_model(onnx.shape_inference.infer_shapes(to_model(graph)), str(path))


def write_with_weights(graphs: Mapping[str, Graph], folder: Path, data: str) -> None:
    """NAME.onnx for each graph; their large constants stand once in the file `data`, from which onnxruntime maps them:
    weights within the files would be held twice."""
    onnx = _onnx()
    offsets: dict[int, int] = {}
    with (folder / data).open("wb") as file:
        for name, graph in graphs.items():
            small = graph.copy()
            small.constants = {key: one for key, one in graph.constants.items() if _stays(one)}
            model = to_model(small)
            for key, value in graph.constants.items():
                if _stays(value):
                    continue
                if id(value) not in offsets:
                    file.write(bytes(-file.tell() % _ALIGNED))
                    offsets[id(value)] = file.tell()
                    file.write(np.ascontiguousarray(value).tobytes())
                tensor = onnx.TensorProto(name=key, dims=value.shape, data_type=CODES[value.dtype])
                tensor.data_location = onnx.TensorProto.EXTERNAL
                for field, given in (("location", data), ("offset", offsets[id(value)]), ("length", value.nbytes)):
                    tensor.external_data.add(key=field, value=str(given))
                model.graph.initializer.append(tensor)
            onnx.save_model(model, str(folder / f"{name}.onnx"))


def _stays(value: Array) -> bool:
    """Within the graph: small ones, and lengths and places, which onnxruntime reads before it has the other file."""
    return value.nbytes < _EXTERNAL_BYTES or value.dtype == np.int64


def tensors(path: Path) -> dict[str, Array]:
    """The constants of a file by name, without the rest."""
    return read(path).constants


def replace_tensors(path: Path, new: Mapping[str, Array], out: Path) -> None:
    """A file that is as `path`, but for these constants. Where one has another shape, outputs get theirs anew."""
    onnx = _onnx()
    model = onnx.load(str(path))
    reshaped = False
    holders = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            holders[node.output[0]] = node.attribute[0].t
    for name, value in new.items():
        old = holders[name]
        reshaped = reshaped or list(old.dims) != list(value.shape)
        old.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
    if reshaped:
        del model.graph.value_info[:]
        for one in model.graph.output:
            one.type.tensor_type.ClearField("shape")
        model = onnx.shape_inference.infer_shapes(model)
    onnx.save_model(model, str(out))


def inferred(graph: Graph) -> Graph:
    """`graph` with the specs that ONNX's own shape inference finds in addition, for estimates."""
    onnx = _onnx()
    model = onnx.shape_inference.infer_shapes(to_model(graph), strict_mode=False)
    done = graph.copy()
    for value in model.graph.value_info:
        dims, kind = _typed(value)
        if value.name not in done.specs and all(isinstance(one, int) for one in dims):
            done.specs[value.name] = Spec(tuple(int(str(one)) for one in dims), kind)
    return done
