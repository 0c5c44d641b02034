"""Stop a running step from another thread, at no cost to one that nobody stops.

The library asks a C function before each node of its graph whether to go on. A Python function there would need the
interpreter's lock hundreds of times a step; the C library's `strlen` does not: asked for the length of a text in our
hands, it answers 0 (go on) while the text is empty and 1 (stop) when it holds one letter.
"""

from __future__ import annotations

import ctypes
from typing import Any

from models.engine.llama.library import Library


class Stopper:
    def __init__(self, lib: Library, context: Any) -> None:
        self._lib = lib
        self._text = ctypes.create_string_buffer(2)
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
        self._function = lib.llama.ggml_abort_callback(strlen.value)
        address = ctypes.cast(self._text, ctypes.c_void_p)
        lib.llama.llama_set_abort_callback(context, self._function, address)

    def stop(self) -> None:
        self._text[0] = b"x"

    def begin(self) -> None:
        """A stop is for the step that runs, not for the next one."""
        self._text[0] = b"\0"

    @property
    def was_stopped(self) -> bool:
        return self._text[0] != b"\0"
