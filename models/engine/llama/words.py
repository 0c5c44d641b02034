"""Text to tokens and back, by the vocabulary that a file of weights brings along."""

from __future__ import annotations

import ctypes
from typing import Any

from models.engine.llama.library import Library
from models.errors import ContextTooLong, EngineFailed

SLICE_BYTES = 2048


class Words:
    """tokens: how many the vocabulary has. limit_tokens: what fits into a context."""

    def __init__(self, lib: Library, vocabulary: Any, tokens: int, limit_tokens: int) -> None:
        self._lib = lib
        self._vocabulary = vocabulary
        self._count = tokens
        self._limit = limit_tokens

    def tokens(self, text: str, *, begin: bool, control: bool) -> list[int]:
        """Raises ContextTooLong (KF394), EngineFailed (KF399)."""
        data = text.encode("utf-8", "replace")
        if len(data) > SLICE_BYTES:
            self._require_short(data)
        return self._tokens(data, begin=begin, control=control)

    def piece(self, token: int) -> bytes:
        # The library ends the process for a token that is none.
        if not 0 <= token < self._count:
            raise ValueError(f"a token outside of 0 to {self._count - 1}")
        room = 64
        while True:
            text = ctypes.create_string_buffer(room)
            size = int(self._lib.llama.llama_token_to_piece(self._vocabulary, token, text, room, 0, False))
            if size >= 0:
                return text.raw[:size]
            room = -size

    def _require_short(self, data: bytes) -> None:
        """Count slice by slice, and end once there are surely too many: a text of letters that the vocabulary does not
        have costs the library tens of microseconds a byte, so that a megabyte would keep the thread for a minute."""
        count = 0
        for slices, begin in enumerate(range(0, len(data), SLICE_BYTES), 1):
            count += len(self._tokens(data[begin : begin + SLICE_BYTES], begin=False, control=False))
            # Cutting a token in two costs one, and a letter at most as many as it has bytes.
            if count - 8 * slices > self._limit:
                total = count * len(data) // min(len(data), begin + SLICE_BYTES)
                excess = total - self._limit
                raise ContextTooLong(tokens=f"about {total}", excess_tokens=excess, limit_tokens=self._limit)

    def _tokens(self, data: bytes, *, begin: bool, control: bool) -> list[int]:
        tokens, count = self._split(data, len(data) + 2, begin=begin, control=control)
        if count < 0:
            # A vocabulary that has no word for a space spells each in three bytes; the library says how many it needs.
            tokens, count = self._split(data, -count, begin=begin, control=control)
        if count < 0:
            raise EngineFailed(detail="the text could not be split into tokens")
        return list(tokens[:count])

    def _split(self, data: bytes, room: int, *, begin: bool, control: bool) -> tuple[Any, int]:
        tokens = (ctypes.c_int32 * room)()
        count = self._lib.llama.llama_tokenize(self._vocabulary, data, len(data), tokens, room, begin, control)
        return tokens, int(count)
