"""The bench of keys and values that move: a real worker, a slowed link, and figures that add up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.kv_handoff import Setting, measure


def test_what_a_worker_computed_goes_on_as_what_was_computed_here() -> None:
    figures = measure(Setting(family="kin", tokens=64, prompt_tokens=513, speakers=1, mbit=(400.0,), rounds=1))
    assert figures.max_logit_diff == 0.0
    assert figures.tokens_identical == figures.tokens == 64
    assert figures.bytes_per_token > 1_000
    assert figures.break_even_mbit_s is None or figures.break_even_mbit_s > 0
    [row] = figures.rows
    assert row.mbit == 400.0
    assert 0 <= row.fetches <= 1
    assert abs(row.ratio * row.recompute_ttft_s - row.ttft_s) < 0.01 * row.ttft_s + 0.001


def test_a_bench_that_is_told_to_end_leaves_no_worker_and_no_folder(tmp_path: Path) -> None:
    words = ["bench", "kv", "--case", "handoff", "--family", "kin", "--rounds", "50", "--mbit", "400", "--json"]
    code = "from kinflow.main import main; main()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code, *words], env=environment, stderr=subprocess.DEVNULL) as bench:
        process = psutil.Process(bench.pid)
        end_s = time.monotonic() + 60
        while not (workers := process.children(recursive=True)):
            assert bench.poll() is None
            assert time.monotonic() < end_s
            time.sleep(0.05)
        assert list(tmp_path.glob("kinflow-bench-kv-*"))
        bench.send_signal(signal.SIGTERM)
        assert bench.wait(30) == 130
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert not list(tmp_path.glob("kinflow-bench-kv-*"))
