"""The shadow report: what is kept on the disk, added up, shown over HTTP and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from edge_server.cli import app as edge_command
from edge_server.signals.shadow.book import FOLDER, KEPT_FILES, QUARTER_MS, ShadowBook
from edge_server.signals.shadow.report import HOUR_MS, report
from edge_server.signals.shadow.tally import REASONS, Side, Tally
from node.clock import SystemClock
from protocol.ids import IntersectionId
from tests.edge_server.accounts.test_signing_in import House, house  # noqa: F401 (a fixture)
from tests.edge_server.signals.modes.test_modes_of_junctions import Moded

NORTH = IntersectionId("north")


def tally(minutes: int = 10, agreed: float = 0.5) -> Tally:
    ms = minutes * 60_000
    found = Tally(compared_ms=ms, agreed_ms=round(agreed * ms), overruled_ms=ms // 10, arrived=60.0, lane_ms=4 * ms)
    found.seen_lane_ms = 2 * ms
    found.real = Side(green_ms={2: ms // 2, 4: ms // 4}, greens={2: 10, 4: 10}, cycle_ms=900_000, cycles=18)
    found.ours = Side(green_ms={2: ms // 4, 4: ms // 2}, greens={2: 15, 4: 15}, cycle_ms=600_000, cycles=20)
    found.real.queue_vehicle_ms, found.ours.queue_vehicle_ms = 1_200_000.0, 900_000.0
    found.standing_vehicle_ms, found.standing_model_ms = 1_000_000.0, 1_100_000.0
    found.overrule("phase 4 red for 118 s: it has to be served now")
    found.overrule("phase 2 red for 119 s: it has to be served now")
    return found


class Desk:
    def __init__(self, folder: Path, now_ms: int = 100 * HOUR_MS) -> None:
        self.now_ms = now_ms
        self.open = {NORTH: ("kinflow", tally())}
        self.book = ShadowBook(folder, lambda: self.now_ms, self.take, lambda: self.open)

    def take(self):
        found, self.open = self.open, {}
        return found


def test_figures_are_shares_of_what_was_compared(tmp_path):
    desk = Desk(tmp_path)
    (one,) = report(desk.book.rows(0), 0, desk.now_ms).intersections
    assert (one.intersection, one.control, one.compared_s) == ("north", "kinflow", 600.0)
    assert (one.agreement, one.overruled_share, one.seen_share) == (0.5, 0.1, 0.5)
    assert (one.real.delay_s, one.ours.delay_s, one.delay_ratio) == (20.0, 15.0, 0.75)
    assert (one.real.cycle_s, one.ours.cycle_s, one.model_ratio) == (50.0, 30.0, 1.1)
    assert [(phase.phase, phase.green_share, phase.mean_green_s) for phase in one.real.phases] == [
        (2, 0.5, 30.0),
        (4, 0.25, 15.0),
    ]
    assert [(each.reason, each.count) for each in one.overruled] == [
        ("phase # red for # s: it has to be served now", 2)
    ]


def test_quarters_are_written_once_and_add_up_by_the_hour(tmp_path):
    desk = Desk(tmp_path)
    for at in range(8):
        desk.now_ms += QUARTER_MS
        desk.book.keep()
        desk.book.keep()
        desk.open = {NORTH: ("kinflow", tally(agreed=at / 8))}
    desk.open = {}
    (one,) = report(desk.book.rows(0), 0, desk.now_ms).intersections
    assert one.compared_s == 8 * 600
    assert [hour.compared_s for hour in one.hours] == [2400.0, 2400.0]
    assert one.hours[0].agreement == round((0.5 + 0 + 1 / 8 + 2 / 8) / 4, 3)
    assert not report(desk.book.rows(desk.now_ms), 0, 0).intersections
    again = Desk(tmp_path, desk.now_ms)
    again.open = {}
    assert len(again.book.rows(0)) == 8, "it outlives a restart"


def test_damaged_lines_are_passed_over_and_old_days_go(tmp_path):
    tmp_path.mkdir(exist_ok=True)
    for day in range(40):
        (tmp_path / f"1969-12-{day:02}.jsonl").write_text("")
    (tmp_path / "1970-01-05.jsonl").write_text('{"half a li\n')
    desk = Desk(tmp_path)
    desk.book.flush()
    assert len(list(tmp_path.glob("*.jsonl"))) == KEPT_FILES
    assert len(desk.book.rows(0)) == 1


def test_reasons_are_bounded():
    found = Tally()
    for at in range(100):
        found.overrule("x" * (at + 1))
    other = Tally()
    other.overrule("another")
    found.add(other)
    assert len(found.overruled) == REASONS


def test_the_service_counts_while_it_shadows_and_not_while_it_acts():
    desk = Moded("shadow")
    desk.run(60)
    (control, counted) = desk.service.peek_tallies()[NORTH]
    assert control == "max-pressure"
    assert 50_000 < counted.compared_ms <= 60_000
    assert 0 < counted.agreed_ms < counted.compared_ms
    desk.service.would_grant(NORTH)
    assert desk.service.take_tallies()[NORTH][1].would_grant == 1
    assert desk.service.peek_tallies()[NORTH][1].empty
    desk.set("act")
    desk.run(10)
    desk.service.would_grant(NORTH)
    assert desk.service.peek_tallies()[NORTH][1].empty


def test_the_command_line_and_the_door_tell_it(tmp_path, house: House):  # noqa: F811
    now_ms = SystemClock().wall_ms()
    desk = Desk(tmp_path / FOLDER, now_ms - 60_000)
    desk.now_ms = now_ms
    desk.book.flush()

    def run(*words: str) -> str:
        done = CliRunner().invoke(edge_command, ["signals", "report", *words, "--home", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.output

    assert json.loads(run("--json"))["intersections"][0]["agreement"] == 0.5
    assert "in 50 % of the time" in run()
    house.edge.shadow._take, house.edge.shadow._peek = dict, lambda: {IntersectionId("west"): ("kinflow", tally())}
    answer = house.sign_in("the-viewer").get("/api/v1/signals/shadow?hours=2").json()
    assert [one["intersection"] for one in answer["intersections"]] == ["north", "west"]
    assert "point queue" in answer["model"]


def test_nothing_shadowed_says_so(tmp_path):
    done = CliRunner().invoke(edge_command, ["signals", "report", "--home", str(tmp_path)])
    assert done.output.startswith("Nothing was shadowed")
