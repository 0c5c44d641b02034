"""The high-resolution log: Indiana's codes, from what the lamps do and what the pre-emption does."""

from __future__ import annotations

import csv
from datetime import UTC, datetime

from edge_server.events import HeartbeatReceived
from edge_server.signals.hires_files import KEPT_FILES, HiresFiles
from edge_server.signals.preemption.events import Ended, Granted, Refused
from protocol.ids import IntersectionId
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import crossing, site

NOON_MS = round(datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp() * 1000)
NORTH = IntersectionId("north")


def rows(folder):
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            found += list(csv.DictReader(file))
    return found


def drive(files: HiresFiles, plant: Plant, ms: int) -> None:
    for _ in range(ms // 500):
        plant.advance(500)
        files.handle(
            HeartbeatReceived(heartbeat=plant.heartbeat(), received_ms=NOON_MS + plant.now_ms, received_mono_ms=0)
        )


def test_a_change_is_told_in_the_order_in_which_the_lamps_made_it(tmp_path):
    files, plant = HiresFiles(tmp_path, site()), Plant(crossing())
    plant.obey(frozenset({2, 6, 12}))
    drive(files, plant, 10_000)
    plant.call(14)
    plant.call(4)
    drive(files, plant, 500)
    plant.obey(frozenset({4, 14}))
    drive(files, plant, 20_000)
    told = [(int(row["EventCode"]), int(row["EventParam"])) for row in rows(tmp_path)]
    assert [code for code, param in told if param == 2] == [0, 1, 7, 8, 9, 10]
    assert [code for code, param in told if param == 12] == [21, 22, 23]
    assert [code for code, param in told if param == 4] == [43, 0, 1, 44]
    assert [code for code, param in told if param == 14] == [45, 21]
    yellow = [row["Timestamp"] for row in rows(tmp_path) if row["EventParam"] == "2" and row["EventCode"] in "89"]
    assert yellow == ["2026-11-29 12:00:11.000", "2026-11-29 12:00:14.000"]
    assert {row["SignalID"] for row in rows(tmp_path)} == {"1"}


def test_a_lease_is_a_preempt_and_a_bus_a_priority_request(tmp_path):
    files = HiresFiles(tmp_path, site())
    files.told(NORTH, [Granted("ambulance-1", 1, "north-n", 0, "preempt")], NOON_MS)
    files.told(NORTH, [Refused("bus-1", 1, "forged")], NOON_MS)
    files.told(NORTH, [Ended("ambulance-1", 1, "north-n", "cap", "preempt", True)], NOON_MS + 60_000)
    files.told(NORTH, [Ended("police-1", 1, "north-e", "lapsed", "preempt", False)], NOON_MS + 60_000)
    files.told(NORTH, [Granted("bus-1", 1, "north-e", 0, "priority")], NOON_MS + 70_000)
    files.told(NORTH, [Ended("bus-1", 1, "north-e", "passed", "priority", True)], NOON_MS + 80_000)
    told = [(int(row["EventCode"]), int(row["EventParam"])) for row in rows(tmp_path)]
    assert told == [(102, 2), (105, 2), (110, 2), (104, 2), (111, 2), (112, 1), (115, 1)]


def test_a_restarted_controller_tells_no_change_that_nobody_saw(tmp_path):
    files, plant = HiresFiles(tmp_path, site()), Plant(crossing())
    beat = plant.heartbeat()
    plant.obey(frozenset({2}))
    plant.advance(5_000)
    fields = {name: getattr(beat, name) for name in beat.__struct_fields__}
    later = {**fields, "boot": "1" * 16, "phases": plant.heartbeat().phases}
    for one in (fields, later):
        files.handle(HeartbeatReceived(heartbeat=type(beat)(**one), received_ms=NOON_MS, received_mono_ms=0))
    assert rows(tmp_path) == []


def test_each_day_has_a_file_and_a_month_of_them_is_kept(tmp_path):
    files = HiresFiles(tmp_path, site())
    for day in range(KEPT_FILES + 5):
        files.told(NORTH, [Granted("a", 1, "north-n", 0, "preempt")], NOON_MS + day * 86_400_000)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) in (KEPT_FILES, KEPT_FILES + 1)
    assert names[-1] == "2027-01-02.csv"


def test_a_folder_that_cant_be_written_stops_nothing(tmp_path):
    (tmp_path / "hires").write_text("a file where the folder should be")
    files = HiresFiles(tmp_path / "hires", site())
    files.told(NORTH, [Granted("a", 1, "north-n", 0, "preempt")], NOON_MS)


def test_a_day_is_never_larger_than_it_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_server.signals.hires_files.DAY_BYTES", 300)
    files = HiresFiles(tmp_path, site())
    for second in range(100):
        files.told(NORTH, [Granted("a", 1, "north-n", 0, "preempt")], NOON_MS + second * 1000)
    assert 300 <= (tmp_path / "2026-11-29.csv").stat().st_size < 400
