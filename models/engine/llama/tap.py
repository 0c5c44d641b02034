"""Read what a model thinks on its way: the residual behind a block, and what its routers say.

The library asks for each node of its graph whether it is wanted, and after computing a wanted one shows it. Each
question is a call into Python (about a microsecond), so only a context that was opened with a tap pays for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine.llama.library import Library
from models.engine.port import Floats, Routing


class Tap:
    """block: behind which the residual is read, None for none. ends_there: nothing above that block is computed.
    routing: read the routers too."""

    def __init__(self, lib: Library, blocks: int, block: int | None, *, ends_there: bool, routing: bool) -> None:
        self._lib = lib
        self._residual = f"l_out-{block}".encode() if block is not None else b""
        self._ends_there = ends_there
        self._wanted: dict[bytes, tuple[int, str, Any]] = {}
        if routing:
            for one in range(blocks):
                self._wanted[f"ffn_moe_logits-{one}".encode()] = (one, "logits", np.float32)
                # The chosen experts are a strided view of this; it lies in one piece.
                self._wanted[f"ffn_moe_argsort-{one}".encode()] = (one, "order", np.int32)
                self._wanted[f"ffn_moe_weights-{one}".encode()] = (one, "weights", np.float32)
        self._rows: list[NDArray[Any]] = []
        self._routers: dict[tuple[int, str], list[NDArray[Any]]] = {}
        self.failure: Exception | None = None
        # The library keeps only a pointer to it.
        self.callback = lib.llama.ggml_backend_sched_eval_callback(self._called)

    def clear(self) -> None:
        self._rows, self._routers, self.failure = [], {}, None

    def residual(self, width: int) -> Floats:
        """rows x width, in the order in which they were computed."""
        return np.concatenate([one.reshape(-1, width) for one in self._rows] or [np.empty((0, width), np.float32)])

    def routing(self, experts: int) -> dict[int, Routing]:
        read: dict[int, Routing] = {}
        for block in sorted({block for block, _ in self._routers}):
            logits = self._joined(block, "logits").reshape(-1, experts)
            order = self._joined(block, "order").reshape(-1, experts)
            weights = self._joined(block, "weights").reshape(len(logits), -1)
            read[block] = Routing(logits, order[:, : weights.shape[1]].astype(np.int32), weights)
        return read

    def _joined(self, block: int, name: str) -> NDArray[Any]:
        return np.concatenate(self._routers[block, name])

    def _called(self, tensor: int, asks: bool, _: object) -> bool:
        try:
            name = self._lib.tensor_name(tensor)
            if asks:
                return bool(name == self._residual or name in self._wanted)
            if name == self._residual:
                self._rows.append(self._read(tensor, np.float32))
                return not self._ends_there
            block, part, kind = self._wanted[name]
            self._routers.setdefault((block, part), []).append(self._read(tensor, kind))
        except Exception as error:
            self.failure = error
        return True

    def _read(self, tensor: int, kind: Any) -> NDArray[Any]:
        if not self._lib.tensor_contiguous(tensor):
            raise ValueError("a tapped tensor does not lie in one piece")
        values = np.empty(self._lib.tensor_elements(tensor), kind)
        if values.nbytes != self._lib.tensor_bytes(tensor):
            raise ValueError("a tapped tensor is of another kind")
        self._lib.tensor_read(tensor, values.ctypes.data, 0, values.nbytes)
        return values
