"""What a compiled program takes here, found out in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

import models
from models.errors import WorkerLost
from models.tuning.bundle import load_manifest, save_manifest

_ROOT = Path(models.__file__).resolve().parents[1]
_PATIENCE_S = 300.0
# Of each order of execution.
_STEPS = 3
# The other order has to spare so much memory, and may take so much more time: a moment's measurement is no more exact.
_SPARED, _SLOWER = 0.97, 1.25


def measured(program: Path, steps: int, threads: int) -> dict[str, float]:
    """models.tuning.measure in a process of its own. Raises WorkerLost (KF375)."""
    command = [sys.executable, "-m", "models.tuning.measure", str(program), str(steps), str(threads)]
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise WorkerLost(detail=f"{steps} steps took more than {_PATIENCE_S:.0f} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise WorkerLost(detail=lines[-1][:200])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def settle_order(program: Path) -> None:
    """Try both of onnxruntime's orders of execution; the manifest keeps the one that holds less memory at once. Neither
    is better for all: our road detector's `deep` step takes a fifth less by priority, and training all of a MobileNet
    four fifths more."""
    usual = load_manifest(program)
    try:
        before = measured(program, _STEPS, 1)
        save_manifest(program, msgspec.structs.replace(usual, order="priority"))
        after = measured(program, _STEPS, 1)
    except WorkerLost:
        # Whatever it is, training tells it better.
        save_manifest(program, usual)
        return
    is_less = after["rss_over_import_mb"] <= _SPARED * before["rss_over_import_mb"]
    if not is_less or after["step_ms"] > _SLOWER * before["step_ms"]:
        save_manifest(program, usual)
