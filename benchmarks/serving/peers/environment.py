"""A Python environment for a peer, apart from ours: made once, in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import PeerNotStarted
from benchmarks.serving.peers.peer import Say
from firmware_configs.bundle.llama import cache_folder, wheels_of
from firmware_configs.bundle.target import here
from firmware_configs.bundle.tool import ToolFailed, run
from firmware_configs.errors import LibraryNotBuilt

MARK = "complete"


def environment_of(name: str, packages: Sequence[str], say: Say, *, llama: bool = True, free_gb: float = 1.0) -> Path:
    """Its Python. llama: with the very llama-cpp-python that ours runs. Raises PeerNotStarted (KF530)."""
    recipe = hashlib.sha256(repr((packages, llama, sys.version_info[:2])).encode()).hexdigest()[:8]
    folder = cache_folder() / "peers" / f"{name}-{recipe}"
    python = folder / "bin" / "python"
    if (folder / MARK).is_file():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder.parent).free < free_gb * 1e9:
        raise PeerNotStarted(server=name, detail=f"its environment needs {free_gb:g} GB free in {folder.parent}")
    say(f"making an environment for {name}, once")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        wheels = [str(next(iter(wheels_of(here(), cache_folder(), say).values())))] if llama else []
        run([sys.executable, "-m", "venv", str(folder)])
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels, *packages])
    except (ToolFailed, LibraryNotBuilt, OSError) as error:
        raise PeerNotStarted(server=name, detail=f"its packages could not be installed: {error}") from error
    (folder / MARK).touch()
    return python
