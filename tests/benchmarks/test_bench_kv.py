"""The bench of keys and values that move: figures that add up."""

from __future__ import annotations

import pytest

from benchmarks.kv_handoff import Setting, measure


def test_what_is_handed_over_goes_on_as_what_was_computed() -> None:
    figures = measure(Setting(family="kin", tokens=64, prompt_tokens=300, threads=1))
    assert figures.max_logit_diff == 0.0
    assert figures.tokens_identical == figures.tokens == 64
    assert figures.break_even_mbit_s == pytest.approx(
        figures.bytes_per_token * 8e-6 * figures.prefill_tokens_per_s, rel=0.01
    )
