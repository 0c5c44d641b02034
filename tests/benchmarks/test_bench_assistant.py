"""`kinflow bench assistant` end to end, with an understanding by heart in place of weights."""

from __future__ import annotations

import sys

import pytest

from benchmarks import assistant

BY_HEART = """
import models.assistant.desk as desk
from tests.models.assistant.doubles import ByHeart
desk.open_understanding = lambda home: ByHeart()
from kinflow.main import main
main()
"""
WITHOUT = """
import models.assistant.desk as desk
from models.errors import AssistantUntrained
def refuse(home): raise AssistantUntrained(detail="no weights")
desk.open_understanding = refuse
from kinflow.main import main
main()
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_it_measures_an_agent_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant, "AGENT", [sys.executable, "-c", BY_HEART, "agent", "run"])
    figures = assistant.measure("mosquitto", 1)
    assert figures.questions == len(assistant.QUESTIONS)
    assert 0 < figures.first_token_ms <= figures.first_token_ms_p95
    assert figures.ready_s > 0
    assert figures.rss_mb >= figures.rss_before_mb > 50
    assert figures.unsure == pytest.approx(1 - 2 / len(assistant.QUESTIONS), abs=0.2)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_without_weights_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant, "AGENT", [sys.executable, "-c", WITHOUT, "agent", "run"])
    with pytest.raises(RuntimeError, match=r"KF486.*no weights"):
        assistant.measure("mosquitto", 1)
