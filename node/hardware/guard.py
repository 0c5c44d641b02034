"""Keep a process from loading a library that would end it by an illegal instruction."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from node.errors import LibraryIllegal, ProcessorLacks
from node.hardware.found import Processor
from node.hardware.processor import find_processor
from node.hardware.tree import Tree

TIMEOUT_S = 60.0
VERDICTS = Path("hardware/loads.json")


class Library(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    module: str
    distribution: str
    x86_64: tuple[str, ...] = ()
    aarch64: tuple[str, ...] = ()

    def needs(self, architecture: str) -> tuple[str, ...]:
        return {"x86_64": self.x86_64, "aarch64": self.aarch64}.get(architecture, ())


@cache
def libraries() -> dict[str, Library]:
    return msgspec.toml.decode((files(__package__) / "libraries.toml").read_bytes(), type=dict[str, Library])


def lacking(library: Library, processor: Processor) -> tuple[str, ...]:
    """Features that the library's wheel needs and the processor has not. A processor that tells nothing of itself
    lacks nothing: the child finds out."""
    if not processor.features:
        return ()
    return tuple(one for one in library.needs(processor.architecture) if one not in processor.features)


def ensure_loads(names: Iterable[str], processor: Processor | None = None, home: Path | None = None) -> list[str]:
    """Load each in a child, and return those that are installed and did load.

    Raises ProcessorLacks (KF188) for what the processor is known to lack, and LibraryIllegal (KF189) when a child dies
    of an illegal instruction. processor: default this machine's. home: where the verdicts are kept, so that each is
    paid for once a version and processor.
    """
    processor = processor or find_processor(Tree(), platform.machine())
    chosen = {name: libraries()[name] for name in names}
    there = {name: one for name, one in chosen.items() if importlib.util.find_spec(one.module) is not None}
    for name, library in there.items():
        absent = lacking(library, processor)
        if absent:
            raise ProcessorLacks(library=name, features=", ".join(absent), model=processor.model or "this processor")
    kept = Verdicts(home)
    for name, library in there.items():
        key = _key(library, processor)
        if not kept.good(key):
            try_in_child(name, library.module)
            kept.add(key)
    return list(there)


def try_in_child(name: str, module: str, python: str = sys.executable) -> None:
    """Load a module in a child. Raises LibraryIllegal (KF189); any other fault is left to whoever loads it here."""
    try:
        done = subprocess.run([python, "-c", f"import {module}"], capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
    if is_illegal(done.returncode):
        raise LibraryIllegal(library=f"{name} {_version(libraries()[name].distribution)}")


def is_illegal(status: int) -> bool:
    """Whether a process ended by SIGILL; an emulator's shell gives 128 + 4."""
    return status in (-signal.SIGILL, 128 + signal.SIGILL)


class Verdicts:
    """What loaded well before, in the state folder. Without one, or where it can't be written, nothing is kept."""

    def __init__(self, home: Path | None) -> None:
        self._path = home / VERDICTS if home is not None else None
        self._good: set[str] = set()
        if self._path is not None:
            with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
                self._good = msgspec.json.decode(self._path.read_bytes(), type=set[str])

    def good(self, key: str) -> bool:
        return key in self._good

    def add(self, key: str) -> None:
        self._good.add(key)
        # The state folder itself is made by whoever keeps state there, with the rights that it should have.
        if self._path is None or not self._path.parent.parent.is_dir():
            return
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(sorted(self._good)))
            os.replace(name, self._path)


def _key(library: Library, processor: Processor) -> str:
    text = "\n".join([processor.model, *sorted(processor.features), sys.executable, sys.version])
    return f"{library.module} {_version(library.distribution)} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "?"
