"""The laws of the safety check: for any site, any proposals and any calls, in front of a plant that only obeys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.signals import safety
from edge_server.signals.layout import Layout, layouts
from edge_server.signals.safety import Memory, Proposal, judge, service_bound_ms
from edge_server.signals.view import View
from protocol.ids import PhaseId
from protocol.site import Intersection
from protocol.site_check import faults
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import random_intersections, site

STEP_MS = 500
GARBAGE = [None, 7, "", "no-such-stage", "s0 ", ["s0"], {"stage": "s0"}, object(), "s" * 10_000, b"s0", float("nan")]


class Run:
    """A plant under the check, and what a law needs to know of the past."""

    def __init__(self, intersection: Intersection) -> None:
        assert faults(site(intersection)) == ()
        self.layout: Layout = layouts(site(intersection))[intersection.id]
        self.plant = Plant(intersection)
        self.memory = Memory()
        self.red_since = dict.fromkeys(self.layout.phases, 0)
        self.green_since: dict[PhaseId, int] = {}

    def step(self, stage: object, *, lost: bool = False, cuts_walk: bool = False) -> None:
        now_ms = self.plant.now_ms
        view = View.of(self.plant.heartbeat(), now_ms)
        self.memory, verdict = judge(
            self.layout,
            self.memory,
            view,
            Proposal("any", stage, cuts_walk=cuts_walk),
            wanted=frozenset(),
            now_ms=now_ms,
        )
        assert verdict.command is not None
        if not lost:
            self.memory = safety.sent(self.memory, verdict.command, now_ms)
            assert cuts_walk or not verdict.command.cuts_walk
            self.plant.obey(frozenset(verdict.command.phases), cuts_walk=verdict.command.cuts_walk)
        self.plant.advance(STEP_MS)
        for phase in self.layout.phases:
            if self.plant.serving(phase):
                self.green_since.setdefault(phase, self.plant.now_ms)
                self.red_since.pop(phase, None)
            else:
                self.green_since.pop(phase, None)
                self.red_since.setdefault(phase, self.plant.now_ms)

    def overdue_greens(self) -> Iterator[str]:
        """Greens that have passed their maximum since the first conflicting call by more than one step."""
        for phase, since_ms in self.green_since.items():
            times = self.layout.phases[phase]
            calls = [ms for one, ms in self.plant.calls.items() if one in self.layout.conflicts[phase]]
            if calls and self.plant.now_ms > max(min(calls), since_ms) + times.most_ms + 2 * STEP_MS:
                yield f"phase {phase}, green since {since_ms}, called against at {min(calls)}"


@settings(max_examples=60, deadline=None)
@given(
    intersection=random_intersections(),
    seed=st.integers(0, 2**32),
    style=st.sampled_from(["garbage", "restless", "stubborn", "hostile"]),
    tight=st.booleans(),
)
def test_whatever_is_proposed_the_lamps_stay_safe_and_everybody_is_served(intersection, seed, style, tight):
    """tight: the bound is the shortest that the site's own times allow, so that one wrong step breaks it."""
    with patch.object(safety, "STARVATION_BOUND_MS", 0 if tight else safety.STARVATION_BOUND_MS):
        _run(intersection, Random(seed), style)


LATE = json.loads((Path(__file__).parent / "late_cases.json").read_text())


@pytest.mark.parametrize("case", LATE, ids=[case["why"] for case in LATE])
def test_what_was_once_served_too_late_is_served_in_time(case):
    intersection = msgspec.convert(case["intersection"], Intersection)
    with patch.object(safety, "STARVATION_BOUND_MS", 0 if case["tight"] else safety.STARVATION_BOUND_MS):
        _run(intersection, Random(case["seed"]), case["style"])


def _run(intersection: Intersection, random: Random, style: str) -> None:
    run = Run(intersection)
    stages = [str(stage.id) for stage in intersection.stages]
    phases = [phase.id for phase in intersection.phases]
    bound_ms = service_bound_ms(run.layout)
    favourite = random.choice(stages)
    for at in range(700):
        if style == "garbage":
            proposed: object = random.choice([*GARBAGE, *stages])
        elif style == "restless":
            proposed = random.choice(stages)
        elif style == "stubborn":
            proposed = favourite
        else:
            # Always away from what has waited longest.
            starving = min(run.red_since, key=run.red_since.__getitem__, default=None)
            safe = [str(stage.id) for stage in intersection.stages if starving not in stage.phases]
            proposed = random.choice(safe or stages)
        if random.random() < 0.1:
            run.plant.call(random.choice(phases))
        run.step(proposed, cuts_walk=random.random() < 0.5)
        assert run.plant.violations == []
        assert list(run.overdue_greens()) == []
        late = {one: run.plant.now_ms - ms for one, ms in run.red_since.items() if run.plant.now_ms - ms > bound_ms}
        assert not late, f"red for longer than {bound_ms} ms at step {at}: {late}"
