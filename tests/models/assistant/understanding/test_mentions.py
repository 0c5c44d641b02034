"""The site's own names in a question, however they are spelled."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.assistant.understanding.choice import Entities
from models.assistant.understanding.mentions import Finder, clear
from models.assistant.understanding.spelling import likeness

SITE = Entities(
    intersections=("Main & Third", "Main & Oak", "Harbour & Quay", "J12", "North Gate Road", "Łódź & Øst"),
    devices=("cam-03", "cam-04", "harbour-cam", "pi_oak_west", "GatewayEast"),
    approaches=("north", "southbound", "leg 2", "from Quay"),
    settings=("night_mode", "frame rate", "SirenThreshold", "volume"),
)
COMMON = {"rain", "park", "part", "main", "night", "volume", "mode", "rate", "frame", "north", "oak", "from", "road"}


def found(question: str) -> dict[str, str]:
    return {one.kind: one.name for one in clear(Finder(SITE, COMMON.__contains__).find(question))}


@pytest.mark.parametrize(
    ("question", "kind", "name"),
    [
        ("how busy is Main and Third?", "intersection", "Main & Third"),
        ("main/3rd jammed", "intersection", "Main & Third"),
        ("what about third and main", "intersection", "Main & Third"),
        ("the queue at the harbour junction", "intersection", "Harbour & Quay"),
        ("is J 12 green", "intersection", "J12"),
        ("traffic on north gate rd", "intersection", "North Gate Road"),
        ("what does cam 3 see", "device", "cam-03"),
        ("what does camera three see", "device", "cam-03"),
        ("is CAM04 up", "device", "cam-04"),
        ("the cam at harbour", "device", "harbour-cam"),
        ("harbor camera ok?", "device", "harbour-cam"),
        ("pi oak west", "device", "pi_oak_west"),
        ("check gateway east", "device", "GatewayEast"),
        ("how is lodz and ost", "intersection", "Łódź & Øst"),
        ("how is ŁÓDŹ and Øst", "intersection", "Łódź & Øst"),
        ("chek the gatewya east", "device", "GatewayEast"),
        ("northern side of main and oak", "approach", "north"),
        ("leg two at J12", "approach", "leg 2"),
        ("set nightmode on cam 3 to off", "setting", "night_mode"),
        ("put the fps of cam 3 to 10", "setting", "frame rate"),
        ("siren threshold of cam-04 0.4", "setting", "SirenThreshold"),
    ],
)
def test_a_mention(question: str, kind: str, name: str) -> None:
    assert found(question).get(kind) == name


@pytest.mark.parametrize(
    "question",
    ["will it rain today", "what's the capital of Norway", "the last 3 minutes", "which one is it", "cam 7 ok?", ""],
)
def test_no_mention(question: str) -> None:
    assert found(question) == {}


def test_a_part_of_several_names_is_none_of_them_for_sure() -> None:
    at = [one for one in Finder(SITE, COMMON.__contains__).find("cars on Main") if one.kind == "intersection"]
    assert {one.name for one in at} == {"Main & Third", "Main & Oak"}
    assert at[0].score == at[1].score


def test_settings_and_approaches_count_beside_what_they_belong_to() -> None:
    assert found("what is the traffic volume at J12") == {"intersection": "J12"}
    assert found("is it cold up north") == {}


def test_other_sites_have_other_names() -> None:
    other = Finder(Entities(devices=("Kaffeemühle-9",)), COMMON.__contains__)
    [one] = clear(other.find("is kaffeemuhle 9 alive"))
    assert one.name == "Kaffeemühle-9"


@given(st.text(max_size=60))
def test_mentions_lie_within_the_question_and_marks_do_not_overlap(question: str) -> None:
    mentions = Finder(SITE, COMMON.__contains__).find(question)
    assert all(0 <= one.start < one.end <= len(question) for one in mentions)
    marked = clear(mentions)
    assert all(one.end <= other.start for one, other in pairwise(marked))


@given(st.text("abcdefgh", min_size=1, max_size=9), st.text("abcdefgh", min_size=1, max_size=9))
def test_likeness_is_mutual(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert 0 <= likeness(one, other) <= 1
    assert likeness(one, one) == 1


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("is mill street 7 jammed", None),
        ("how busy is 7th mill street", None),
        ("mill street 3 please", "Mill Street 3"),
        ("is mill street jammed", "Mill Street 3"),
        ("was mill street 20 minutes ago as bad", "Mill Street 3"),
        ("harbour 2 or harbour 9?", "Harbour 2"),
    ],
)
def test_a_place_of_another_number_is_another_place(question: str, meant: str | None) -> None:
    site = Entities(intersections=("Mill Street 3", "Harbour 2", "Harbour 4"))
    names = {one.name for one in Finder(site, COMMON.__contains__).find(question) if one.is_clear}
    assert names == ({meant} if meant else set())
