"""Each tool against a small world: its figures stand in the sentence, and what fails has a sentence and a code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.assistant.diary import Diary
from models.assistant.notes import Notes
from models.assistant.skills import Forgetting, Setting, Skills
from models.assistant.tools import REQUIRED, Tool
from models.assistant.world import Approach, Device, Place, Point, World
from tests.models.assistant.doubles import NOW_MS, SmallFacts, small_world


@pytest.fixture
def facts() -> SmallFacts:
    return SmallFacts()


@pytest.fixture
def skills(facts: SmallFacts, tmp_path: Path) -> Skills:
    return Skills(facts, Notes(Diary(tmp_path)), lambda: NOW_MS)


def test_congestion_tells_class_index_queue_and_what_is_not_known_yet(skills: Skills) -> None:
    told = skills.do(Tool.GET_CONGESTION, {"intersection": "mill street"})
    assert told.text == (
        "Mill Street, north is dense: index 0.62, queue 31 m, 7 vehicles. "
        "Mill Street, east is still learning what its empty road looks like."
    )
    assert told.code == ""


def test_an_approach_is_found_by_a_part_of_its_name_within_its_intersection(skills: Skills) -> None:
    told = skills.do(Tool.GET_CONGESTION, {"intersection": "west", "approach": "north"})
    assert told.text.startswith("Mill Street, north is dense")
    assert told == skills.do(Tool.GET_CONGESTION, {"intersection": "west", "approach": "the north approach"})
    assert skills.do(Tool.GET_CONGESTION, {"intersection": "east", "approach": "north"}).code == "KF488"
    assert skills.do(Tool.GET_CONGESTION, {"intersection": "west", "approach": "the approach"}).code == "KF488"


def test_an_approach_is_offered_by_what_sets_it_apart() -> None:
    assert small_world().entities().approaches == ("north", "east")
    other = replace(small_world(), places=(Place(id="west", name="Other Street"),))
    assert other.entities().approaches == ("Mill Street, north", "Mill Street, east")
    nameless = replace(small_world(), approaches=(Approach(id="west-n", place="west"),))
    assert nameless.entities().approaches == ("west-n",)


def test_congestion_over_time_is_told_from_the_points(skills: Skills, facts: SmallFacts) -> None:
    facts.points = [
        Point(NOW_MS - minute * 60_000, index, kind)
        for minute, index, kind in ((90, 0.0, "free"), (29, 0.2, "free"), (15, 0.9, "jam"), (1, 0.7, "jam"))
    ]
    told = skills.do(Tool.GET_CONGESTION, {"intersection": "west", "approach": "west-n", "minutes": 30})
    assert told.text == (
        "In the last 30 minutes the index of Mill Street, north was 0.60 on average, between 0.20 and 0.90, mostly jam."
    )


def test_what_is_known_of_a_short_time_only_is_said_to_be(skills: Skills, facts: SmallFacts) -> None:
    facts.points = [Point(NOW_MS - minute * 60_000, 0.3, "slow") for minute in (5, 3, 1)]
    told = skills.do(Tool.GET_CONGESTION, {"intersection": "west", "approach": "west-n", "minutes": 60})
    assert "That is all that is known, of 4 minutes." in told.text
    facts.points = []
    told = skills.do(Tool.GET_CONGESTION, {"intersection": "west", "approach": "west-n", "minutes": 60})
    assert told.text == "Nothing is known of Mill Street, north in the last 60 minutes."


def test_signals_tell_who_steers_and_what_is_green(skills: Skills) -> None:
    told = skills.do(Tool.GET_SIGNAL, {"intersection": "Mill Street"})
    assert "steered by the edge server" in told.text
    assert "North-south shows green since 12 s" in told.text


def test_old_lamps_are_not_told_as_if_they_were_seen_now(skills: Skills, facts: SmallFacts) -> None:
    old = replace(facts.seen.signals[0], heard_ms=NOW_MS - 60_000)
    facts.seen = replace(facts.seen, signals=(old,))
    assert "what it shows now is not known" in skills.do(Tool.GET_SIGNAL, {"intersection": "west"}).text


def test_signals_that_nobody_here_hears_are_missing_facts(skills: Skills) -> None:
    assert skills.do(Tool.GET_SIGNAL, {"intersection": "Station Road"}).code == "KF489"


def test_emergencies_name_kind_road_and_who_has_the_signals(skills: Skills) -> None:
    told = skills.do(Tool.LIST_EMERGENCY, {}).text
    assert "An ambulance is on Mill Street, north, coming nearer, and asks for way." in told
    assert "Ambulance has the signals of Mill Street" in told


@pytest.mark.parametrize(("emergency", "says"), [(None, "is not known"), ("absent", "No emergency vehicle is seen")])
def test_no_emergency_is_claimed_only_where_a_camera_can_tell(emergency: str | None, says: str, tmp_path: Path) -> None:
    seen = small_world()
    road = replace(seen.approaches[0], emergency=emergency, vehicles=())
    facts = SmallFacts(replace(seen, approaches=(road,), claims=()))
    assert says in Skills(facts, Notes(Diary(tmp_path)), lambda: NOW_MS).do(Tool.LIST_EMERGENCY, {}).text


def test_of_very_many_devices_and_notes_some_are_named(skills: Skills, facts: SmallFacts, tmp_path: Path) -> None:
    many = tuple(Device(id=f"cam-{number}", state="offline") for number in range(10_000))
    facts.seen = replace(facts.seen, devices=many)
    told = skills.do(Tool.LIST_DEVICES, {"status": "offline"}).text
    assert told.startswith("10000 devices are offline: cam-0, cam-1")
    assert told.endswith("cam-19 and 9980 more.")
    for number in range(30):
        skills.do(Tool.REMEMBER, {"text": f"gate {number}"})
    assert skills.do(Tool.RECALL, {"topic": "gate"}).text.endswith("and 10 more")
    asked = skills.do(Tool.FORGET, {"topic": "gate"})
    assert "these 30 notes" in asked.text
    assert isinstance(asked.pending, Forgetting)
    assert len(asked.pending.notes) == 30


def test_devices_and_cameras(skills: Skills) -> None:
    assert skills.do(Tool.GET_DEVICE, {"device": "Mill Street Pi"}).text == (
        "Mill Street Pi is online. Processor 17 %, memory 106 MB, 51 °C. Camera cam-n is running."
    )
    assert "last heard 2 h ago" in skills.do(Tool.GET_DEVICE, {"device": "pi-2"}).text
    assert skills.do(Tool.LIST_DEVICES, {"status": "offline"}).text == (
        "1 device is offline: pi-2 (its connection ended)."
    )
    assert "1 offline and 1 online" in skills.do(Tool.LIST_DEVICES, {}).text
    camera = skills.do(Tool.GET_CAMERA, {"device": "pi-1"}).text
    assert "at 12.4 pictures a second" in camera
    assert "It sees 1 × bus and 6 × car." in camera
    assert skills.do(Tool.GET_CAMERA, {"device": "cam-n"}).text == camera
    assert skills.do(Tool.GET_CAMERA, {"device": "pi-2"}).text == "pi-2 has no camera."


def test_a_setting_is_asked_back_and_changed_on_a_yes_alone(skills: Skills, facts: SmallFacts) -> None:
    asked = skills.do(Tool.SET_SETTING, {"device": "pi-1", "name": "log level", "value": "debug"})
    assert asked.text == "Shall I set log level of Mill Street Pi to debug? It is info now. Say yes or no."
    assert isinstance(asked.pending, Setting)
    assert facts.settings["log.level"] == "info"
    assert skills.confirm(asked.pending).text == "It is set."
    assert facts.settings["log.level"] == "debug"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"device": "pi-1", "name": "log level", "value": "loud"}, "KF32"),
        ({"device": "pi-1", "name": "shutdown command", "value": "rm -rf /"}, "KF488"),
        ({"device": "pi-1", "name": "power.shutdown_command", "value": "rm -rf /"}, "KF488"),
        ({"device": "pi-1", "name": "broker.url", "value": "mqtt://evil"}, "KF488"),
        ({"device": "pi-1", "name": "retention days", "value": 0}, "KF32"),
        ({"device": "pi-2", "name": "log level", "value": "debug"}, "KF490"),
        ({"device": "pi-9", "name": "log level", "value": "debug"}, "KF488"),
        ({"device": "pi-1", "name": "log level"}, "KF495"),
    ],
)
def test_a_setting_that_can_t_be_is_refused_with_its_code(skills: Skills, arguments: dict, code: str) -> None:
    told = skills.do(Tool.SET_SETTING, arguments)
    assert told.code == code
    assert told.pending is None


def test_notes_are_kept_found_and_forgotten_on_a_yes(skills: Skills) -> None:
    skills.do(Tool.REMEMBER, {"text": "the gate key is under the mat"})
    skills.do(Tool.REMEMBER, {"text": "Station Road is closed on Sundays"})
    assert "under the mat" in skills.do(Tool.RECALL, {"topic": "the gate keys"}).text
    assert "Sundays" not in skills.do(Tool.RECALL, {"topic": "gate key"}).text
    assert skills.do(Tool.RECALL, {"topic": "bicycles"}).text == "There is no note about bicycles."
    asked = skills.do(Tool.FORGET, {"topic": "gate key"})
    assert isinstance(asked.pending, Forgetting)
    assert "under the mat" in skills.do(Tool.RECALL, {"topic": "gate key"}).text
    assert skills.confirm(asked.pending).text == "Forgotten: 1 note."
    assert "no note" in skills.do(Tool.RECALL, {"topic": "gate key"}).text
    assert "Sundays" in skills.do(Tool.RECALL, {"topic": "everything"}).text


def test_a_skill_that_breaks_says_so_plainly(
    skills: Skills, facts: SmallFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> World:
        raise ZeroDivisionError

    monkeypatch.setattr(facts, "world", broken)
    told = skills.do(Tool.GET_DEVICE, {"device": "pi-1"})
    assert told.code == "KF494"
    assert told.text.startswith("get_device failed")


VALUES = st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.booleans())


@given(st.sampled_from(list(Tool)), st.dictionaries(st.text(max_size=12), VALUES, max_size=4), st.data())
def test_whatever_a_model_chooses_gives_a_sentence(tool: Tool, arguments: dict, data: st.DataObject) -> None:
    """A law: no choice of tool and arguments raises, and none leaves the person without words."""
    for name in REQUIRED[tool]:
        if data.draw(st.booleans()):
            arguments[name] = data.draw(VALUES)
    told = Skills(SmallFacts(), Notes(_Nowhere()), lambda: NOW_MS).do(tool, arguments)
    assert told.text.strip()
    assert told.code == "" or re.fullmatch(r"KF\d+", told.code)


class _Nowhere(Diary):
    """Keeps nothing: a law is tried hundreds of times."""

    def __init__(self) -> None:
        pass

    def add(self, *_: object) -> None:  # type: ignore[override]
        return None

    def entries(self, *_: object) -> list:  # type: ignore[override]
        return []
