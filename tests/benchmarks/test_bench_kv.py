"""The bench of keys and values that move: a real worker, a slowed link, and figures that add up."""

from __future__ import annotations

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
