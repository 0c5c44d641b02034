"""`kinflow bench tuning` takes real steps in processes of their own and tells them with their units."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.errors import PeerFailed
from benchmarks.tuning.bench import Row, Setting, _ratios, loss_error, measure
from benchmarks.tuning.installed import installed_mb
from kinflow.main import run as kinflow

KEYS = {
    "model", "batch", "threads", "engine", "scheme", "step_ms", "rss_over_import_mb", "first_step_s", "installed_mb",
    "gradient_error", "loss_error",
}  # fmt: skip


def test_it_prints_rows_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "tuning", "--quick", "--json", "--model", "mobilenet", "--scheme", "head"]
    assert kinflow(words) == 0
    told = json.loads(capsys.readouterr().out)
    row, kept = told["rows"]
    assert set(row) >= KEYS
    # A head alone, behind layers that are computed once, is hardly any work.
    assert (kept["engine"], kept["scheme"]) == ("kinflow-kept", "head")
    assert (row["model"], row["batch"], row["engine"], row["scheme"]) == ("mobilenet", 1, "kinflow", "head")
    assert row["step_ms"] > 0
    assert row["rss_over_import_mb"] > 0
    assert row["installed_mb"] > 50
    assert row["gradient_error"] is None


def test_a_peer_that_does_not_answer_is_told(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no torch here >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(PeerFailed, match="no torch here"):
        measure(Setting(("mobilenet",), (1,), (1,), ("head",), 1, 1, python))


def test_ratios_are_against_the_best_way_of_the_peer() -> None:
    def row(engine: str, scheme: str, cpu: float) -> Row:
        return Row(
            model="m", batch=1, threads=1, engine=engine, scheme=scheme, step_ms=99.0, cpu_ms=cpu,
            rss_over_import_mb=10 * cpu, first_step_s=1.0, installed_mb=cpu,
        )  # fmt: skip

    rows = [row("kinflow", "deep", 2.0), row("kinflow", "full", 5.0)]
    rows += [row("torch", "full", 12.0), row("torch-malloc", "full", 10.0), row("torch", "deep", 6.0)]
    (found,) = _ratios(rows)
    assert (found["full_over_full"], found["deep_over_deep"], found["full_over_deep"]) == (2.0, 3.0, 5.0)
    assert found["memory_full_over_deep"] == 5.0


def test_losses_are_compared_step_by_step_and_the_worst_counts() -> None:
    exact = {"double": np.array([2.0, 1.0, 0.5])}
    assert loss_error(np.array([2.0, 1.001, 0.5]), exact) == pytest.approx(1e-3)
    assert loss_error(exact["double"], exact) == 0


def test_what_is_installed_is_counted_with_what_it_needs() -> None:
    assert installed_mb(["onnxruntime"]) > installed_mb(["flatbuffers"]) > 0
    assert installed_mb(["no-such-package"]) == 0
