"""The site file: what is read, what is refused, and which faults are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.errors import SiteUnreadable
from protocol.ids import DeviceId, IntersectionId, PhaseId, StageId
from protocol.site import Approach, Lane, Plan, PlanStep, Site, Stage, load_site, parse_site
from protocol.site_check import check, faults, recommended_all_red_s, required_yellow_s

TEXT = """
id = "test"
[[intersections]]
id = "north"
position = [11.42, 48.76]
controller = "controller-north"
conflicts = [[2, 4], [4, 12]]
compatible = [[2, 12]]
phases = [
  {id = 2, min_green_s = 6, yellow_s = 3.3, all_red_s = 2},
  {id = 4, min_green_s = 6, yellow_s = 3.3, all_red_s = 2},
  {id = 12, kind = "pedestrian", walk_s = 5, pedestrian_clearance_s = 8},
]
stages = [{id = "main", phases = [2, 12]}, {id = "side", phases = [4]}]
plan = {steps = [{stage = "main", green_s = 30}, {stage = "side", green_s = 20}]}
[[intersections.approaches]]
id = "north-from-west"
line = [[11.41, 48.76], [11.42, 48.76]]
speed_limit_mps = 13.9
camera = "cam-1"
road_width_m = 7
visible_length_m = 60
lanes = [{id = "l0", to = ["exit"], phases = [2]}, {id = "l1", phases = [2]}]
[[intersections.approaches]]
id = "north-from-south"
line = [[11.42, 48.75], [11.42, 48.76]]
speed_limit_mps = 13.9
camera = "cam-2"
road_width_m = 7
visible_length_m = 60
lanes = [{id = "l0", phases = [4]}]
"""
SITE = parse_site(TEXT)
NORTH = SITE.intersections[0]


def with_north(**changes: object) -> Site:
    return replace(SITE, intersections=(replace(NORTH, **changes),))


def with_phase(number: int, **changes: object) -> Site:
    return with_north(phases=tuple(replace(one, **changes) if one.id == number else one for one in NORTH.phases))


def with_first_approach(**changes: object) -> Site:
    return with_north(approaches=(replace(NORTH.approaches[0], **changes), *NORTH.approaches[1:]))


def test_a_sound_site_has_no_findings() -> None:
    assert check(SITE) == ()


def test_parts_are_found_by_their_ids() -> None:
    assert SITE.intersection(IntersectionId("north")) is NORTH
    assert SITE.of_controller(DeviceId("controller-north")) is NORTH
    assert SITE.of_controller(DeviceId("nobody")) is None
    assert NORTH.stage(StageId("side")).phases == (4,)
    assert NORTH.phase(PhaseId(12)).kind == "pedestrian"
    assert NORTH.conflict_set() == {(2, 4), (4, 2), (4, 12), (12, 4)}
    assert [one.id for one in SITE.approaches()] == ["north-from-west", "north-from-south"]


def phases(*numbers: int) -> tuple[PhaseId, ...]:
    return tuple(PhaseId(number) for number in numbers)


FAULTS: list[tuple[str, Callable[[], Site], str]] = [
    ("intersection twice", lambda: replace(SITE, intersections=(NORTH, NORTH)), "ids must be unique"),
    ("phase twice", lambda: with_north(phases=(*NORTH.phases, NORTH.phases[0])), "ids must be unique"),
    ("max below min", lambda: with_phase(2, max_green_s=5.0), "below min_green_s"),
    ("yellow below the floor", lambda: with_phase(2, yellow_s=2.9), "below the floor"),
    ("yellow too short for the speed", lambda: with_phase(2, yellow_s=3.1), "needed on north-from-west"),
    ("yellow too short downhill", lambda: with_first_approach(grade_percent=-10.0), "needed on north-from-west"),
    ("walk too short", lambda: with_phase(12, walk_s=3.0), "walk_s"),
    ("no clearance", lambda: with_phase(12, pedestrian_clearance_s=0.0), "pedestrian_clearance_s"),
    ("a pair forgotten", lambda: with_north(compatible=()), "phases 2 and 12 stand in neither"),
    ("a pair in both", lambda: with_north(compatible=(phases(2, 12), phases(4, 2))), "in both"),
    ("a pair of one", lambda: with_north(conflicts=(*NORTH.conflicts, phases(2, 2))), "no pair of two"),
    ("a pair of nobody", lambda: with_north(conflicts=(*NORTH.conflicts, phases(2, 99))), "no pair of two"),
    (
        "a stage of conflicting phases",
        lambda: with_north(stages=(Stage(id=StageId("main"), phases=phases(2, 4, 12)), NORTH.stages[1])),
        "can't be green together",
    ),
    (
        "a stage of an unknown phase",
        lambda: with_north(stages=(Stage(id=StageId("main"), phases=phases(2, 12, 99)), NORTH.stages[1])),
        "phase 99 does not exist",
    ),
    (
        "a plan of an unknown stage",
        lambda: with_north(plan=Plan(steps=(*NORTH.plan.steps, PlanStep(stage=StageId("x"), green_s=9.0)))),
        "stage 'x' does not exist",
    ),
    ("a phase without green", lambda: with_north(plan=Plan(steps=NORTH.plan.steps[:1])), "phase 4 never gets green"),
    (
        "a green shorter than the walk needs",
        lambda: with_north(plan=Plan(steps=(replace(NORTH.plan.steps[0], green_s=12.9), NORTH.plan.steps[1]))),
        "13 s that phase 12 needs",
    ),
    ("a lane without green", lambda: with_first_approach(lanes=(Lane(id="l0"),)), "no phase gives this lane green"),
    (
        "a lane on a pedestrian phase",
        lambda: with_first_approach(lanes=(Lane(id="l0", phases=phases(2, 12)),)),
        "phase 12 is no vehicle phase",
    ),
    ("a place outside the world", lambda: with_north(position=(200.0, 10.0)), "no longitude and latitude"),
    ("a place that is no number", lambda: with_north(position=(float("nan"), 10.0)), "no longitude and latitude"),
    (
        "a line outside the world",
        lambda: with_first_approach(line=((11.0, 48.0), (11.0, -91.0))),
        "no longitude and latitude",
    ),
]


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_each_fault_is_named(make: Callable[[], Site], words: str) -> None:
    found = faults(make())
    assert any(words in one.text for one in found), [one.text for one in found]
    assert all(one.where for one in found)


def test_all_faults_are_named_at_once() -> None:
    site = with_north(compatible=(), plan=Plan(steps=NORTH.plan.steps[:1]), position=(999.0, 0.0))
    assert len(faults(site)) == 3


def test_a_hint_forbids_nothing() -> None:
    site = with_first_approach(camera=None)
    assert faults(site) == ()
    assert [one.severity for one in check(site)] == ["hint"]


def test_clearance_follows_the_kinematic_formula() -> None:
    # ITE 2020: 50 km/h on the level, 1 s and 3.05 m/s2: 1 + 13.9 / 6.1 = 3.28 s; (20 + 6) / 13.9 - 1 = 0.87 s.
    approach = NORTH.approaches[0]
    assert required_yellow_s(approach) == pytest.approx(3.2787, abs=1e-3)
    assert recommended_all_red_s(approach) == pytest.approx(0.8705, abs=1e-3)
    assert required_yellow_s(replace(approach, speed_limit_mps=5.0)) == 3.0


@given(st.floats(1.0, 60.0), st.floats(1.0, 60.0), st.floats(-20.0, 20.0))
def test_yellow_grows_with_speed_and_downhill(slow: float, fast: float, grade: float) -> None:
    slow, fast = sorted((slow, fast))
    approach = NORTH.approaches[0]
    level = replace(approach, speed_limit_mps=slow, grade_percent=grade)
    assert required_yellow_s(level) <= required_yellow_s(replace(level, speed_limit_mps=fast))
    steeper = replace(level, grade_percent=max(-20.0, grade - 5.0))
    assert required_yellow_s(level) <= required_yellow_s(steeper)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id = "north"', 'id = "North"'),
        ('id = "north"', 'id = "../up"'),
        ("speed_limit_mps = 13.9", "speed_limit_mps = -1"),
        ("speed_limit_mps = 13.9", "speed_limit_mps = nan"),
        ("road_width_m = 7", "road_width_m = 0"),
        ("visible_length_m = 60", ""),
        ("min_green_s = 6", "min_green_s = inf"),
        ("min_green_s = 6", "min_green_s = nan"),
        ("min_green_s", "min_gren_s"),
        ("green_s = 30", "green_s = 0"),
        ('kind = "pedestrian"', 'kind = "bicycle"'),
        ("line = [[11.41, 48.76], [11.42, 48.76]]", "line = [[11.41, 48.76]]"),
        ("position = [11.42, 48.76]", "position = [11.42]"),
        ("conflicts = [[2, 4], [4, 12]]", "conflicts = [[2, 4, 12]]"),
        ('id = "test"', "version = 2"),
        ('id = "test"', 'id = "test'),
    ],
)
def test_what_can_not_be_read_is_a_clear_error(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(SiteUnreadable, match="KF15"):
        parse_site(TEXT.replace(old, new))


@given(st.text(max_size=200) | st.just("a = " + "[" * 50_000))
def test_any_text_is_a_site_or_a_clear_error(text: str) -> None:
    with pytest.raises(SiteUnreadable):
        parse_site(text)


@given(st.integers(0, len(TEXT)), st.integers(1, 40), st.text(max_size=5))
def test_a_damaged_site_is_a_site_or_a_clear_error(at: int, length: int, put: str) -> None:
    try:
        site = parse_site(TEXT[:at] + put + TEXT[at + length :])
    except SiteUnreadable:
        return
    check(site)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""])
def test_a_file_that_can_not_be_read_names_its_path(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "site.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SiteUnreadable, match=r"site\.toml"):
        load_site(path)


def test_a_road_that_is_only_watched_needs_no_signal() -> None:
    watched: Approach = replace(NORTH.approaches[0], lanes=(Lane(id="l0"),))
    site = Site(id="watch", watched=(watched,))
    assert faults(site) == ()
    assert site.approaches() == (watched,)
