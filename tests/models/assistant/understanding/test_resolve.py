"""From what the heads read to a tool and its arguments, without weights: readings are made here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.assistant.tools import Tool
from models.assistant.understanding.choice import Entities
from models.assistant.understanding.durations import durations
from models.assistant.understanding.heads import TOOLS, Reading
from models.assistant.understanding.marked import Token, parts_of, plain
from models.assistant.understanding.mentions import Finder, clear
from models.assistant.understanding.resolve import Found, Resolved, resolve
from models.assistant.understanding.spans import spoken

SITE = Entities(
    intersections=("Main & Third", "Main & Oak"),
    devices=("cam-1", "cam-2", "cam-main-third"),
    approaches=("north", "south"),
    settings=("night mode", "frame rate"),
)
COMMON = {"main", "oak", "night", "mode", "rate", "frame", "north", "south"}


def found(question: str) -> Found:
    text = plain(question)
    mentions = Finder(SITE, COMMON.__contains__).find(question)
    # A token a word.
    tokens, place = [], 0
    for word in text.split(" "):
        tokens.append(Token(0, place, place + len(word)))
        place += len(word) + 1
    return Found(
        question,
        text,
        tuple(clear(mentions)),
        tuple(mentions),
        tuple(durations(text)),
        tuple(tokens),
        (),
        tuple(spoken(text, parts_of(len(text), []))),
    )


def read(
    question: str, tool: Tool, *, span: str = "", switch: int = 2, status: int = 0, sure: float = 0.97
) -> Resolved:
    held = found(question)
    tools = np.full(len(TOOLS), (1 - sure) / (len(TOOLS) - 1), np.float32)
    tools[TOOLS.index(tool)] = sure
    begins, ends = (np.full(len(held.tokens) + 2, -9.0, np.float32) for _ in range(2))
    if span:
        start = plain(question).rindex(plain(span))
        inside = [n for n, one in enumerate(held.tokens, 1) if start <= one.start < start + len(span)]
        begins[inside[0]], ends[inside[-1]] = -0.1, -0.1
    one_of = lambda size, place: np.eye(size, dtype=np.float32)[place]  # noqa: E731
    return resolve(held, Reading(tools, one_of(4, status), one_of(3, switch), begins, ends))


@pytest.mark.parametrize(
    ("question", "more", "tool", "arguments"),
    [
        ("main and third north past half hour", {}, Tool.GET_CONGESTION,
         {"intersection": "Main & Third", "approach": "north", "minutes": 30}),
        ("which light at main and oak", {}, Tool.GET_SIGNAL, {"intersection": "Main & Oak"}),
        ("is cam 2 up", {}, Tool.GET_DEVICE, {"device": "cam-2"}),
        ("what is offline", {"status": 2}, Tool.LIST_DEVICES, {"status": "offline"}),
        ("all devices", {}, Tool.LIST_DEVICES, {}),
        ("set frame rate of cam 1 to twelve", {}, Tool.SET_SETTING,
         {"device": "cam-1", "name": "frame rate", "value": 12}),
        ("night mode off for cam 1", {"switch": 0}, Tool.SET_SETTING,
         {"device": "cam-1", "name": "night mode", "value": False}),
        ("enable night mode on cam 2", {"switch": 1}, Tool.SET_SETTING,
         {"device": "cam-2", "name": "night mode", "value": True}),
        ("night mode of cam 1 to automatic please", {"span": "automatic"}, Tool.SET_SETTING,
         {"device": "cam-1", "name": "night mode", "value": "automatic"}),
        ("cam 1 night mode at 22:30", {}, Tool.SET_SETTING,
         {"device": "cam-1", "name": "night mode", "value": "22:30"}),
        ("remember that The Key is here, ok", {"span": "The Key is here,"}, Tool.REMEMBER, {"text": "The Key is here"}),
        ("what about the key?", {"span": "the key?"}, Tool.RECALL, {"topic": "the key"}),
        ("hello", {}, Tool.NONE, {}),
    ],
)  # fmt: skip
def test_arguments(question: str, more: dict[str, Any], tool: Tool, arguments: dict[str, Any]) -> None:
    made = read(question, tool, **more)
    assert (made.tool, made.arguments) == (tool, arguments)


def test_a_tool_whose_name_is_not_there_is_hardly_meant() -> None:
    made = read("how are things", Tool.GET_CONGESTION, sure=0.6)
    assert made.tool != Tool.GET_CONGESTION or made.chance < 0.6


def test_what_lacks_an_argument_says_so_in_its_features() -> None:
    whole, lacking = read("is cam 2 up", Tool.GET_DEVICE), read("is cam 9 up", Tool.GET_DEVICE)
    assert min(whole.parts) > 0.9
    assert min(lacking.parts, default=0.0) < 0.5
    assert len(whole.features) == len(lacking.features)
