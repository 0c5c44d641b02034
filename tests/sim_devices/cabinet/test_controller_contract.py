"""The contract of a signal controller, as the edge sees it: heartbeats, leases, refusals. Every kind passes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_server.cabinet.making import recording
from protocol.ids import BootId, IntersectionId
from tests.edge_server.signals.signal_sites import site
from tests.sim_devices.cabinet.benches import KINDS, Bench, RecorderBench, on_bench, stranger
from tests.sim_devices.cabinet.driver import Driver


@pytest.fixture(params=[pytest.param(kind, marks=[pytest.mark.slow] if kind == "ntcip-udp" else []) for kind in KINDS])
def bench(request, tmp_path) -> Iterator[Bench]:
    with on_bench(KINDS[request.param](tmp_path)) as bench:
        yield bench
        assert bench.wrong == []


def stage(bench: Bench, at: int) -> tuple[int, ...]:
    return tuple(int(one) for one in bench.intersection.stages[at].phases)


def test_heartbeats_tell_what_the_lamps_show(bench):
    bench.advance(3)
    assert len(bench.wire.heartbeats) >= 6
    counters = [one.counter for one in bench.wire.heartbeats]
    assert counters == list(range(counters[0], counters[0] + len(counters)))
    said = bench.heartbeat
    assert {state.phase: state.aspect for state in said.phases} == bench.lamps()
    assert (said.control, said.lease, said.fault) == ("local", None, None)


def test_alone_it_serves_every_phase(bench):
    served: set[int] = set()
    for _ in range(20):
        bench.advance(4)
        served |= {
            one.phase for said in bench.wire.heartbeats for one in said.phases if one.aspect in ("green", "walk")
        }
        if served == {phase.id for phase in bench.intersection.phases}:
            break
    assert served == {phase.id for phase in bench.intersection.phases}
    assert {said.control for said in bench.wire.heartbeats} == {"local"}


def test_it_serves_what_a_lease_asks_for_and_is_its_own_again_when_that_lapses(bench):
    asked = stage(bench, 2) if len(bench.intersection.stages) > 2 else stage(bench, 1)
    bench.hold(36, *asked)
    assert set(asked) <= {one for one, aspect in bench.lamps().items() if aspect in ("green", "walk")}
    assert (bench.heartbeat.control, set(bench.heartbeat.target)) == ("edge", set(asked))
    assert bench.heartbeat.lease is not None
    assert bench.heartbeat.lease.edge == "edge-a"
    bench.advance(4)
    assert (bench.heartbeat.control, bench.heartbeat.lease) == ("local", None)
    others = {phase.id for phase in bench.intersection.phases} - set(asked)
    for _ in range(20):
        bench.advance(4)
        others -= {one for one, aspect in bench.lamps().items() if aspect != "red"}
        if not others:
            break
    assert not others


def test_each_bad_command_is_refused_by_its_name(bench):
    asked = stage(bench, 0)
    first = bench.command(*asked)
    assert bench.wire.command(first).refusal is None
    renewal = bench.command(*asked)
    refused = {
        "foreign-intersection": bench.command(*asked, intersection=IntersectionId("elsewhere")),
        "stale-heartbeat": bench.command(*asked, heartbeat_boot=BootId("c" * 16)),
        "repeated": bench.command(*asked, seq=first.seq),
        "unknown-phase": bench.command(999),
        "conflicting-phases": bench.command(*bench.intersection.conflicts[0]),
        "epoch-too-high": bench.command(*asked, epoch=5_000),
        "held-by-another": bench.command(*asked, edge=stranger(bench)),
        "lower-epoch": bench.command(*asked, epoch=0 + 1, edge=stranger(bench, "edge-c")),
    }
    # One that is above every epoch takes the lease, so that the first one's is lower.
    assert (
        bench.wire.command(bench.command(*asked, edge=stranger(bench, "edge-d"), epoch=first.epoch + 1)).refusal is None
    )
    refused["held-by-another"] = bench.command(*asked, epoch=first.epoch + 1, edge=stranger(bench))
    refused["lower-epoch"] = renewal
    for name, command in refused.items():
        assert bench.wire.command(command).refusal == name
    assert bench.heartbeat.lease is not None
    assert bench.heartbeat.lease.edge == "edge-d"


def test_a_heartbeat_from_too_long_ago_is_stale(bench):
    old = bench.command(*stage(bench, 0))
    bench.advance(2)
    assert bench.wire.command(old).refusal == "stale-heartbeat"


def test_a_retained_command_is_not_even_looked_at(bench):
    asked = stage(bench, 0)
    bench.wire.deliver(bench.command(*asked), retained=True)
    live = bench.command(*asked)
    assert bench.wire.command(live).refusal is None
    assert {one.last_command.command for one in bench.wire.heartbeats if one.last_command} == {live.id}


def test_the_highest_epoch_outlives_a_restart(bench):
    assert bench.wire.command(bench.command(*stage(bench, 0), epoch=7)).refusal is None
    bench.restart()
    assert (bench.heartbeat.highest_epoch, bench.heartbeat.lease) == (7, None)
    bench.advance(1)
    bench._shown.clear()  # a restart forgets what was lit


def test_the_edge_steers_it_without_a_fault(bench):
    edge = Driver(bench)
    edge.run(120)
    assert (edge.told, edge.refused) == ([], set())
    assert edge.served == {phase.id for phase in bench.intersection.phases}


def test_a_recorder_tells_and_never_writes(tmp_path):
    with on_bench(RecorderBench(tmp_path)) as bench:
        outcome = bench.wire.command(bench.command(*stage(bench, 2)))
        assert outcome.refusal == "not-taking-commands"
        bench.advance(30)
        assert bench.plant.state.system_ms is None
        assert {state.phase: state.aspect for state in bench.heartbeat.phases} == bench.lamps()
        assert (bench.heartbeat.control, bench.heartbeat.fault) == ("local", "it is only recorded (acts = false)")


def test_a_recorder_keeps_an_event_log_of_its_own(tmp_path):
    with on_bench(RecorderBench(tmp_path)) as bench:
        record = recording(tmp_path, site(bench.intersection), bench.clock)
        bench.advance(30)
        for said in bench.wire.heartbeats:
            record(said)
    (log,) = (tmp_path / "recorded").glob("*.csv")
    head, *lines = log.read_text().splitlines()
    assert head == "SignalID,Timestamp,EventCode,EventParam"
    # Begin of yellow and of green, of the main street and of the side street.
    assert {"8,2", "8,6", "1,4", "1,8"} <= {line.split(",", 2)[2] for line in lines}
