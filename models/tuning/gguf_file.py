"""What training learnt, as GGUF files that llama.cpp takes: the whole model with changed tensors, or a LoRA adapter
that it adds while it runs and leaves away again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.engine.llama.values import floats
from models.gguf.fields import real, text
from models.gguf.header import read_header
from models.gguf.kinds import Kind
from models.gguf.writer import Content, write
from models.tuning.bundle import Merge
from models.tuning.graph import Array
from models.tuning.llama_network import is_turned

SUFFIX = ".gguf"


def is_gguf(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX


def tensors(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """As models.tuning.llama_network has them. A name that the file does not have is left out."""
    header = read_header(path)
    found = {name: floats(path, header.tensors[name]) for name in names if name in header.tensors}
    return {name: _other_way(name, value) for name, value in found.items()}


def replace_tensors(path: Path, new: Mapping[str, Array], out: Path) -> None:
    """A file that is as `path`, but for these tensors, which become F32."""
    header = read_header(path)
    contents = [
        _content(one.name, _other_way(one.name, new[one.name]))
        if one.name in new
        else Content(one.name, one.shape, one.kind, (path, one.offset))
        for one in header.tensors.values()
    ]
    write(out, header.fields, contents)


def write_adapter(base: Path, merges: Sequence[Merge], trained: Mapping[str, Array], out: Path) -> None:
    """lora_a and lora_b as llama.cpp reads them (llama-adapter.cpp). It takes one alpha for all, so each pair's own
    scale goes into its second matrix."""
    header = read_header(base)
    rank = max(trained[one.down].shape[1] for one in merges)
    fields = {
        "general.architecture": text(header.architecture),
        "general.type": text("adapter"),
        "adapter.type": text("lora"),
        "adapter.lora.alpha": real(float(rank)),
    }
    contents = []
    for one in merges:
        down, up = trained[one.down].T, trained[one.up].T
        contents.append(_content(f"{one.weight}.lora_a", down))
        contents.append(_content(f"{one.weight}.lora_b", up * (one.scale * len(down) / rank)))
    write(out, fields, contents)


def _other_way(name: str, value: Array) -> Array:
    return value.T if is_turned(name, value) else value


def _content(name: str, value: Array) -> Content:
    data = np.ascontiguousarray(value, np.float32)
    return Content(name, tuple(reversed(data.shape)), Kind.F32, data.tobytes())
