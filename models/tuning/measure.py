"""`python -m models.tuning.measure PROGRAM STEPS THREADS`: what a step of a compiled program takes here, as one JSON
object. In a process of its own, that imports no more than a device needs."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from models.tuning.bundle import Manifest, load_manifest
from models.tuning.graph import Array
from models.tuning.keeping import Prefix
from models.tuning.trainer import Trainer


def peak_mb() -> float:
    """The most memory that this process held. (getrusage would tell of whoever started it, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3


def random_feeds(manifest: Manifest) -> dict[str, Array]:
    random = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for name, one in (manifest.inputs | manifest.targets).items():
        kind = np.dtype(one.kind)
        feeds[name] = random.normal(size=one.shape).astype(kind) if kind.kind == "f" else np.zeros(one.shape, kind)
    return feeds


def measure(program: Path, steps: int, threads: int) -> dict[str, float]:
    """step_ms: median. rss_over_import_mb: peak, over what the process held once everything was imported, also where a
    frozen beginning was computed. first_step_s: from the start of the process to the end of the first step."""
    before = peak_mb()
    manifest = load_manifest(program)
    feeds = random_feeds(manifest)
    if manifest.kept:
        feeds |= Prefix(program, manifest, threads)(feeds)
    trainer = Trainer(program, threads)
    trainer.step(feeds)
    first = time.time() - psutil.Process().create_time()
    taken = []
    for _ in range(steps):
        began = time.perf_counter()
        trainer.step(feeds)
        taken.append(time.perf_counter() - began)
    return {
        "step_ms": round(float(np.median(taken)) * 1e3, 3),
        "rss_over_import_mb": round(peak_mb() - before, 1),
        "first_step_s": round(first, 3),
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
