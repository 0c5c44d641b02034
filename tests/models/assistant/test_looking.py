"""What a model says of a picture: opened when it is asked, told as its words, given back when idle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.assistant.diary import Diary
from models.assistant.facts import Seen
from models.assistant.looking import Looker
from models.assistant.notes import Notes
from models.assistant.skills import Skills
from models.assistant.tools import Tool
from models.errors import EyesMissing
from tests.models.assistant.doubles import NOW_MS, SmallFacts

PICTURE = np.zeros((4, 4, 3), np.uint8)


class Sight:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def told(self, image: np.ndarray, question: str, max_tokens: int) -> Iterator[str]:
        yield from ("Two\n", f"buses; {question}")

    def close(self) -> None:
        self.closed.set()


def test_it_is_opened_once_and_given_back_when_idle() -> None:
    opened: list[Sight] = []
    looker = Looker("eyes", lambda: opened.append(Sight()) or opened[-1], lambda _: PICTURE, idle_s=0.05)  # type: ignore[func-returns-value]
    assert not looker.loaded
    assert looker.look("cam-n", "what?") == "Two buses; what?"
    assert opened[0].closed.wait(20)
    looker.look("cam-n", "what?")
    assert len(opened) == 2
    looker.close()
    assert opened[1].closed.is_set()


def test_no_picture_opens_nothing_and_a_failure_is_tried_again() -> None:
    tries: list[int] = []

    def fail() -> Sight:
        tries.append(1)
        raise EyesMissing(detail="it is not there")

    looker = Looker("eyes", fail, lambda camera: PICTURE if camera == "cam-n" else None)
    assert looker.look("cam-s", "what?") == ""
    assert tries == []
    for _ in range(2):
        with pytest.raises(EyesMissing):
            looker.look("cam-n", "what?")
    assert len(tries) == 2
    looker.close()


def test_its_words_stand_behind_what_was_measured_and_are_called_its_own(tmp_path: Path) -> None:
    facts = SmallFacts()
    facts.looks["cam-n"] = Seen(name="eyes", text="Two buses.")
    skills = Skills(facts, Notes(Diary(tmp_path)), lambda: NOW_MS)
    measured = skills.do(Tool.GET_CAMERA, {"device": "pi-1"}, "does the camera of pi-1 work").text
    told = skills.do(Tool.GET_CAMERA, {"device": "pi-1"}, "what does the camera of pi-1 see").text
    assert told == f'{measured} eyes says of the picture of camera cam-n, and may be wrong: "Two buses."'


def test_what_can_t_look_says_so_behind_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(camera: str, question: str) -> None:
        raise EyesMissing(detail="it is not there")

    facts = SmallFacts()
    monkeypatch.setattr(facts, "look", blind)
    result = Skills(facts, Notes(Diary(tmp_path)), lambda: NOW_MS).do(
        Tool.GET_CAMERA, {"device": "pi-1"}, "what is seen"
    )
    assert "at 12.4 pictures a second" in result.text
    assert result.code == "KF409"
