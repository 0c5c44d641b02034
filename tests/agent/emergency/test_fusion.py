"""Evidence adds up, is agreed on by k of n looks, and lapses."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.emergency.evidence import (
    CLASS_LLR,
    DECLARED_LLR,
    SIREN_LLR,
    SYNTHETIC_CLASS_LLR,
    Declared,
    of_class,
    of_declaration,
    of_siren,
)
from agent.emergency.fusion import fired, probability
from agent.emergency.latch import OFF, Latch, Rule, step
from agent.emergency.siren import SirenReading

LLR = st.floats(-12, 12)
THRESHOLDS = {"ambulance": 0.4, "police_car": 0.4, "fire_engine": 0.4}


@given(a=LLR, b=LLR, prior=st.floats(-10, 0))
def test_probability_is_naive_bayes(a: float, b: float, prior: float) -> None:
    odds = exp(prior) * exp(a) * exp(b)
    assert probability({"class": a, "beacons": b}, prior) == pytest.approx(odds / (1 + odds), rel=1e-6)


@given(a=LLR, b=LLR, more=st.floats(0.01, 5))
def test_more_evidence_never_makes_less_likely(a: float, b: float, more: float) -> None:
    assert probability({"class": a, "beacons": b + more}) >= probability({"class": a, "beacons": b})


def test_neither_class_nor_siren_alone_asks_for_way_and_a_proven_declaration_does() -> None:
    assert probability({"class": CLASS_LLR[1]}) < 0.5
    assert probability({"siren": SIREN_LLR[1]}) < 0.5
    assert probability({"class": CLASS_LLR[1], "siren": SIREN_LLR[1]}) > 0.5
    assert probability({"declared": DECLARED_LLR}) > 0.99


def test_a_class_that_only_drawings_taught_is_other_and_worth_little() -> None:
    sure = of_class({"police_car": 0.9, "car": 0.1}, THRESHOLDS, frozenset())
    drawn = of_class({"police_car": 0.9, "car": 0.1}, THRESHOLDS, frozenset({"police_car"}))
    assert (sure.kind, sure.named) == ("police_car", True)
    assert sure.llr == pytest.approx(CLASS_LLR[1])
    assert (drawn.kind, drawn.named) == ("emergency_other", True)
    assert drawn.llr == pytest.approx(SYNTHETIC_CLASS_LLR[1])
    assert probability({"class": drawn.llr, "siren": SIREN_LLR[1]}) < 0.5
    plain = of_class({"car": 0.8}, THRESHOLDS, frozenset())
    assert (plain.kind, plain.named) == ("unknown", False)
    assert plain.llr < 0


def test_silence_and_unproven_words_say_next_to_nothing() -> None:
    assert of_siren(None) == of_siren(SirenReading("silence", None)) == 0.0
    assert of_siren(SirenReading("siren", 50.0)) == SIREN_LLR[1]
    assert of_siren(SirenReading("other", -50.0)) == SIREN_LLR[0]
    said = Declared("ambulance", authenticated=False, beacons=True, mono_ms=0)
    assert probability({"declared": of_declaration(said)}) < 0.05
    assert of_declaration(Declared("ambulance", authenticated=True, beacons=False, mono_ms=0)) == 0.0
    assert fired({"class": 3.0, "beacons": 0.2, "siren": 1.5}) == ("class", "siren")


RULE = Rule(k=3, n=5, hold_ms=1_000, longest_ms=20_000)


@given(st.lists(st.booleans(), max_size=60))
def test_a_latch_is_on_only_after_k_of_n_and_while_it_holds(votes: list[bool]) -> None:
    latch, on_since_vote = OFF, None
    for number, vote in enumerate(votes):
        now_ms = number * 100
        latch = step(latch, RULE, vote, now_ms)
        recent = sum(votes[max(0, number - 4) : number + 1])
        if vote and recent >= 3:
            assert latch.on
            on_since_vote = now_ms
        if latch.on:
            assert on_since_vote is not None
            assert now_ms - latch.last_ms < RULE.hold_ms
    if not any(votes):
        assert not latch.on


def test_a_lamp_that_never_stops_is_let_go_and_must_stop_first() -> None:
    latch: Latch = OFF
    on = []
    for number in range(260):
        latch = step(latch, RULE, True, number * 100)
        on.append(latch.on)
    assert on[10]
    assert not on[-1]
    for number in range(260, 265):
        latch = step(latch, RULE, False, number * 100)
    for number in range(265, 268):
        latch = step(latch, RULE, True, number * 100)
    assert latch.on
