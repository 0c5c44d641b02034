"""The bench of two tiers: real processes, a slowed link, and figures that add up."""

from __future__ import annotations

from benchmarks.tiers import Setting, measure
from benchmarks.tiers_family import EXITS
from benchmarks.tiers_plot import NAMES, fastest

MODES = [
    "device-only",
    "edge-only",
    "cloud-only",
    "routing-threshold",
    "routing-oracle",
    "hand-over",
    "hand-over-fp32",
    "hand-over-draft",
    "draft-verify",
]


def test_the_rows_add_up(monkeypatch) -> None:
    # Always the family that the bench makes, whether one comes with this version or not.
    monkeypatch.setattr("benchmarks.tiers.serves", lambda _: False)
    figures = measure(Setting(rtt_ms=4, mbit=50, answers=2, tokens=8))
    rows = {row.mode: row for row in figures.rows}
    assert list(rows) == MODES
    device, edge = rows["device-only"], rows["edge-only"]
    assert (device.bytes_per_token, device.edge_steps, device.asked_above) == (0, 0, 0)
    assert (edge.equal_to_edge, edge.asked_above) == (1, 1)
    assert edge.edge_steps == 16
    cloud = rows["cloud-only"]
    assert (cloud.edge_block_tokens, cloud.edge_steps, cloud.asked_above) == (0, 0, 1)
    assert cloud.bytes_per_token > 0
    assert cloud.equal_to_edge in {0, 0.5, 1}
    assert figures.cloud_rtt_ms == 16
    assert rows["hand-over-fp32"].edge_steps == 16
    assert rows["hand-over-fp32"].equal_to_edge == 1
    assert figures.block_tokens_ratio == round((EXITS[1] - EXITS[0] + 1) / (EXITS[1] + 1), 4)
    assert rows["hand-over"].bytes_per_token > rows["draft-verify"].bytes_per_token
    assert rows["draft-verify"].edge_steps <= edge.edge_steps
    assert rows["draft-verify"].equal_to_edge == 1
    assert rows["routing-oracle"].equal_to_edge == 1
    assert figures.draft_s >= 0


def test_the_map_of_ways_has_its_corners() -> None:
    def way(rtt_s: float, step_s: float, mbit: float = 20.0, acceptance: float = 0.7) -> str:
        return NAMES[fastest(rtt_s, step_s, mbit, acceptance, 0.002)[0]]

    assert way(0.3, 0.002) == "question"
    assert way(0.002, 0.1) != "question"
    assert way(0.002, 0.05, mbit=0.25) == "draft"
    assert fastest(0.002, 0.1, 20.0, 0.9, 0.002)[1] > fastest(0.002, 0.1, 20.0, 0.5, 0.002)[1] > 1
