"""Evidence that is independent given the truth adds up in log-odds (naive Bayes)."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

from agent.emergency.evidence import PRIOR_LOG_ODDS, Evidence

# From this likelihood ratio on, evidence is named as one that fired.
FIRED_LLR = 1.0


def probability(llrs: Mapping[Evidence, float], prior_log_odds: float = PRIOR_LOG_ODDS) -> float:
    """That a vehicle asks for way, 0..1."""
    odds = prior_log_odds + sum(llrs.values())
    return 1 / (1 + exp(-odds)) if odds > -700 else 0.0


def fired(llrs: Mapping[Evidence, float]) -> tuple[Evidence, ...]:
    return tuple(name for name, llr in llrs.items() if llr >= FIRED_LLR)
