"""docs/users/assistant.md: every command on it is run as it stands there, with an understanding that knows its
questions. The one that asks an edge server for a token is taken only."""

from __future__ import annotations

import io
import shlex
import sys

import pytest

from kinflow.main import run as kinflow
from models.assistant.tools import Tool
from tests.docs.user_page import commands, take
from tests.models.assistant.doubles import ByHeart, choice

COMMANDS = commands("assistant.md")
ELSEWHERE = ("kinflow edge",)
KNOWN = {
    "how busy is mill street": choice(Tool.GET_CONGESTION, intersection="Mill Street"),
    "how busy was the north approach of mill street in the last 30 minutes": choice(
        Tool.GET_CONGESTION, intersection="x", minutes=30
    ),
    "which devices are offline": choice(Tool.LIST_DEVICES, status="offline"),
    "set the log level of pi-1 to debug": choice(Tool.SET_SETTING, device="pi-1", name="log level", value="debug"),
    "yes": choice(Tool.NONE),
    "remember that the gate key is under the mat": choice(Tool.REMEMBER, text="the gate key is under the mat"),
    "what did i note about the gate key": choice(Tool.RECALL, topic="gate key"),
}


def test_the_page_has_commands_and_the_test_knows_its_questions() -> None:
    assert len(COMMANDS) >= 10
    asked = {shlex.split(line)[2].lower().rstrip("?") for line in COMMANDS if line.startswith("kinflow ask")}
    assert asked == set(KNOWN)


@pytest.mark.parametrize("line", [one for one in COMMANDS if not one.startswith(ELSEWHERE)])
def test_it_runs(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.assistant.desk.open_understanding", lambda home: ByHeart(KNOWN))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    assert kinflow(shlex.split(line)[1:]) == 0


@pytest.mark.parametrize("line", [one for one in COMMANDS if one.startswith(ELSEWHERE)])
def test_it_is_taken(line: str) -> None:
    take(line)
