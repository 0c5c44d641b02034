"""The arrays that a step is handed over in, made once and filled anew for each step."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine.llama.library import Library
from models.engine.port import Floats


class Batch:
    """rows: the most that one step takes. One sequence per row."""

    def __init__(self, lib: Library, rows: int) -> None:
        self._lib = lib
        self.rows = rows
        self._tokens = np.zeros(rows, np.int32)
        self._positions = np.zeros(rows, np.int32)
        self._counts = np.ones(rows, np.int32)
        self._sequences = np.zeros(rows, np.int32)
        self._wanted = np.zeros(rows, np.int8)
        self._hidden: Floats = np.empty((0, 0), np.float32)
        # The library wants a pointer to each row's list of sequences.
        base, step = self._sequences.ctypes.data, self._sequences.itemsize
        self._lists = np.arange(base, base + rows * step, step, dtype=np.uintp)

    def tokens(
        self, tokens: NDArray[Any], positions: NDArray[Any], sequences: NDArray[Any], wanted: NDArray[Any]
    ) -> Any:
        """A llama_batch over these rows. Valid until the next call."""
        self._tokens[: len(tokens)] = tokens
        return self._made(len(tokens), positions, sequences, wanted, embedded=False)

    def hidden(self, hidden: Floats, positions: NDArray[Any], sequences: NDArray[Any], wanted: NDArray[Any]) -> Any:
        self._hidden = np.ascontiguousarray(hidden, np.float32)
        return self._made(len(hidden), positions, sequences, wanted, embedded=True)

    def _made(
        self, rows: int, positions: NDArray[Any], sequences: NDArray[Any], wanted: NDArray[Any], *, embedded: bool
    ) -> Any:
        self._positions[:rows] = positions
        self._sequences[:rows] = sequences
        self._wanted[:rows] = wanted
        llama = self._lib.llama
        batch = llama.llama_batch()
        batch.n_tokens = rows
        for name, values, kind, used in (
            ("token", self._tokens, ctypes.c_int32, not embedded),
            ("embd", self._hidden, ctypes.c_float, embedded),
            ("pos", self._positions, ctypes.c_int32, True),
            ("n_seq_id", self._counts, ctypes.c_int32, True),
            ("seq_id", self._lists, ctypes.POINTER(ctypes.c_int32), True),
            ("logits", self._wanted, ctypes.c_int8, True),
        ):
            if used:
                setattr(batch, name, ctypes.cast(values.ctypes.data, ctypes.POINTER(kind)))
        return batch
