"""The adapter of onnxruntime: one network in one session, with its shapes laid open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelUnfit, ModelUnreadable

# The version that we pin sends nothing to its maker; later ones do unless they are told not to before they load.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

Arrays = tuple[NDArray[Any], ...]
_KINDS: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
}
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class Tensor:
    """shape: every length resolved. kind: of its numbers."""

    name: str
    shape: tuple[int, ...]
    kind: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.name} {'x'.join(map(str, self.shape))} {self.kind}"


@dataclass(frozen=True)
class Signature:
    """What a network takes and gives, in its own order. sample: what it gave for a grey picture."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    sample: Arrays = field(default=(), compare=False, repr=False)

    @property
    def picture(self) -> Tensor | None:
        """The input that is one picture: 1 x 3 x height x width. None where there is no such, or more than one."""
        found = [one for one in self.inputs if len(one.shape) == 4 and one.shape[:2] == (1, 3)]
        return found[0] if len(found) == 1 else None


class OnnxModel:
    """Used by one thread at a time; it computes on `threads` of its own.

    size: width and height in pixels of the input picture, for networks that leave them open.
    Raises ModelUnreadable (KF105) for a file that is no network, ModelUnfit (KF107) for one whose shapes stay open or
    that fails on a grey picture.
    """

    def __init__(self, path: Path, threads: int = 1, size: tuple[int, int] | None = None) -> None:
        self.path = path
        self._session = _open(path, threads)
        self._names = [one.name for one in self._session.get_outputs()]
        inputs = tuple(self._resolved(one, size) for one in self._session.get_inputs())
        # The first run is the slow one, and shows the lengths that the file leaves open.
        try:
            given = self.run({one.name: _grey(one) for one in inputs})
        except Exception as error:
            raise ModelUnfit(path=path, detail=f"it fails on a grey picture ({_first_line(error)})") from error
        outputs = tuple(
            Tensor(name, one.shape, np.dtype(one.dtype)) for name, one in zip(self._names, given, strict=True)
        )
        self.signature = Signature(inputs, outputs, given)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Its outputs, in the order of the signature."""
        given: list[NDArray[Any]] = self._session.run(self._names, dict(feeds))
        return tuple(given)

    def _resolved(self, given: Any, size: tuple[int, int] | None) -> Tensor:
        kind = _KINDS.get(given.type)
        if kind is None:
            raise ModelUnfit(path=self.path, detail=f"its input {given.name} takes {given.type}")
        if len(given.shape) == 4 and kind != np.float32:
            raise ModelUnfit(path=self.path, detail=f"its input {given.name} takes pictures of {kind}, not of float32")
        shape: list[int | None] = [one if isinstance(one, int) and one > 0 else None for one in given.shape]
        if shape and shape[0] is None:
            shape[0] = 1
        if len(shape) == 4 and size is not None:
            wanted = (size[1], size[0])
            if any(one not in (None, asked) for one, asked in zip(shape[2:], wanted, strict=True)):
                raise ModelUnfit(path=self.path, detail=f"its input {given.name} is {given.shape}, not {size}")
            shape[2:] = wanted
        if len(shape) == 4 and shape[1] is None:
            shape[1] = 3
        resolved = tuple(one for one in shape if one is not None)
        if len(resolved) != len(shape):
            raise ModelUnfit(
                path=self.path,
                detail=f"its input {given.name} leaves sizes open ({_told(given.shape)}) and nothing states them",
            )
        return Tensor(given.name, resolved, kind)


def _open(path: Path, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise ModelUnreadable(path=path, detail="there is no such file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # A device has other work for a core than to wait on it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes share no other base
        raise ModelUnreadable(path=path, detail=_first_line(error)) from error


def _grey(one: Tensor) -> NDArray[Any]:
    if len(one.shape) == 4:
        return np.full(one.shape, 114, one.kind)
    return np.ones(one.shape, one.kind)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:200]


def _told(shape: list[Any]) -> str:
    return "x".join(str(one) for one in shape)
