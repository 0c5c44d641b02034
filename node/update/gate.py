"""The gate before a commit: does all that worked before still work, for long enough, without a restart in between?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from node.update.health import HealthReport
from node.update.journal import Baseline, Reason

STALE_MS = 15_000


@dataclass(frozen=True)
class Gate:
    """began_ms, good_since_ms: of the monotonic clock; good_since_ms is None while something is missing. boots: which
    run of each tier's process was seen: another one begins the time anew. problem: what is missing now."""

    version: str
    baseline: tuple[Baseline, ...]
    began_ms: int
    gate_ms: int
    trial_ms: int
    good_since_ms: int | None = None
    boots: tuple[str, ...] = ()
    problem: Reason | None = None


Verdict = bool | Reason | None


def look(
    gate: Gate, reports: Mapping[str, HealthReport], starts: Mapping[str, int], now_ms: int
) -> tuple[Gate, Verdict]:
    """The gate after one look, and the verdict: None while it is open, True when it is passed, or why it is not.

    reports: each tier's newest word of this machine's present boot. starts: of each tier during the trial.
    """
    problem = next(filter(None, (_missing(gate, one, reports, starts, now_ms) for one in gate.baseline)), None)
    boots = tuple(reports[one.tier].boot for one in gate.baseline if one.tier in reports)
    if problem is not None:
        gate = replace(gate, good_since_ms=None, boots=boots, problem=problem)
        return gate, problem if now_ms - gate.began_ms >= gate.trial_ms else None
    since_ms = gate.good_since_ms if gate.good_since_ms is not None and boots == gate.boots else now_ms
    gate = replace(gate, good_since_ms=since_ms, boots=boots, problem=None)
    if now_ms - since_ms >= gate.gate_ms:
        return gate, True
    if now_ms - gate.began_ms >= gate.trial_ms + gate.gate_ms:
        return gate, Reason(
            "crashed", f"version {gate.version} never ran for {gate.gate_ms / 1000:g} s without a restart"
        )
    return gate, None


def _missing(  # noqa: PLR0911 (one line for each thing that can be missing)
    gate: Gate, base: Baseline, reports: Mapping[str, HealthReport], starts: Mapping[str, int], now_ms: int
) -> Reason | None:
    report, name = reports.get(base.tier), f"the {base.tier} of version {gate.version}"
    if report is None or report.version != gate.version:
        count = starts.get(base.tier, 0)
        if count > 1:
            return Reason("crashed", f"{name} was started {count} times and never said that it works")
        if count == 1:
            return Reason("hung", f"{name} was started and never said that it works")
        return Reason("not-started", f"{name} was never started")
    if not 0 <= now_ms - report.at_mono_ms <= STALE_MS:
        return Reason("hung", f"{name} has said nothing for {(now_ms - report.at_mono_ms) / 1000:.0f} s")
    if base.link_up and not report.link_up:
        return Reason("link-lost", f"{name} has no connection to its broker; the version before had one")
    lost = [camera for camera in base.cameras if report.cameras.get(camera) != "running"]
    if lost:
        state = report.cameras.get(lost[0], "missing")
        return Reason("camera-lost", f"the camera {lost[0]} is {state} under version {gate.version}; it ran before")
    if base.answer and report.answer is not True:
        return Reason("no-answer", f"{name} gives no answer; the version before did")
    return None
