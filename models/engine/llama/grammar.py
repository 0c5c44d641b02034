"""The library's grammar, as a mask over logits."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from models.engine.llama.library import Library, forget_words, last_words
from models.engine.port import Floats
from models.errors import SchemaRefused

# As in llama.h: llama_token_data.
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class LlamaMasker:
    """Belongs to the engine's thread. A token that was not allowed must never be accepted: the library would end the
    process."""

    def __init__(self, lib: Library, vocabulary: Any, tokens: int, grammar: str) -> None:
        self._lib = lib
        forget_words()
        self._sampler = lib.llama.llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
        if not self._sampler:
            raise SchemaRefused(detail=last_words("the grammar was not taken"))
        self._ids = np.arange(tokens, dtype=np.int32)
        self._candidates = np.zeros(tokens, CANDIDATE)

    def mask(self, logits: Floats) -> Floats:
        candidates = self._candidates
        candidates["id"] = self._ids
        candidates["logit"] = logits
        self._apply(candidates)
        masked = np.empty(len(candidates), np.float32)
        masked[candidates["id"]] = candidates["logit"]
        return masked

    def allows(self, token: int) -> bool:
        if not 0 <= token < len(self._ids):
            return False
        one = np.zeros(1, CANDIDATE)
        one["id"] = token
        self._apply(one)
        return bool(one["logit"][0] > -np.inf)

    def accept(self, token: int) -> None:
        if not self.allows(token):
            raise ValueError(f"token {token} may not come next")
        self._lib.llama.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        if self._sampler:
            self._lib.llama.llama_sampler_free(self._sampler)
            self._sampler = None

    def _apply(self, candidates: Any) -> None:
        llama = self._lib.llama
        array = llama.llama_token_data_array()
        array.data = ctypes.cast(candidates.ctypes.data, ctypes.POINTER(llama.llama_token_data))
        array.size = len(candidates)
        array.selected = -1
        array.sorted = False
        llama.llama_sampler_apply(self._sampler, ctypes.byref(array))
