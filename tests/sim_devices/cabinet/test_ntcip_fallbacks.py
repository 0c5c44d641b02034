"""What is lost, and what becomes of the signals: the table of fall-backs in docs/ntcip.md, row by row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_server.cabinet.gateway import Tick
from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.cabinet import LEFT_ALONE_MS
from edge_server.cabinet.port import Wish
from edge_server.errors import CabinetBackupUnusable
from sim_devices.ntcip import core, tables
from tests.sim_devices.cabinet.benches import NtcipBench, on_bench
from tests.sim_devices.cabinet.driver import Driver
from tests.sim_devices.cabinet.wire import until

EAST_WEST, NORTH_SOUTH = (2, 6), (4, 8)


@pytest.fixture
def bench(tmp_path) -> Iterator[NtcipBench]:
    with on_bench(NtcipBench(tmp_path)) as bench:
        yield bench
        assert bench.wrong == []


def still_serves_everybody(bench: NtcipBench) -> bool:
    served: set[int] = set()
    for _ in range(160):
        bench.plant.change(lambda state: core.advance(state, 500))
        served |= {one for one, head in bench.plant.state.heads.items() if head.vehicle == "green"}
    return served == {2, 4, 6, 8}


def refusal(bench: NtcipBench) -> tuple[str | None, str]:
    outcome = bench.wire.command(bench.command(*NORTH_SOUTH))
    return outcome.refusal, bench.heartbeat.fault or ""


def test_a_lost_edge_ends_in_the_controllers_own_plan_within_its_lease(bench):
    bench.hold(20, *NORTH_SOUTH)
    assert bench.plant.state.columns[objects.HOLD] == {4, 8}
    bench.advance(4)
    assert not any(bench.plant.state.columns.values())
    assert bench.plant.state.pattern == 0
    assert still_serves_everybody(bench)


def test_a_lost_gateway_ends_in_backup_mode_within_the_backup_time(bench):
    bench.hold(20, *NORTH_SOUTH)
    bench.plant.change(lambda state: core.advance(state, 5_000))
    assert bench.plant.state.columns[objects.HOLD] == {4, 8}
    bench.plant.change(lambda state: core.advance(state, 5_100))
    assert tables.read(bench.plant.state, objects.UNIT_CONTROL_STATUS) == 4
    assert still_serves_everybody(bench)


def test_while_the_lease_is_held_it_is_written_within_half_of_the_backup_time(bench):
    bench.hold(12, *EAST_WEST)
    oldest = 0
    for _ in range(60):
        bench.hold(0.5, *EAST_WEST)
        oldest = max(oldest, bench.plant.state.now_ms - bench.plant.state.system_ms)
    assert 0 < oldest <= 5_000


def test_a_lost_controller_is_told_and_comes_back(bench):
    bench.hold(10, *NORTH_SOUTH)
    bench.plant.spoil("dead")
    bench.advance(3)
    said = len(bench.wire.heartbeats)
    bench.advance(5)
    assert len(bench.wire.heartbeats) == said, "nobody knows what the lamps show, so nothing is said"
    told = until(lambda: bench.wire.alarms[-1] if bench.wire.alarms else None)
    assert (told.alarm, told.active, told.code) == ("cabinet-lost", True, "KF324")
    bench.plant.spoil(None)
    bench._shown.clear()
    bench.advance(20)
    # Alarms that nobody acknowledged come again, so the last one need not be the newest.
    until(lambda: next((one for one in bench.wire.alarms if not one.active), None))
    bench.hold(2, *NORTH_SOUTH)
    assert bench.heartbeat.control == "edge"


def test_a_gateway_that_was_restarted_waits_until_what_it_left_is_over(bench):
    bench.hold(10, *NORTH_SOUTH)
    snapshot = dict(bench.plant.state.columns)
    bench.gateway._asking = False  # killed: it lets nothing go
    bench.restart()
    assert bench.plant.state.columns == snapshot
    assert refusal(bench)[0] == "not-taking-commands"
    assert "not written by this gateway" in bench.heartbeat.fault
    bench.advance(12)
    assert refusal(bench) == (None, "")


def test_a_controller_that_was_restarted_is_asked_anew(bench):
    bench.hold(10, *NORTH_SOUTH)
    bench.plant.change(lambda state: core.boot(state.card, state.now_ms))
    bench._shown.clear()
    bench.hold(12, *NORTH_SOUTH)
    assert bench.plant.state.columns[objects.HOLD] == {4, 8}
    assert {4, 8} <= {one for one, aspect in bench.lamps().items() if aspect == "green"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no-backup", "unitBackupTime is 0"),
        ("other-system", "not written by this gateway"),
        ("railway", "pre-empt 1 runs"),
        ("manual", "by hand"),
    ],
)
def test_what_forbids_to_act_ends_the_lease_at_once_and_is_said(bench, fault, words):
    bench.hold(8, *NORTH_SOUTH)
    bench.plant.spoil(fault)
    bench.advance(1)
    assert (bench.heartbeat.control, bench.heartbeat.lease) == ("local", None)
    assert words in (bench.heartbeat.fault or "")
    assert refusal(bench)[0] == "not-taking-commands"
    written_ms = bench.plant.state.system_ms
    bench.advance(5)
    assert bench.plant.state.system_ms in (written_ms, None)


def test_one_that_refuses_to_be_written_to_is_left_alone_for_a_while(bench):
    bench.plant.spoil("read-only")
    assert refusal(bench)[0] is None
    bench.advance(1)
    assert bench.heartbeat.lease is None
    assert "refuses: read-only" in (bench.heartbeat.fault or "")
    bench.plant.spoil(None)
    bench.advance(6)
    assert refusal(bench)[0] is None


def test_one_that_forgets_what_was_written_is_left_alone_for_a_while(bench):
    bench.plant.spoil("ignores")
    for _ in range(5):
        if bench.wire.command(bench.command(*NORTH_SOUTH)).refusal is not None:
            break
        bench.advance(0.5)
    assert "does not keep it" in (bench.heartbeat.fault or "")
    bench.plant.spoil(None)
    bench.advance(LEFT_ALONE_MS / 1000 + 1)
    assert refusal(bench)[0] is None


def test_a_conflict_is_flash_whoever_asks(bench):
    bench.hold(6, *EAST_WEST)
    bench.plant.spoil("conflict")
    bench.plant.change(lambda state: core.advance(state, 200))
    bench.gateway.cycle()
    assert (bench.heartbeat.control, bench.heartbeat.lease) == ("flash", None)
    assert refusal(bench) == ("fault", "unitFlashStatus mmu")
    assert all(state.aspect == "red" for state in bench.heartbeat.phases)


@pytest.mark.parametrize(
    ("fault", "code"),
    [("contrary", "KF83"), ("ignores", "KF85"), ("read-only", "KF85"), ("no-backup", "KF85"), ("conflict", "KF82"),
     ("dead", "KF84")],
)  # fmt: skip
def test_the_edge_tells_of_one_that_does_something_else(bench, fault, code):
    edge = Driver(bench)
    edge.run(10)
    assert edge.told == []
    bench.plant.spoil(fault)
    if fault in ("conflict", "dead"):
        bench._judge_lamps = lambda _: None  # the lamps are wrong, which is the point
        edge.answered = fault != "dead"
    edge.run(70 if fault == "contrary" else 12)
    assert code in edge.told
    assert {state.phase: state.aspect for state in bench.heartbeat.phases} == bench.lamps() or fault != "contrary"


def test_one_that_is_slow_is_steered_all_the_same(bench):
    edge = Driver(bench)
    bench.plant.spoil("slow")
    edge.run(120)
    assert edge.served == {2, 4, 6, 8, 12, 14}


def test_a_write_that_comes_too_late_ends_the_lease(bench):
    bench.hold(10, *NORTH_SOUTH)
    bench.clock.advance(5_500)
    bench.plant.change(lambda state: core.advance(state, 5_500))
    bench.gateway._step(Tick(bench.clock.monotonic_ms()))
    reading = bench.gateway.state.reading
    with pytest.raises(CabinetBackupUnusable):
        bench.gateway._cabinet.serve(Wish(frozenset(NORTH_SOUTH)), reading)


def test_a_walk_that_is_over_leaves_a_pre_empt_on(tmp_path):
    with on_bench(NtcipBench(tmp_path, preempts=(("ns-walk", 3),))) as bench:
        bench.hold(30, *NORTH_SOUTH, 14, controller="preemption")
        assert bench.plant.state.preempts == {3}


def test_a_backup_time_that_is_too_long_forbids_to_act(tmp_path):
    with on_bench(NtcipBench(tmp_path, backup_s=900)) as bench:
        assert refusal(bench)[0] == "not-taking-commands"
        assert "900 s" in (bench.heartbeat.fault or "")
        assert bench.plant.state.system_ms is None


def test_a_controller_with_shorter_times_than_the_site_file_is_not_written_to(tmp_path):
    with on_bench(NtcipBench(tmp_path)) as bench:
        card = bench.plant.state.card
        times = {one: core.replace(two, yellow_ms=2_800) for one, two in card.phases.items()}
        bench.plant.change(lambda state: core.boot(core.replace(card, phases=times), state.now_ms))
        bench.restart()
        assert refusal(bench)[0] == "not-taking-commands"
        assert "phaseYellowChange is 2.8 s" in (bench.heartbeat.fault or "")


def test_a_pre_empting_vehicles_stage_is_a_pre_empt_where_the_site_says_so(tmp_path):
    with on_bench(NtcipBench(tmp_path, preempts=(("ns", 3),))) as bench:
        bench.hold(20, *NORTH_SOUTH, controller="preemption")
        assert bench.plant.state.preempts == {3}
        assert {4, 8} == {one for one, aspect in bench.lamps().items() if aspect == "green"}
        assert (bench.heartbeat.control, bench.heartbeat.fault) == ("edge", None)
        bench.hold(1, *NORTH_SOUTH, controller="kinflow")
        assert bench.plant.state.preempts == set()
        assert bench.wrong == []
