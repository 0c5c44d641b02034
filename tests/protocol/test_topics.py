"""Topics: names made and taken apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from protocol.errors import InvalidId, TopicForeign
from protocol.ids import DeviceId, is_slug
from protocol.topics import ACK, HEARTBEAT, OBSERVATION, SIGNAL_COMMAND, TOPICS, Topic, parse

slugs = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,20}\Z")


@given(st.sampled_from(TOPICS), slugs, slugs, st.sampled_from(["kinflow", "city/east", "k"]))
def test_a_name_is_taken_apart_as_it_was_made(topic: Topic[Any], device: str, item: str, prefix: str) -> None:
    item = item if "{item}" in topic.leaf else ""
    name = topic.of(DeviceId(device), item, prefix)
    address = parse(name, prefix)
    assert (address.topic, address.device, address.item) == (topic, device, item)
    matching = [one.leaf for one in TOPICS if topic_matches_sub(one.every(prefix), name)]
    assert matching == [topic.leaf]


@given(st.text(max_size=60))
def test_any_text_is_one_of_ours_or_foreign(name: str) -> None:
    with pytest.raises(TopicForeign):
        parse(name)


@given(
    st.lists(st.sampled_from(["kinflow", "1", "2", "a", "", "..", "+", "#", "alarm", "observation", "A"]), max_size=7)
)
def test_near_misses_are_foreign(levels: list[str]) -> None:
    name = "/".join(levels)
    try:
        address = parse(name)
    except TopicForeign:
        return
    assert is_slug(address.device)
    assert address.topic.of(address.device, address.item) == name


@pytest.mark.parametrize("device", ["../up", "a/b", "+", "#", "", "A"])
def test_no_name_is_made_that_leaves_its_device(device: str) -> None:
    with pytest.raises(InvalidId):
        ACK.of(DeviceId(device))
    with pytest.raises(InvalidId):
        OBSERVATION.of(DeviceId("a"), device)


def test_what_moves_traffic_is_sent_at_most_once_and_never_retained() -> None:
    for topic in (SIGNAL_COMMAND, HEARTBEAT):
        assert (topic.qos, topic.retained, topic.delivery) == (0, False, "live")


def test_leaves_differ() -> None:
    assert len({topic.leaf for topic in TOPICS}) == len(TOPICS)
