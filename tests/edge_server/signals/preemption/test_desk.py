"""The whole path of a request: its signature, the log on the disk, the commands that come of it, and a restart."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from edge_server.backup.contents import chosen
from edge_server.errors import NothingToEnd, NotKnown, PreemptionLogBroken
from edge_server.signals.events import AdviceChanged
from edge_server.signals.modes.mode import Setting
from edge_server.signals.preemption import desk as desks
from edge_server.signals.preemption.events import Granted, Refused
from edge_server.signals.preemption.log_lines import Reading, replay
from edge_server.signals.preemption.words import lines
from node.clock import ManualClock
from protocol.ids import IntersectionId
from protocol.preemption import PreemptionRules
from tests.edge_server.signals.preemption.desk_kit import STRANGER, Edge, enter_vehicles
from tests.edge_server.signals.signal_sites import crossing, site

NORTH = IntersectionId("north")


@pytest.fixture
def edge(tmp_path):
    enter_vehicles(tmp_path)
    edge = Edge(tmp_path)
    edge.run(10)
    yield edge
    edge.desk.stop()


def settled(edge: Edge) -> None:
    """East and west are green, and would stay so."""
    edge.plant.obey(frozenset({2, 6}))
    edge.run(20)


def test_a_signed_request_becomes_commands_and_the_vehicle_hears_of_it(edge):
    assert edge.ask().status == "granted"
    edge.run(12, ("ambulance-1", "north-n"))
    assert edge.plant.serving(4)
    assert edge.statuses[-1].status == "granted"
    assert 0 < edge.statuses[-1].left_ms <= 60_000
    assert edge.ask(action="cancel").status == "unknown"
    assert any(isinstance(one, Granted) for _, _, effects in edge.told for one in effects)


def test_a_lease_outlives_a_restart_of_the_edge_server(edge):
    edge.ask()
    edge.run(12, ("ambulance-1", "north-n"))
    until_ms = edge.desk.states[NORTH].holder.until_ms
    edge.restart(down_s=2)
    holder = edge.desk.states[NORTH].holder
    assert (holder.vehicle, holder.until_ms) == ("ambulance-1", until_ms), "the cap is the one that it had"
    edge.run(3, ("ambulance-1", "north-n"))
    assert edge.plant.serving(4)
    edge.run(43, ("ambulance-1", "north-n"))
    assert edge.desk.states[NORTH].holder is None
    assert edge.clock.wall_ms() < until_ms + 1_000
    assert edge.desk.states[NORTH].holder is None


def test_a_lease_that_nobody_renewed_meanwhile_is_over(edge):
    edge.ask()
    edge.restart(down_s=6)
    edge.run(1)
    assert edge.desk.states[NORTH].holder is None


def test_a_message_from_before_a_restart_is_a_replay(edge):
    message = edge.message()
    edge.desk.ask(message)
    edge.ask(action="cancel")
    edge.restart(down_s=1)
    assert edge.refused(message) == "KF311"


def test_a_wall_clock_that_is_set_back_lengthens_nothing(edge):
    edge.ask()
    edge.run(20, ("ambulance-1", "north-n"))
    edge.clock.set_wall(edge.clock.wall_ms() - 3_600_000)
    edge.run(30, ("ambulance-1", "north-n"))
    edge.restart()
    edge.run(11, ("ambulance-1", "north-n"))
    assert edge.desk.states[NORTH].holder is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"key": STRANGER}, "KF310"),
        ({"key": None, "vehicle": "nobody-1", "role": "ambulance"}, "KF310"),
        ({"key": STRANGER, "vehicle": "nobody-1", "role": "ambulance"}, "KF310"),
        ({"at_ms": 1_000}, "KF312"),
        ({"at_ms": 1_760_000_300_000}, "KF312"),
        ({"role": "police"}, "KF313"),
        ({"evidence": ()}, "KF316"),
        ({"approach": "nowhere"}, "KF317"),
        ({"intersection": "nowhere"}, "KF92"),
        ({"site": "elsewhere"}, "KF92"),
    ],
)
def test_what_is_refused_has_a_code_and_what_reached_the_intersection_a_line(edge, fields, code):
    edge.told.clear()
    assert edge.refused(edge.message(**fields)) == code
    told = [one.refusal for _, _, effects in edge.told for one in effects if isinstance(one, Refused)]
    assert len(told) == (code != "KF92")
    assert edge.desk.states[NORTH].holder is None


def test_any_change_to_a_signed_request_is_seen(edge):
    message = edge.message()
    changes = {"approach": "north-e", "arrives_in_ms": 1, "sequence": 9, "action": "cancel", "request": 2}
    for change in ({name: value} for name, value in changes.items()):
        assert edge.refused(replace(message, **change)) == "KF310"
    assert edge.refused(replace(message, sig="not base64!")) == "KF310"
    assert edge.refused(message) == ""


def test_a_vehicle_off_its_shift_is_refused(tmp_path):
    enter_vehicles(tmp_path, shifts=("mon-sun 08:00-09:00",))  # the clock says 08:53 UTC
    edge = Edge(tmp_path)
    edge.run(2)
    assert edge.ask().status == "granted"
    edge.desk.stop()
    edge = Edge(tmp_path, replace(site(), preemption=PreemptionRules(timezone="Europe/Berlin")))
    assert edge.refused(edge.message(sequence=99)) == "KF314"
    edge.desk.stop()


def test_keys_are_read_again_when_the_file_changes_and_a_bad_file_lets_nobody_ask(edge):
    path = edge.home / "vehicles.toml"
    good = path.read_bytes()
    path.write_text("[[vehicle]]\nid = 'ambulance-1'\n")
    edge.desk.keep()
    assert edge.alarms == [("vehicle-keys-unusable", "KF320", True)]
    assert edge.refused(edge.message()) == "KF310"
    path.write_bytes(good)
    os.utime(path, ns=(1, 1))
    edge.desk.keep()
    assert edge.alarms[-1] == ("vehicle-keys-unusable", "KF320", False)
    assert edge.refused(edge.message()) == ""


def test_what_outranks_us_makes_the_edge_command_nothing(edge):
    edge.ask()
    edge.desk.higher(NORTH, "railway-7", "railway", active=True)
    sent = edge.sent
    edge.run(5)
    assert edge.sent == sent, "the controller is left to its own inputs: our lease on it lapses"
    assert edge.ask().status == "watchOtherTraffic"
    edge.desk.higher(NORTH, "railway-7", "railway", active=False)
    edge.run(1)
    assert edge.sent > sent


def test_nothing_is_called_granted_that_this_edge_does_not_steer(edge):
    edge.holder = "edge-b"
    edge.run(1)
    statuses = len(edge.statuses)
    answer = edge.ask()
    assert (answer.status, answer.reason) == ("watchOtherTraffic", "not-steering")
    assert len(edge.statuses) == statuses, "the edge that steers answers"


def test_a_person_ends_a_lease(edge):
    edge.ask()
    edge.desk.end(NORTH, "ambulance-1", by="anna", reason="a drill")
    assert edge.desk.states[NORTH].holder is None
    with pytest.raises(NothingToEnd):
        edge.desk.end(NORTH, "ambulance-1", by="anna", reason="again")
    with pytest.raises(NotKnown):
        edge.desk.end(IntersectionId("nowhere"), "ambulance-1", by="anna", reason="")


def test_a_camera_calls_and_extends_and_preempts_only_where_the_site_says_so(edge, tmp_path):
    settled(edge)
    for _ in range(10):
        edge.see()
        edge.run(1)
    assert edge.desk.states[NORTH].holder is None
    edge.see(emergency="absent")
    assert edge.desk.states[NORTH].normal
    home = tmp_path / "other"
    home.mkdir()
    allowed = Edge(home, site(replace(crossing(), camera_preempts=True)))
    settled(allowed)
    allowed.see()
    assert allowed.desk.states[NORTH].holder.vehicle == "camera:north-n"
    for _ in range(12):
        allowed.see()
        allowed.run(1)
    assert allowed.plant.serving(4)
    allowed.see(emergency="unavailable")
    assert allowed.desk.states[NORTH].holder is not None, "who can't see denies nothing"
    allowed.see(emergency="present")
    assert allowed.desk.states[NORTH].holder is None
    assert allowed.statuses == [], "a camera is no vehicle to be answered"
    allowed.desk.stop()


def test_the_log_and_the_keys_are_in_a_backup(edge):
    assert {"preemption.chain", "vehicles.toml"} <= {name for name, _ in chosen(edge.home)}


def test_the_log_replays_to_the_very_state(edge):
    edge.ask()
    edge.run(4, ("ambulance-1", "north-n"), ("police-1", "north-e"))
    edge.refused(edge.message(key=STRANGER))
    edge.ask(action="cancel")
    edge.run(3)
    reading = Reading()
    told = list(replay(edge.home / "preemption.chain", reading))
    assert reading.states == edge.desk.states
    assert any(isinstance(one, Refused) for step in told for one in step.effects)
    kept = [(one.event, one.effects) for one in told]
    done = [(event, effects) for _, event, effects in edge.told]
    assert [one for one in kept if one in done] == kept


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
def test_a_line_that_was_changed_is_found_and_the_file_set_aside(edge, at):
    edge.ask()
    edge.run(5, ("ambulance-1", "north-n"))
    edge.desk.stop()
    path = edge.home / "preemption.chain"
    data = bytearray(path.read_bytes())
    data[round(len(data) * at)] ^= 1
    path.write_bytes(data)
    with pytest.raises(PreemptionLogBroken):
        list(replay(path, Reading()))
    edge.start()
    assert edge.alarms == [("preemption-log-broken", "KF321", True)]
    assert [one.name for one in edge.home.glob("preemption-*.chain")] == ["preemption-000001-broken.chain"]
    assert edge.desk.states[NORTH].holder is None
    assert edge.ask().status in ("granted", "watchOtherTraffic")


def test_a_line_that_was_taken_out_is_found(edge):
    edge.ask()
    edge.run(3, ("ambulance-1", "north-n"))
    path = edge.home / "preemption.chain"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) > 4
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(PreemptionLogBroken):
        list(replay(path, Reading()))


def test_half_a_line_that_a_power_cut_left_is_cut_off(edge):
    edge.ask()
    edge.desk.stop()
    path = edge.home / "preemption.chain"
    whole = path.read_bytes()
    path.write_bytes(whole + b'0123 {"type":"Stepp')
    edge.start()
    assert edge.alarms == []
    assert edge.desk.states[NORTH].holder.vehicle == "ambulance-1"
    edge.desk.stop()
    assert path.read_bytes()[: len(whole)] == whole
    list(replay(path, Reading()))
    edge.start()


def test_a_full_log_goes_on_in_a_new_file_that_begins_where_the_old_one_ended(edge, monkeypatch):
    monkeypatch.setattr("edge_server.signals.preemption.log_file.FULL_BYTES", 1)
    edge.ask()
    edge.desk.keep()
    old = Reading()
    list(replay(edge.home / "preemption-000001-full.chain", old))
    new = Reading()
    list(replay(edge.home / "preemption.chain", new))
    assert new.begun.before == old.head
    assert new.states == edge.desk.states


def test_another_edition_of_the_rules_begins_anew_and_keeps_the_old_file(edge, monkeypatch):
    edge.ask()
    edge.desk.stop()
    monkeypatch.setattr("edge_server.signals.preemption.log_file.edition", lambda: "another")
    edge.start()
    assert edge.desk.states[NORTH].holder is None
    assert (edge.home / "preemption-000001-ended.chain").exists()
    assert edge.alarms == []


def test_what_cant_be_written_down_is_not_granted_and_what_ends_ends(edge, monkeypatch):
    edge.ask()

    def full(*_):
        raise OSError(28, "No space left on device")

    real = edge.desk._file._file
    edge.desk._file._file = type("Full", (), {"write": full, "truncate": lambda *_: None, "fileno": real.fileno})()
    assert edge.refused(edge.message("police-1", "north-e")) == "KF322"
    assert edge.alarms == [("preemption-log-unwritable", "KF322", True)]
    edge.run(6)
    assert edge.desk.states[NORTH].holder is None, "the ambulance's lease lapsed all the same"
    edge.desk._file._file = real
    edge.run(40)
    assert edge.ask("police-1", "north-e").status == "granted"
    assert edge.alarms[-1] == ("preemption-log-unwritable", "KF322", False)
    reading = Reading()
    list(replay(edge.home / "preemption.chain", reading))
    assert reading.states == edge.desk.states, "the log goes on from the state after the gap"


def test_a_flood_of_forged_messages_does_not_fill_the_log(edge):
    for _ in range(200):
        edge.refused(edge.message(key=STRANGER))
    path = edge.home / "preemption.chain"
    assert path.read_bytes().count(b'"forged"') == desks.FORGED_A_MINUTE
    edge.clock.advance(60_000)
    edge.desk.keep()
    assert b'"count":170' in path.read_bytes()


def test_a_site_with_a_fault_grants_nothing(tmp_path):
    enter_vehicles(tmp_path)
    edge = Edge(tmp_path, site(replace(crossing(), conflicts=crossing().conflicts[1:])))
    assert edge.refused(edge.message()) == "KF92"
    edge.desk.stop()


def test_other_rules_in_the_site_file_end_what_was_held_and_keep_the_sequences(edge):
    message = edge.message()
    edge.desk.ask(message)
    edge.desk.stop()
    edge.site = replace(edge.site, preemption=PreemptionRules(cap_s=20))
    edge.start()
    assert edge.desk.states[NORTH].holder is None
    assert edge.desk.ask(message).status == "unknown", "it came before, and that is remembered"
    assert edge.refused(edge.message(sequence=0)) == "KF311"


def test_a_clock_that_starts_before_the_log_ends_goes_on_after_it(tmp_path):
    enter_vehicles(tmp_path)
    edge = Edge(tmp_path, clock=ManualClock(monotonic_ms=5_000, wall_ms=1_760_000_000_000))
    edge.run(2)
    edge.ask()
    newest_ms = edge.desk.now_ms()
    edge.desk.stop()
    again = Edge(tmp_path, clock=ManualClock(monotonic_ms=100, wall_ms=1_000_000))
    assert again.desk.now_ms() >= newest_ms
    again.desk.stop()


@pytest.mark.parametrize("mode", ["off", "shadow", "advise"])
def test_below_act_nothing_is_called_granted_and_what_would_have_been_is_told(edge, mode):
    settled(edge)
    edge.service.set_mode(NORTH, Setting(mode=mode, controller="controller-north", simulated=False))
    sent = edge.sent
    edge.told.clear()
    assert (edge.ask().status, edge.statuses) == ("watchOtherTraffic", edge.statuses)
    edge.run(12, ("ambulance-1", "north-n"))
    assert edge.sent == sent
    assert {status.status for status in edge.statuses} <= {"watchOtherTraffic", "granted"}
    assert edge.statuses[-1].reason == "not-steering"
    told = [
        (place, event, effects) for place, event, effects in edge.told if any(isinstance(e, Granted) for e in effects)
    ]
    (line,) = (one for one in lines(*told[0], 0, mode) if "granted" in one.text)
    assert line.text == f"ambulance-1 from north-n would be granted the signals (mode {mode}: nothing is granted)"


def test_in_advise_a_vehicle_s_lease_is_commanded_once_an_operator_confirms_it(edge):
    settled(edge)
    shown = []
    edge.service._show = shown.append
    edge.service.set_mode(NORTH, Setting(mode="advise", controller="controller-north", simulated=False))
    edge.ask()
    edge.run(3, ("ambulance-1", "north-n"))
    edge.sent = 0  # the controller's lease has lapsed
    (proposal,) = (one.proposal for one in shown if isinstance(one, AdviceChanged))
    assert (proposal.controller, proposal.phases) == ("preemption", (4, 8))
    assert not edge.plant.serving(4)
    edge.service.confirm(NORTH, proposal.id)
    edge.run(12, ("ambulance-1", "north-n"))
    assert edge.plant.serving(4)
    assert "granted" not in {status.status for status in edge.statuses}
