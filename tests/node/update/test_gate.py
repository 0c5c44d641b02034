from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from node.update.gate import STALE_MS, Gate, look
from node.update.health import HealthReport
from node.update.journal import Baseline, Reason

BASE = (Baseline(tier="agent", link_up=True, cameras=("cam-1",)),)
GATE = Gate("1.1", BASE, began_ms=0, gate_ms=10_000, trial_ms=60_000)
GOOD = HealthReport(
    tier="agent", version="1.1", boot="b1", machine_boot="m", at_mono_ms=0, link_up=True, cameras={"cam-1": "running"}
)


def at(now_ms: int, **more: object) -> dict[str, HealthReport]:
    return {"agent": msgspec.structs.replace(GOOD, at_mono_ms=now_ms, **more)}


def test_what_works_for_long_enough_is_kept() -> None:
    gate, verdict = look(GATE, at(1_000), {"agent": 1}, 1_000)
    assert verdict is None
    gate, verdict = look(gate, at(10_999), {"agent": 1}, 10_999)
    assert verdict is None
    assert look(gate, at(11_000), {"agent": 1}, 11_000)[1] is True


def test_a_restart_begins_the_time_anew() -> None:
    gate, _ = look(GATE, at(1_000), {"agent": 1}, 1_000)
    gate, verdict = look(gate, at(12_000, boot="b2"), {"agent": 2}, 12_000)
    assert verdict is None
    assert look(gate, at(21_999, boot="b2"), {"agent": 2}, 21_999)[1] is None
    assert look(gate, at(22_000, boot="b2"), {"agent": 2}, 22_000)[1] is True


@pytest.mark.parametrize(
    ("seen", "starts", "code"),
    [
        ({"link_up": False}, 1, "link-lost"),
        ({"cameras": {"cam-1": "stalled"}}, 1, "camera-lost"),
        ({"cameras": {}}, 1, "camera-lost"),
        ({"version": "1.0"}, 1, "hung"),
        ({"version": "1.0"}, 3, "crashed"),
        ({"version": "1.0"}, 0, "not-started"),
        ({"at_mono_ms": 60_000 - STALE_MS - 1}, 1, "hung"),
    ],
)
def test_what_is_missing_is_told_when_the_trial_is_over(seen: dict[str, object], starts: int, code: str) -> None:
    counted = {"agent": starts}
    gate, verdict = look(
        GATE, at(**{"now_ms": 59_999} | seen) if "at_mono_ms" not in seen else _stale(seen), counted, 59_999
    )
    assert verdict is None
    reports = _stale(seen) if "at_mono_ms" in seen else at(60_000, **seen)
    verdict = look(gate, reports, counted, 60_000)[1]
    assert isinstance(verdict, Reason)
    assert verdict.code == code


def _stale(seen: dict[str, object]) -> dict[str, HealthReport]:
    return {"agent": msgspec.structs.replace(GOOD, **seen)}


def test_no_more_is_asked_than_worked_before() -> None:
    gate = replace(GATE, baseline=(Baseline(tier="agent", link_up=False),))
    gate, _ = look(gate, at(0, link_up=False, cameras={"cam-1": "failed"}), {}, 0)
    assert look(gate, at(10_000, link_up=False, cameras={"cam-1": "failed"}), {}, 10_000)[1] is True


def test_an_answer_is_asked_for_where_there_was_one() -> None:
    gate = replace(GATE, baseline=(Baseline(tier="agent", link_up=True, answer=True),))
    verdict = look(gate, at(60_000, answer=None), {"agent": 1}, 60_000)[1]
    assert isinstance(verdict, Reason)
    assert verdict.code == "no-answer"
    _, verdict = look(gate, at(0, answer=True), {"agent": 1}, 0)
    assert verdict is None


def test_a_version_that_keeps_restarting_is_not_kept_for_ever() -> None:
    gate, verdict = GATE, None
    for number in range(200):
        gate, verdict = look(gate, at(number * 1_000, boot=f"b{number}"), {"agent": number}, number * 1_000)
        if verdict is not None:
            break
    assert isinstance(verdict, Reason)
    assert verdict.code == "crashed"
