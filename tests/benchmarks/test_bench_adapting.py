"""The comparison of searched schemes: its arithmetic, and one run of each task with little of everything."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tuning.adapting import Row, measure, summary
from benchmarks.tuning.tasks import DIGITS, dialogues, digits, microphones


def row(task: str, what: str, scheme: str, after: float, score: float) -> Row:
    return Row(
        task=task, what=what, scheme=scheme, rate=0.01, trained=1, memory_mb=1.0, step_ms=1.0, before=9.0, after=after,
        score_before=0.1, score=score,
    )  # fmt: skip


def test_differences_are_taken_within_a_run_and_have_an_interval() -> None:
    rows = [row("digits", "a", "searched", 0.5, 0.8), row("digits", "b", "searched", 1.0, 0.6)]
    rows += [row("digits", "a", "last-k", 0.6, 0.7), row("digits", "b", "last-k", 1.3, 0.6)]
    (told,) = summary(rows)
    assert (told["against"], told["runs"]) == ("last-k", 2)
    # 0.1 and 0.3: mean 0.2, deviation 0.1414, over the root of 2, times 12.71.
    assert told["less_loss"] == pytest.approx((0.2, 1.271))
    assert told["more_score"] == pytest.approx((0.05, 0.6355))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_task_runs(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    recordings = tmp_path / "wavs"
    recordings.mkdir()
    for digit in DIGITS:
        for speaker, shift in (("ann", 1.0), ("bob", 1.3)):
            for number in range(10):
                sound = np.sin(np.arange(3000) * 0.05 * (1 + int(digit)) * shift) + random.normal(size=3000) * 0.1
                with wave.open(str(recordings / f"{digit}_{speaker}_{number}.wav"), "wb") as file:
                    file.setnchannels(1)
                    file.setsampwidth(2)
                    file.setframerate(8000)
                    file.writeframes((sound * 12000).astype("<i2").tobytes())
    books, talks = tmp_path / "books.jsonl", tmp_path / "talks.jsonl"
    books.write_text("\n".join(json.dumps({"text": "the light is red. " * 4000}) for _ in range(12)))
    lines = [
        {"services": ["Cafe_1"], "turns": [["USER", f"a table for {one}, by the window"]] * 9} for one in range(40)
    ]
    talks.write_text("\n".join(map(json.dumps, lines)))
    tasks = [
        *digits(recordings, tmp_path / "d", 1, (20, 5)),
        *microphones(recordings, tmp_path / "m", 1, (20, 5)),
        *dialogues((books, talks), tmp_path / "t", 1, (20, 5)),
    ]
    told: list[Row] = []
    rows = measure(tasks, 0.1, told.append)
    assert told == rows
    assert {(one.task, one.scheme) for one in rows} == {
        (task, scheme)
        for task in ("digits", "microphones", "dialogues")
        for scheme in ("bias-only", "last-k", "last-k in pieces", "searched", "deep", "full")
    }
    for one in rows:
        assert one.trained > 0
        assert one.after < one.before
