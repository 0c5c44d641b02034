"""Message and settings types, made ready before threads use them.

msgspec finds out how a Struct is built when it is first decoded, and in 0.22 two threads that do so at once can end the
process with a segmentation fault. On a busy machine that is one start in a few dozen. Found out beforehand, on one
thread, it is only read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec

_ready: set[type[msgspec.Struct]] = set()
_lock = threading.Lock()


def ready_structs() -> None:
    """Make every Struct that is imported so far ready. For a process that is about to start its threads; may be called
    again, when more has been imported."""
    with _lock:
        for struct in _below(msgspec.Struct):
            if struct not in _ready:
                _ready.add(struct)
                try:
                    msgspec.json.Decoder(struct)
                except (NameError, TypeError):
                    continue  # not one that is ever decoded


def _below(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for one in struct.__subclasses__():
        yield one
        yield from _below(one)
