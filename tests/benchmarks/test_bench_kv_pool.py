"""The bench of the prefix cache: its hits are its policy's, and it says what they gain."""

from __future__ import annotations

from benchmarks.kv_loads import agents
from benchmarks.kv_pool import Setting, found, measure


def test_the_cache_finds_what_its_policy_finds() -> None:
    """On a load that is made here; a real trace's figures stand in docs/serving.md."""
    prompts = [[int.from_bytes(key, "big") for key in keys] for keys in agents(3, 500)]
    for blocks in (60, 1000):
        one = found(prompts, blocks)
        assert one.hits == one.ideal_hits <= one.belady_hits
        assert 0 < one.lru_hits <= one.belady_hits


def test_its_figures_add_up() -> None:
    figures = measure(Setting(family="kin", limit=40, blocks=700, prompt_tokens=200, rounds=1, threads=1))
    assert figures.blocks == 700
    assert figures.hits == figures.ideal_hits
    assert [one.blocks for one in figures.sizes] == [700, 1_000, 5_000, 20_000, 50_000]
    assert figures.bytes_per_token > 100
    assert all(took_ms > 0 for took_ms in figures.ttft_ms.values())
