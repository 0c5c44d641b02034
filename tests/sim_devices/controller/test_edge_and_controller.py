"""The edge's side of the lease and the controller's, joined by a bad network."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edge_server.signals.signal_sites import crossing, random_intersections
from tests.sim_devices.controller.bench import Bench

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
    assert bench.control == "edge", "once the network is whole an edge steers again"
    held = [edge.junction.lease.standing for edge in bench.edges.values()]
    assert sorted(held) == ["holding", "standing-by"]


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
