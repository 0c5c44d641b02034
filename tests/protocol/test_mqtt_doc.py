"""docs/mqtt.md is the contract: its examples are read with the real decoder, its table is compared with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from protocol.codec import decode_addressed, encode
from protocol.ids import is_slug
from protocol.messages import Message
from protocol.topics import TOPICS, parse

PAGE = (Path(__file__).parent.parent.parent / "docs" / "mqtt.md").read_text("utf-8")
EXAMPLES: list[tuple[str, str]] = re.findall(r"^```json (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_can_be_read_and_is_written_in_full(name: str, text: str) -> None:
    _, message = decode_addressed(name, text.encode())
    written = json.loads(encode(message))
    for field, value in json.loads(text).items():
        assert written[field] == value, f"{field} is not a field, or would be written otherwise"


def test_every_topic_and_every_message_has_an_example() -> None:
    shown = {parse(name).topic.leaf for name, _ in EXAMPLES}
    assert shown == {topic.leaf for topic in TOPICS}
    kinds = {type(decode_addressed(name, text.encode())[1]) for name, text in EXAMPLES}
    assert kinds == {kind for topic in TOPICS for kind in topic.messages}
    assert kinds == set(Message.__subclasses__())


def test_the_table_says_what_the_code_does() -> None:
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in PAGE.splitlines()
        if line.startswith("| `") and line.count("|") == 7
    }
    expected = {}
    for topic in TOPICS:
        leaf = re.sub(r"\{item\}", "{camera}" if "observation" in topic.leaf else "{name}", topic.leaf)
        kinds = ", ".join(message.__name__ for message in topic.messages)
        retained = "yes" if topic.retained else "no"
        expected[f"`{leaf}`"] = [kinds, topic.writer, topic.delivery, str(topic.qos), retained]
    assert rows == expected


def test_example_devices_are_ids() -> None:
    assert all(is_slug(parse(name).device) for name, _ in EXAMPLES)
