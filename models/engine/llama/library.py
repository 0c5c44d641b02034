"""The library itself: loaded once, quiet, and its last words kept for a message.

`llama_cpp.llama_cpp` is a plain table of C functions. The package around it would load classes that run chat templates
and keep a cache on disk (CVE-2025-69872): it is passed by, and with it a tenth of a second and 11 MB.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from models.errors import EngineMissing

PACKAGE = "llama_cpp"
DISTRIBUTION = "llama_cpp_python"
_said: deque[str] = deque(maxlen=40)
_lock = threading.Lock()
_kept: list[Any] = []
ERROR_LEVEL = 4


class Library:
    """llama: the bindings. ggml: the tensors below them."""

    def __init__(self, llama: Any, ggml: ctypes.CDLL) -> None:
        self.llama = llama
        self.ggml = ggml
        void = ctypes.c_void_p
        # The address as a number: a step is short, and the bindings would make a pointer object of each row.
        own = ctypes.CDLL(llama.__dict__["_lib"]._name)
        self.logits_at = _function(own, "llama_get_logits_ith", [void, ctypes.c_int32], void)
        self.tensor_name = _function(ggml, "ggml_get_name", [void], ctypes.c_char_p)
        self.tensor_bytes = _function(ggml, "ggml_nbytes", [void], ctypes.c_size_t)
        self.tensor_elements = _function(ggml, "ggml_nelements", [void], ctypes.c_int64)
        self.tensor_contiguous = _function(ggml, "ggml_is_contiguous", [void], ctypes.c_bool)
        self.tensor_read = _function(
            ggml, "ggml_backend_tensor_get", [void, void, ctypes.c_size_t, ctypes.c_size_t], None
        )

    @property
    def has_accelerator(self) -> bool:
        return bool(self.llama.llama_supports_gpu_offload())

    @property
    def version(self) -> str:
        return str(self.llama.llama_version().decode())

    @property
    def name(self) -> str:
        """What contexts as data are bound to: another release may lay them out in another way."""
        return f"llama-cpp-python {importlib.metadata.version(DISTRIBUTION)}, llama.cpp {self.version}"


@cache
def library() -> Library:
    """Raises EngineMissing (KF390)."""
    try:
        llama = _bindings()
        ggml = ctypes.CDLL(str(Path(llama.__file__).parent / "lib" / "libggml-base.so"))
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineMissing(detail=error) from error
    callback = llama.llama_log_callback(_log)
    _kept.append(callback)
    llama.llama_log_set(callback, ctypes.c_void_p(0))
    llama.llama_backend_init()
    return Library(llama, ggml)


def _bindings() -> Any:
    """Any: ctypes functions have no types that a checker could use."""
    if PACKAGE not in sys.modules:
        found = importlib.util.find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise ImportError("llama-cpp-python is not installed")
        # Its folder without its __init__, which would load all the rest.
        bare = ModuleType(PACKAGE)
        bare.__path__ = list(found.submodule_search_locations)
        bare.__spec__ = found
        sys.modules[PACKAGE] = bare
    return importlib.import_module(f"{PACKAGE}.llama_cpp")


def log_callback() -> Any:
    """For a library beside this one. Raises EngineMissing (KF390)."""
    library()
    return _kept[0]


def last_words(default: str) -> str:
    """What the library complained of last; forgotten once it is asked for."""
    with _lock:
        text = "; ".join(_said) or default
        _said.clear()
    return text


def forget_words() -> None:
    with _lock:
        _said.clear()


def _log(level: int, text: bytes, _: object) -> None:
    # The library goes on talking while the interpreter leaves.
    if level == ERROR_LEVEL and text is not None:
        with _lock:
            _said.append(text.decode("utf-8", "replace").strip())


def _function(library: ctypes.CDLL, name: str, takes: Sequence[Any], gives: Any) -> Callable[..., Any]:
    function: Any = getattr(library, name)
    function.argtypes = list(takes)
    function.restype = gives
    return function  # type: ignore[no-any-return]
