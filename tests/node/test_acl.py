"""Access rules: nobody may touch another's topics, and everybody may do what its role needs."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from node.broker.acl import Member, Rule, acl_text, rules
from protocol.errors import InvalidId
from protocol.ids import DeviceId
from protocol.topics import DEVICE_ROLES, PRESENCE, TOPICS

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True).map(DeviceId)
PREFIXES = st.sampled_from(["kinflow", "k", "a/b", "site_1"])
MEMBERS = st.builds(Member, NAMES, st.sampled_from([*DEVICE_ROLES, "edge"]))
ITEM = "cam-1"


def may(given_rules: Iterable[Rule], access: str, name: str) -> bool:
    return any(access in rule.access and topic_matches_sub(rule.filter, name) for rule in given_rules)


@given(MEMBERS, NAMES, st.sampled_from(TOPICS), PREFIXES)
def test_a_device_touches_no_topic_of_another(member, other, topic, prefix):
    if other == member.device or member.role == "edge":
        return
    name = topic.of(other, ITEM, prefix)
    assert not may(rules(member, prefix), "read", name)
    assert not may(rules(member, prefix), "write", name)


@given(MEMBERS, st.sampled_from(TOPICS), PREFIXES)
def test_a_device_does_what_its_role_needs_and_no_more(member, topic, prefix):
    if member.role == "edge":
        return
    name, own = topic.of(member.device, ITEM, prefix), rules(member, prefix)
    needed = member.role in topic.roles
    assert may(own, "write", name) is (needed and topic.writer in ("device", "both"))
    assert may(own, "read", name) is (needed and (topic.writer in ("edge", "both") or topic is PRESENCE))


@given(NAMES, NAMES, st.sampled_from(TOPICS), PREFIXES)
def test_the_other_edge_of_a_pair_hears_all_and_speaks_as_an_edge(edge, device, topic, prefix):
    own, name = rules(Member(edge, "edge"), prefix), topic.of(device, ITEM, prefix)
    assert may(own, "read", name)
    assert may(own, "write", name) is (topic.writer != "device" or topic is PRESENCE)


@given(MEMBERS, st.text(max_size=60), PREFIXES)
def test_whatever_is_none_of_our_topics_is_denied(member, name, prefix):
    named = any(topic_matches_sub(topic.every(prefix), name) for topic in TOPICS)
    if name and not named:
        assert not may(rules(member, prefix), "read", name)
        assert not may(rules(member, prefix), "write", name)


@given(st.lists(MEMBERS, unique_by=lambda one: one.device, max_size=6), PREFIXES)
def test_the_file_says_what_the_rules_say(members, prefix):
    users: dict[str, list[str]] = {}
    for line in acl_text(members, prefix).splitlines():
        word, _, rest = line.partition(" ")
        if word == "user":
            users[rest] = []
        elif word != "#":
            assert word == "topic"
            users[list(users)[-1]].append(rest)
    assert users == {m.device: [f"{r.access} {r.filter}" for r in rules(m, prefix)] for m in members}


@pytest.mark.parametrize("name", ["a/b", "+", "#", "a\ntopic readwrite #", "A", ""])
def test_a_name_that_is_no_id_is_never_written(name):
    with pytest.raises(InvalidId):
        acl_text([Member(DeviceId(name), "agent")])
