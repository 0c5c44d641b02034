"""The edge's side of the lease and the controller's, joined by a bad network."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edge_server.signals.signal_sites import crossing, random_intersections
from tests.sim_devices.controller.bench import Bench, Edge

HAPPENINGS = st.sampled_from(
    ["good", "lossy", "slow", "repeating", "cut", "restart-edge", "restart-other", "restart-controller", "call"]
)


def happen(bench: Bench, what: str) -> None:
    network = bench.network
    match what:
        case "good":
            network.loss, network.copies, network.delay_ms, network.cut = 0.0, 0.0, 0, False
        case "lossy":
            network.loss = 0.6
        case "slow":
            network.delay_ms = 4_000
        case "repeating":
            network.copies = 0.8
        case "cut":
            network.cut = True
        case "restart-edge":
            bench.restart_edge("edge-a")
        case "restart-other":
            bench.restart_edge("edge-b")
        case "restart-controller":
            bench.restart_controller()
        case "call":
            bench.call_somebody()


@settings(max_examples=60, deadline=None)
@given(
    intersection=random_intersections(),
    seed=st.integers(0, 2**32),
    story=st.lists(st.tuples(HAPPENINGS, st.sampled_from([0.3, 1.0, 2.5, 6.0])), max_size=12),
)
def test_whatever_the_network_does_lamps_are_safe_and_one_edge_at_most_steers(intersection, seed, story):
    bench = Bench(intersection, seed, edges=("edge-a", "edge-b"))
    for what, seconds in story:
        happen(bench, what)
        bench.run(seconds)
        assert bench.wrong == []
    happen(bench, "good")
    bench.run(12)
    assert bench.wrong == []
    told = [str(f.error) for e in bench.edges.values() for f in e.faults.values()]
    assert bench.control == "edge", f"once the network is whole an edge steers again {told}"
    held = [edge.junction.lease.standing for edge in bench.edges.values()]
    assert sorted(held) == ["holding", "standing-by"], told


def test_a_cut_link_ends_in_the_controllers_own_plan_and_what_was_held_back_starts_no_green():
    bench = Bench(crossing(), seed=1)
    bench.run(20)
    assert bench.control == "edge"
    bench.network.cut = True
    bench.run(3.2)
    assert bench.control == "local"
    taken = len(bench.accepted)
    waiting = [message for *_, message in bench.in_flight if message.source == "edge-a"]
    assert waiting, "the edge went on for a while"
    for command in waiting:
        bench.receive(command)
        assert bench.controller.last_command.refusal == "stale-heartbeat"
    assert bench.control == "local"
    assert len(bench.accepted) == taken
    bench.network.cut = False
    bench.run(5)
    assert bench.control == "edge"
    assert bench.wrong == []


def test_an_edge_takes_no_lease_from_another_unless_it_is_told_to():
    bench = Bench(crossing(), seed=2, edges=("edge-a", "edge-b"))
    bench.run(30)
    assert len({command.source for _, command in bench.accepted}) == 1
    steering = bench.accepted[-1][1].source
    other = next(name for name in bench.edges if name != steering)
    assert bench.edges[other].junction.lease.standing == "standing-by"
    assert set(bench.edges[other].faults) == {"held-by-another-edge"}
    bench.usurp(other)
    bench.run(5)
    assert bench.controller.register.holder.edge == other
    assert bench.edges[steering].junction.lease.standing == "standing-by"
    bench.run(20)
    assert bench.controller.register.holder.edge == other
    assert bench.wrong == []


def test_the_other_edge_steers_once_the_first_is_gone():
    bench = Bench(crossing(), seed=2, edges=("edge-a", "edge-b"))
    bench.run(10)
    steering = bench.accepted[-1][1].source
    del bench.edges[steering]
    bench.run(6)
    assert bench.controller.register.holder.edge != steering
    assert bench.wrong == []


def test_a_restarted_edge_takes_a_higher_epoch_at_once():
    bench = Bench(crossing(), seed=3)
    bench.run(10)
    epoch = bench.controller.register.highest_epoch
    bench.restart_edge("edge-a")
    bench.run(1)
    assert bench.control == "edge"
    assert bench.controller.register.highest_epoch == epoch + 1


@pytest.mark.parametrize("seed", range(5))
def test_two_edges_by_one_id_never_quarrel_and_say_so(seed):
    bench = Bench(crossing(), seed=seed)
    bench.run(10 if seed % 2 else 0)  # one joins later, or both begin at once
    bench.edges["twin"] = Edge("edge-a", bench.intersection, bench.clock, bench.random)
    bench.run(20)
    epoch, taken = bench.controller.register.highest_epoch, len(bench.accepted)
    assert epoch <= 3
    bench.run(20)
    assert bench.control == "edge"
    assert bench.controller.register.highest_epoch == epoch
    assert len({command.boot for _, command in bench.accepted[taken:]}) == 1
    standings = {edge.junction.lease.standing: edge for edge in bench.edges.values()}
    assert set(standings) == {"holding", "standing-by"}
    assert standings["holding"].faults == {}
    assert set(standings["standing-by"].faults) == {"held-by-another-edge"}
    assert bench.wrong == []


def test_the_time_before_a_restart_is_no_other_edge():
    bench = Bench(crossing(), seed=3)
    bench.run(10)
    bench.restart_edge("edge-a")
    for _ in range(50):
        bench.run(0.1)
        assert bench.edges["edge-a"].faults == {}


def test_a_restarted_controller_keeps_its_epoch_and_refuses_what_was_meant_for_its_past():
    bench = Bench(crossing(), seed=3)
    bench.run(10)
    epoch, old = bench.controller.register.highest_epoch, bench.accepted[-1][1]
    bench.restart_controller()
    assert bench.controller.register.highest_epoch == epoch
    bench.receive(old)
    assert bench.controller.last_command.refusal == "stale-heartbeat"
    bench.run(3)
    assert bench.control == "edge"
    assert bench.controller.register.highest_epoch > epoch


def test_a_lease_outlives_single_losses_and_lapses_when_everything_is_lost():
    bench = Bench(crossing(), seed=4)
    bench.network.loss = 0.3
    bench.run(30)
    assert bench.control == "edge"
    bench.network.loss = 1.0
    bench.run(3.2)
    assert bench.control == "local"
    assert bench.wrong == []


FAULT_OF = {
    "dead": "controller-silent",
    "deaf": "controller-contradicts",
    "contrary": "controller-contradicts",
    "conflict": "controller-in-flash",
}


@pytest.mark.parametrize("mode", FAULT_OF)
def test_a_spoilt_controller_is_noticed_and_steered_again_once_it_is_mended(mode):
    bench = Bench(crossing(), seed=5)
    bench.run(20)
    edge = bench.edges["edge-a"]
    assert edge.faults == {}
    bench.inject(mode)
    bench.run(10)
    assert FAULT_OF[mode] in edge.faults
    assert bench.control != "edge"
    bench.inject(None)
    bench.run(45)
    assert edge.faults == {}
    assert bench.control == "edge"
    assert bench.wrong == []


def test_a_contrary_controller_is_left_to_its_own_plan():
    bench = Bench(crossing(), seed=5)
    bench.run(20)
    bench.inject("contrary")
    bench.run(6)
    edge = bench.edges["edge-a"]
    assert "heads for" in edge.faults["controller-contradicts"].error.cause_text
    assert edge.junction.lease.standing == "barred"
    assert bench.control == "local"


def test_a_slow_controller_is_still_steered_safely():
    bench = Bench(crossing(), seed=6)
    bench.inject("slow")
    bench.run(60)
    assert bench.control == "edge", "a second late is still fresh enough"
    assert bench.wrong == []


def test_every_refusal_is_recorded():
    bench = Bench(crossing(), seed=7)
    bench.run(5)
    bench.network.delay_ms = 4_000
    bench.run(20)
    bench.network.delay_ms = 0
    bench.run(5)
    refused = [record for record in bench.edges["edge-a"].records if record.kind == "refused"]
    assert {"stale-heartbeat"} <= {record.reason for record in refused}


def test_the_edge_says_nothing_once_the_heartbeat_is_old():
    bench = Bench(crossing(), seed=8)
    bench.run(10)
    edge = bench.edges["edge-a"]
    bench.clock.advance(1_300)
    assert list(edge.carry_out(edge.junction.decide({}, bench.now_ms, urgent=True), bench.now_ms)) == []
