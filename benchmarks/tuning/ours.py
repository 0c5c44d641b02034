"""`python -m benchmarks.tuning.ours PROGRAM THREADS FEEDS`: training steps of a compiled program, told as
models.training.tuning_peer tells its own. It imports what a device needs and no more."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from models.tuning.bundle import load_manifest
from models.tuning.keeping import Prefix
from models.tuning.trainer import Trainer


def peak_mb() -> float:
    """The most memory that this process held. (getrusage would tell of whoever started it, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3


def began_s_ago() -> float:
    """Since this process was started."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(") ", 1)[1].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    before = peak_mb()
    program, threads = Path(sys.argv[1]), int(sys.argv[2])
    manifest, given = load_manifest(program), np.load(sys.argv[3])
    feeds = {next(iter(manifest.inputs)): given["x"], "labels": given["labels"]}
    if manifest.kept:
        feeds |= Prefix(program, manifest, threads)(feeds)
    trainer = Trainer(program, threads)
    trainer.step(feeds)
    print(json.dumps({"first_step_s": began_s_ago()}), flush=True)
    for line in sys.stdin:
        taken = []
        for _ in range(int(line)):
            began, worked = time.perf_counter(), time.process_time()
            trainer.step(feeds)
            taken.append(((time.perf_counter() - began) * 1e3, (time.process_time() - worked) * 1e3))
        print(json.dumps(taken), flush=True)
    print(json.dumps({"rss_over_import_mb": peak_mb() - before}), flush=True)


if __name__ == "__main__":
    main()
