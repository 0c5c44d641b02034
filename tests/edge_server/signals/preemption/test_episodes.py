"""An event of pre-emption, found again in the audit log with its lamps and decisions."""

from __future__ import annotations

import pytest

from edge_server.errors import PreemptionLogBroken
from edge_server.signals.hires_reading import LampRow, read_lamps
from edge_server.signals.preemption.episodes import episodes, frames
from edge_server.signals.preemption.log_file import FILE_NAME
from edge_server.store.rows import SignalEntry
from protocol.ids import IntersectionId, PhaseId
from tests.edge_server.signals.preemption.desk_kit import Edge, enter_vehicles

NORTH = IntersectionId("north")


@pytest.fixture
def edge(tmp_path):
    enter_vehicles(tmp_path)
    edge = Edge(tmp_path)
    edge.run(10)
    yield edge
    edge.desk.stop()


def test_an_event_is_found_from_its_first_claim_to_normal_control(edge, tmp_path):
    path = tmp_path / FILE_NAME
    assert episodes(path) == []
    edge.ask()
    edge.ask("ambulance-2", "north-e", arrives_in_ms=20_000)
    edge.run(8, ("ambulance-1", "north-n"), ("ambulance-2", "north-e"))
    (going,) = episodes(path)
    assert (going.ended_ms, going.vehicles, going.granted) == (None, ("ambulance-1", "ambulance-2"), 1)
    edge.ask(action="cancel")
    edge.run(2, ("ambulance-2", "north-e"))
    edge.desk.end(NORTH, "ambulance-2", "olga", "it was called back")
    edge.run(80)
    (over,) = episodes(path)
    assert (over.begun_ms, over.line, over.granted) == (going.begun_ms, going.line, 2)
    assert over.ended_ms is not None
    edge.ask(request=2)
    assert len(episodes(path)) == 2
    (steps,) = ([frame.text for frame in frames(path, NORTH, over.line, (), ())],)
    assert steps[0].startswith("ambulance-1 asks from north-n, there in")
    assert any("the rules grant ambulance-1 a lease" in step for step in steps)
    assert any("olga ends what ambulance-2 holds or waits for: it was called back" in step for step in steps)
    assert steps[-1] == "normal control again"
    assert frames(path, NORTH, over.line + 1, (), ()) == []


def test_each_step_carries_what_was_known_by_then(edge, tmp_path):
    edge.ask()
    edge.run(6, ("ambulance-1", "north-n"))
    edge.ask(action="cancel")
    edge.run(80)
    (one,) = episodes(tmp_path / FILE_NAME)
    lamps = [
        LampRow(one.begun_ms - 9_000, PhaseId(2), "green"),
        LampRow(one.begun_ms - 8_000, PhaseId(4), "red"),
        LampRow(one.begun_ms + 3_000, PhaseId(2), "yellow"),
        LampRow(one.ended_ms + 1, PhaseId(4), "green"),
    ]
    fields = {"intersection": NORTH, "controller": "preemption", "phases": (4, 8)}
    decisions = [
        SignalEntry(at_ms=one.begun_ms - 1, reason="before", outcome="commanded", **fields),
        SignalEntry(at_ms=one.begun_ms + 2_000, reason="a lease", outcome="shadow", **fields),
    ]
    found = frames(tmp_path / FILE_NAME, NORTH, one.line, lamps, decisions)
    assert [frame.at_ms for frame in found] == sorted(frame.at_ms for frame in found)
    assert found[0].lamps == {2: "green", 4: "red"}
    assert (found[0].holder.vehicle, found[0].commanded) == ("ambulance-1", "")
    (decision,) = (frame for frame in found if frame.kind == "decision")
    assert decision.text == "preemption would command 4, 8: a lease"
    (lamp,) = (frame for frame in found if frame.kind == "lamps")
    assert (lamp.text, lamp.lamps) == ("phase 2 shows yellow", {2: "yellow", 4: "red"})
    assert lamp.holder.vehicle == "ambulance-1", "claims are carried on"
    assert lamp.commanded == decision.text
    assert found[-1].holder is None


def test_a_log_that_was_changed_is_not_replayed(edge, tmp_path):
    edge.ask()
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes().replace(b"north-n", b"north-s"))
    with pytest.raises(PreemptionLogBroken):
        episodes(path)


def test_lamps_are_read_back_over_midnight_and_past_damage(tmp_path):
    day_ms = 86_400_000
    (tmp_path / "1970-01-02.csv").write_text(
        "SignalID,Timestamp,EventCode,EventParam\n"
        "1,1970-01-02 23:59:58.250,1,2\n2,1970-01-02 23:59:58.250,1,4\n1,1970-01-02 23:59:59.000,43,2\n1,broken\n"
    )
    (tmp_path / "1970-01-03.csv").write_text("1,1970-01-03 00:00:01.000,8,2\n1,1970-01-03 09:00:00.000,10,2\n")
    found = list(read_lamps(tmp_path, 1, 2 * day_ms, 2 * day_ms + 5_000))
    assert found == [
        LampRow(2 * day_ms - 1_750, PhaseId(2), "green"),
        LampRow(2 * day_ms + 1_000, PhaseId(2), "yellow"),
    ]
    assert list(read_lamps(tmp_path / "none", 1, 0, 1)) == []
