"""A network's file, of whichever kind: ONNX, or a Llama-type language model as GGUF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.gguf.header import read_header
from models.gguf.kinds import Kind
from models.tuning import gguf_file, llama_network, onnx_file
from models.tuning.gguf_file import is_gguf
from models.tuning.graph import Array, Graph
from models.tuning.layers import layers

PLACES = "places"


def read(path: Path, sizes: Mapping[str, int]) -> Graph:
    """sizes: of a GGUF, `places` says how many tokens a stretch of text has. Raises what the file's reader raises."""
    if is_gguf(path):
        return llama_network.read(path, sizes.get(PLACES, llama_network.DEFAULT_PLACES))
    return onnx_file.read(path)


def is_packed(path: Path) -> bool:
    """Whether its matrices are kept in fewer bits than a float's."""
    if not is_gguf(path):
        return False
    plain = (Kind.F32, Kind.F16, Kind.BF16, Kind.F64)
    return any(one.kind not in plain for one in read_header(path).tensors.values())


def vocabulary(path: Path, sizes: Mapping[str, int]) -> int:
    """How many tokens a language model tells apart."""
    if is_gguf(path):
        words = read_header(path).tensors.get(llama_network.WORDS)
        return words.shape[1] if words is not None else 0
    return max((one.outputs for one in layers(read(path, sizes)) if one.is_last), default=0)


def tensors(path: Path, names: Sequence[str]) -> dict[str, Array]:
    return gguf_file.tensors(path, names) if is_gguf(path) else onnx_file.tensors(path)


def replace_tensors(path: Path, new: Mapping[str, Array], out: Path) -> None:
    """A file that is as `path`, but for these tensors."""
    if is_gguf(path):
        gguf_file.replace_tensors(path, new, out)
    else:
        onnx_file.replace_tensors(path, new, out)
