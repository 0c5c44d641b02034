"""The modes of a site: what holds at the start, what outlives a restart, and what two edge servers agree upon."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edge_server.errors import ModeNotThatWay, ModesUnwritable, NotKnown
from edge_server.signals.modes.book import FILE_NAME, ModeBook
from edge_server.signals.modes.mode import MODES, Setting, is_higher, merged
from protocol.ids import DeviceId, IntersectionId
from protocol.site import Site
from tests.edge_server.signals.signal_sites import crossing, site

NORTH = IntersectionId("north")


def book(home: Path, of: Site | None = None, edge: str = "edge-a") -> ModeBook:
    return ModeBook(of or site(), home, edge, lambda: 1_000)


@pytest.mark.parametrize(
    ("whole", "own", "mode"),
    [(False, None, "shadow"), (True, None, "act"), (True, False, "shadow"), (False, True, "act")],
)
def test_a_controller_that_is_not_named_simulated_starts_in_shadow(tmp_path, whole, own, mode):
    of = replace(site(replace(crossing(), simulated=own)), simulated=whole)
    assert book(tmp_path, of).of(NORTH).mode == mode


def test_a_mode_outlives_a_restart_and_says_who_and_why(tmp_path):
    book(tmp_path).lift(NORTH, "act", "anna", "watched for a month")
    kept = book(tmp_path).of(NORTH)
    assert (kept.mode, kept.by, kept.reason, kept.at_ms) == ("act", "anna", "watched for a month", 1_000)


@pytest.mark.parametrize(
    ("change", "wanted"), [("lift", "shadow"), ("lift", "off"), ("lower", "shadow"), ("lower", "act")]
)
def test_raising_only_raises_and_lowering_only_lowers(tmp_path, change, wanted):
    modes = book(tmp_path)
    with pytest.raises(ModeNotThatWay):
        getattr(modes, change)(NORTH, wanted, "anna", "why")
    assert modes.of(NORTH).mode == "shadow"
    with pytest.raises(NotKnown):
        getattr(modes, change)(IntersectionId("nowhere"), wanted, "anna", "why")


@pytest.mark.parametrize("other", [{"controller": DeviceId("controller-new")}, {"simulated": False}])
def test_another_controller_starts_anew(tmp_path, other):
    before = site(replace(crossing(), simulated=True))
    book(tmp_path, before).lower(NORTH, "advise", "anna", "")
    assert book(tmp_path, before).of(NORTH).mode == "advise"
    after = site(replace(crossing(), **{"simulated": True, **other}))
    assert book(tmp_path, after).of(NORTH).mode == ("act" if "controller" in other else "shadow")


@pytest.mark.parametrize("text", ["", "{", '{"settings": {"north": {"mode": "on"}}}', "\xff"])
def test_a_file_that_cannot_be_read_gives_no_controller_away(tmp_path, text):
    of = replace(site(), simulated=True)
    book(tmp_path, of).lower(NORTH, "advise", "anna", "")
    (tmp_path / FILE_NAME).write_text(text, "latin-1")
    alarms = []
    damaged = book(tmp_path, of)
    damaged.attach(lambda slug, error, active: alarms.append((slug, error.code, active)))
    assert damaged.of(NORTH).mode == "shadow"
    assert book(tmp_path, of).of(NORTH).mode == "shadow", "and stays so"
    assert (tmp_path / f"{FILE_NAME}.broken").read_text("latin-1") == text
    damaged.lift(NORTH, "act", "anna", "looked at")
    assert alarms == [("signal-modes-unusable", "KF303", True), ("signal-modes-unusable", "KF303", False)]


def test_what_cannot_be_written_is_not_raised_but_lowered(tmp_path):
    of = replace(site(), simulated=True)
    home = tmp_path / "home"
    home.write_text("a file where the folder should be")
    alarms, told = [], []
    modes = book(home, of)
    modes.attach(lambda slug, error, active: alarms.append((slug, active)))
    modes.watch(lambda place, setting: told.append(setting.mode))
    modes.lower(NORTH, "off", "anna", "smoke")
    assert modes.of(NORTH).mode == "off"
    with pytest.raises(ModesUnwritable):
        modes.lift(NORTH, "act", "anna", "why")
    assert (modes.of(NORTH).mode, told) == ("off", ["off"])
    home.unlink()
    modes.look()
    assert book(home, of).of(NORTH).mode == "off", "written once that works"
    assert alarms == [("signal-modes-unwritable", True), ("signal-modes-unwritable", False)]


def test_a_running_server_sees_what_the_command_line_changes(tmp_path):
    server, console = book(tmp_path), book(tmp_path)
    told = []
    server.watch(lambda place, setting: told.append((place, setting.mode, setting.by)))
    console.lift(NORTH, "advise", "root@console", "trial")
    server.look()
    server.look()
    assert told == [(NORTH, "advise", "root@console")]


def test_changes_from_many_sides_are_all_counted(tmp_path):
    of = site(*(crossing(name) for name in ("north", "south", "east")))
    books = [book(tmp_path, of) for _ in range(3)]

    def work(one: ModeBook, place: str) -> None:
        for _ in range(5):
            one.lift(IntersectionId(place), "act", "anna", "up")
            one.lower(IntersectionId(place), "off", "anna", "down")
            one.lift(IntersectionId(place), "shadow", "anna", "up")

    threads = [threading.Thread(target=work, args=pair) for pair in zip(books, ("north", "south", "east"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = json.loads((tmp_path / FILE_NAME).read_text())["settings"]
    assert {place: one["seen"]["edge-a"] for place, one in written.items()} == dict.fromkeys(
        ("north", "south", "east"), 15
    )


SETTINGS = st.builds(
    Setting,
    mode=st.sampled_from(MODES),
    controller=st.just("c"),
    simulated=st.just(False),
    by=st.sampled_from(["anna", "bert"]),
    at_ms=st.integers(0, 3),
    seen=st.dictionaries(st.sampled_from(["edge-a", "edge-b"]), st.integers(1, 3)),
)


@given(SETTINGS, SETTINGS)
def test_two_edge_servers_come_to_the_same_whoever_asks_first(one, other):
    found = merged(one, other)
    assert found == merged(other, one)
    assert merged(found, one) == merged(one, found)
    assert merged(found, other).mode == found.mode
    assert not is_higher(found.mode, max(one.mode, other.mode, key=MODES.index))


@given(st.sampled_from(MODES[1:]), st.sampled_from(MODES), st.sampled_from(MODES), st.integers(0, 5), st.integers(0, 5))
def test_after_a_split_the_lower_mode_holds(before, here, there, at_ms, later_ms):
    known = Setting(mode=before, controller="c", simulated=False, seen={"edge-a": 1})
    mine = replace(known, mode=here, at_ms=at_ms, seen={"edge-a": 2})
    theirs = replace(known, mode=there, at_ms=later_ms, seen={"edge-a": 1, "edge-b": 4})
    assert MODES.index(merged(mine, theirs).mode) == min(MODES.index(here), MODES.index(there))
    assert merged(known, theirs) == theirs, "who had no part in it takes it over"


def test_a_pair_shares_its_modes(tmp_path):
    a, b = book(tmp_path / "a"), book(tmp_path / "b", edge="edge-b")
    told = []
    b.watch(lambda place, setting: told.append(setting.mode))
    a.lift(NORTH, "act", "anna", "together")
    assert b.merge(a.shared())
    assert not b.merge(a.shared())
    assert not a.merge(b.shared())
    b.lower(NORTH, "off", "bert", "works")
    a.merge(b.shared())
    assert (a.of(NORTH).mode, told) == ("off", ["act", "off"])
    assert book(tmp_path / "a").of(NORTH) == b.of(NORTH)
