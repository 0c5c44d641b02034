"""Weights, loaded once, on which any number of contexts can be opened."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from models.engine.llama.library import forget_words, last_words, library
from models.engine.port import Memory
from models.engine.trust import Trust
from models.errors import WeightsRefused, WeightsUnreadable
from models.gguf.header import Header, read_header

ALL_BLOCKS = -1


@dataclass(frozen=True)
class Loaded:
    """handle, vocabulary: the library's own, valid until close(). users: the contexts that are open on it."""

    path: Path
    fingerprint: str
    header: Header
    memory: Memory
    handle: Any
    vocabulary: Any
    users: set[int] = field(default_factory=set)

    @property
    def width(self) -> int:
        return int(library().llama.llama_model_n_embd(self.handle))

    @property
    def blocks(self) -> int:
        return int(library().llama.llama_model_n_layer(self.handle))

    @property
    def tokens(self) -> int:
        return int(library().llama.llama_vocab_n_tokens(self.vocabulary))

    @property
    def window_tokens(self) -> int:
        return int(library().llama.llama_model_n_swa(self.handle))

    @property
    def begin(self) -> int | None:
        token = int(library().llama.llama_vocab_bos(self.vocabulary))
        return token if token >= 0 else None

    @cached_property
    def ends(self) -> frozenset[int]:
        is_end = library().llama.llama_vocab_is_eog
        return frozenset(token for token in range(self.tokens) if is_end(self.vocabulary, token))

    def close(self) -> None:
        """After the last context on it was closed. Raises ValueError before."""
        if self.users:
            raise ValueError(f"{len(self.users)} contexts are open on {self.path}")
        library().llama.llama_model_free(self.handle)


def load(path: Path, trust: Trust, *, accelerate: bool = True) -> Loaded:
    """accelerate: use a GPU where the library was built for one and finds one.

    The order is the guard: hash, then our own strict reader, then the library. A chat template that the file holds is
    never run. Raises WeightsQuarantined (KF392), WeightsUnreadable (KF391), WeightsRefused (KF393),
    EngineMissing (KF390)."""
    found = trust.check(path)
    header = read_header(path)
    _require_one_file(header)
    lib = library()
    llama = lib.llama
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = ALL_BLOCKS if accelerate and lib.has_accelerator else 0
    forget_words()
    handle = llama.llama_model_load_from_file(os.fsencode(path), parameters)
    if not handle:
        raise WeightsRefused(path=path, detail=last_words("it gave no reason"))
    if not llama.llama_model_has_decoder(handle) or llama.llama_model_has_encoder(handle):
        llama.llama_model_free(handle)
        raise WeightsRefused(path=path, detail="it does not write text token by token")
    return Loaded(path, found, header, _memory(handle), handle, llama.llama_model_get_vocab(handle))


def _require_one_file(header: Header) -> None:
    field = header.fields.get("split.count")
    if field is not None and field.value not in (0, 1):
        # The library would go on to open files beside it, whose hashes nobody has looked at.
        raise WeightsUnreadable(path=header.path, detail="it is one part of several; join them first")


def _memory(handle: Any) -> Memory:
    llama = library().llama
    if llama.llama_model_is_hybrid(handle):
        return Memory.HYBRID
    if llama.llama_model_is_recurrent(handle):
        return Memory.RECURRENT
    return Memory.WINDOW if llama.llama_model_n_swa(handle) > 0 else Memory.FULL


def describe(handle: Any) -> str:
    """The library's own words for a model, such as `llama 1B Q8_0`."""
    text = ctypes.create_string_buffer(128)
    library().llama.llama_model_desc(handle, text, len(text))
    return text.value.decode("utf-8", "replace")
