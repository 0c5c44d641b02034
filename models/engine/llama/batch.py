"""The arrays that a step is handed over in, made once and filled anew for each step."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine.llama.library import Library
from models.engine.port import Floats


class Batch:
    """rows: the most that one step takes. One sequence per row."""

    def __init__(self, lib: Library, rows: int) -> None:
        self.rows = rows
        # Tokens, positions, sequences: filled in one go, since a call into numpy costs more than a row.
        self._table = np.zeros((3, rows), np.int32)
        tokens, positions, self._sequences = self._table
        self._counts = np.ones(rows, np.int32)
        self._wanted = np.zeros(rows, np.int8)
        self._hidden: Floats = np.empty((0, 0), np.float32)
        # The library wants a pointer to each row's list of sequences.
        base, step = self._sequences.ctypes.data, self._sequences.itemsize
        self._lists = np.arange(base, base + rows * step, step, dtype=np.uintp)
        # Made once: setting the pointers anew takes longer than filling the arrays.
        self._batch = lib.llama.llama_batch()
        self._batch.pos = _pointer(positions, ctypes.c_int32)
        self._batch.n_seq_id = _pointer(self._counts, ctypes.c_int32)
        self._batch.seq_id = _pointer(self._lists, ctypes.POINTER(ctypes.c_int32))
        self._batch.logits = _pointer(self._wanted, ctypes.c_int8)
        self._token = _pointer(tokens, ctypes.c_int32)

    def tokens(
        self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int], wanted: Sequence[int]
    ) -> Any:
        """A llama_batch over these rows. Valid until the next call."""
        rows = len(tokens)
        self._table[:, :rows] = tokens, positions, sequences
        self._batch.token, self._batch.embd = self._token, None
        return self._filled(rows, wanted)

    def hidden(self, hidden: Floats, positions: Sequence[int], sequences: Sequence[int], wanted: Sequence[int]) -> Any:
        rows = len(hidden)
        self._table[1:, :rows] = positions, sequences
        self._hidden = np.ascontiguousarray(hidden, np.float32)
        self._batch.token, self._batch.embd = None, _pointer(self._hidden, ctypes.c_float)
        return self._filled(rows, wanted)

    def _filled(self, rows: int, wanted: Sequence[int]) -> Any:
        self._wanted[:rows] = wanted
        self._batch.n_tokens = rows
        return self._batch


def _pointer(values: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(values.ctypes.data, ctypes.POINTER(kind))
