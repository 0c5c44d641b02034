"""What a picture is to a language model: rows in the place of tokens, made by the projector (mmproj) beside it.

libmtmd, llama.cpp's own, turns a picture into pieces: tokens around it, and rows as wide as the model's. The engine
takes them like hidden states, so that all that it can do holds for them. Pixels come as an array: libmtmd's readers of
picture files are never called. It is no part of the wheel that the bundles bring (firmware_configs/bundle/llama.py
builds it on request), and is loaded when somebody first asks for it.
"""

from __future__ import annotations

import ctypes
import importlib
import os
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine.llama.library import forget_words, last_words, library, log_callback
from models.engine.llama.weights import Loaded
from models.engine.port import Seen
from models.engine.trust import Trust
from models.errors import EyesMissing, EyesUnfit
from models.gguf.header import read_header

_TEXT, _IMAGE = 0, 1
# More pixels on a side are more than any projector looks at.
MOST_PIXELS = 8192


class Eyes:
    """A projector beside the weights that it was made for. Belongs to one thread. Raises, as `load` does,
    WeightsQuarantined (KF392) and WeightsUnreadable (KF391); EyesMissing (KF409) where libmtmd isn't there, EyesUnfit
    (KF330) for a projector of another model, and for a model that places rows of a picture otherwise than tokens."""

    def __init__(self, path: Path, trust: Trust, weights: Loaded, *, threads: int = 1) -> None:
        trust.check(path)
        read_header(path)
        self._mtmd = _library()
        self._path, self._weights = path, weights
        parameters = self._mtmd.mtmd_context_params_default()
        parameters.use_gpu = library().has_accelerator
        parameters.print_timings, parameters.warmup = False, False
        parameters.n_threads = threads
        forget_words()
        self._context = self._mtmd.mtmd_init_from_file(os.fsencode(path), weights.handle, parameters)
        if not self._context:
            raise self._unfit(last_words("it is no projector of this model"))
        why = self._why_not()
        if why:
            self.close()
            raise self._unfit(why)

    def look(self, picture: NDArray[np.uint8]) -> list[Seen]:
        """picture: height x width x 3, red first. Raises EyesUnfit (KF330)."""
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise ValueError(f"a picture is height x width x 3 bytes, not {picture.shape} of {picture.dtype}")
        height, width, _ = picture.shape
        if not (0 < height <= MOST_PIXELS and 0 < width <= MOST_PIXELS):
            raise self._unfit(f"a picture of {width} x {height}")
        pixels = np.ascontiguousarray(picture)
        mtmd = self._mtmd
        with ExitStack() as held:
            address = pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
            bitmap = mtmd.mtmd_bitmap_init(width, height, address)
            held.callback(mtmd.mtmd_bitmap_free, bitmap)
            chunks = mtmd.mtmd_input_chunks_init()
            held.callback(mtmd.mtmd_input_chunks_free, chunks)
            marker = mtmd.mtmd_get_marker(self._context)
            # Nothing that a person wrote is in it: what stands around the picture is told by its model alone.
            text = mtmd.mtmd_input_text(marker, len(marker), False, True)
            forget_words()
            given = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
            if mtmd.mtmd_tokenize(self._context, chunks, ctypes.byref(text), given, 1):
                raise self._unfit(last_words("the picture was not taken"))
            each = [mtmd.mtmd_input_chunks_get(chunks, place) for place in range(mtmd.mtmd_input_chunks_size(chunks))]
            return [self._seen(one) for one in each]

    def close(self) -> None:
        if self._context:
            self._mtmd.mtmd_free(self._context)
            self._context = None

    def _seen(self, chunk: Any) -> Seen:
        mtmd, count = self._mtmd, int(self._mtmd.mtmd_input_chunk_get_n_tokens(chunk))
        kind = int(mtmd.mtmd_input_chunk_get_type(chunk))
        if kind == _TEXT:
            size = ctypes.c_size_t()
            tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(size))
            return Seen(tuple(int(tokens[place]) for place in range(size.value)))
        forget_words()
        if kind != _IMAGE or mtmd.mtmd_encode_chunk(self._context, chunk):
            raise self._unfit(last_words("the picture could not be computed"))
        found = mtmd.mtmd_get_output_embd(self._context)
        rows = np.ctypeslib.as_array(found, (count, self._weights.width)).astype(np.float32, copy=True)
        return Seen(rows=rows)

    def _why_not(self) -> str:
        mtmd = self._mtmd
        if not mtmd.mtmd_support_vision(self._context):
            return "it is for sound, not for pictures"
        if mtmd.mtmd_decode_use_mrope(self._context):
            return "its model places a picture's rows in two directions, which the engine can't yet"
        if mtmd.mtmd_decode_use_non_causal(self._context, None):
            return "its model reads a picture's rows all at once, which the engine can't yet"
        return ""

    def _unfit(self, detail: str) -> EyesUnfit:
        return EyesUnfit(path=self._path, detail=detail)


@cache
def _library() -> Any:
    """Raises EyesMissing (KF409), EngineMissing (KF390)."""
    log = log_callback()
    try:
        mtmd = importlib.import_module("llama_cpp.mtmd_cpp")
    except (ImportError, OSError, RuntimeError) as error:
        raise EyesMissing(detail=error) from error
    mtmd.mtmd_log_set(log, ctypes.c_void_p(0))
    mtmd.mtmd_helper_log_set(log, ctypes.c_void_p(0))
    return mtmd
