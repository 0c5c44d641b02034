"""A route as it comes in: signatures, the log, what is handed on, what is said of one that breaks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edge_server.signals.preemption.desk import Listeners, PreemptionDesk
from edge_server.signals.preemption.log_lines import Reading, Routed, Stepped, read_lines, replay
from edge_server.signals.preemption.wave_desk import Surroundings, WaveDesk
from node.clock import ManualClock
from node.identity import Identity
from protocol.errors import KinflowError
from protocol.site import Neighbour
from tests.edge_server.signals.preemption.desk_kit import EDGE, STRANGER, enter_vehicles
from tests.edge_server.signals.preemption.wave_kit import NAMES, Driver, leg, road, way

EAST = Neighbour(site="east", hosts=("10.0.0.2",), pin="0" * 64, exits=("bridge",))
BEYOND = (leg("bay", site="east"),)


class Waves:
    """A desk without signals: what it decides is steered by nobody."""

    def __init__(self, home):
        enter_vehicles(home)
        self.home = home
        self.clock = ManualClock(monotonic_ms=100_000)
        self.driver = Driver(self.clock)
        self.sent, self.onward, self.notes = [], [], []
        self.start()

    def start(self):
        self.desk = PreemptionDesk(
            road(*NAMES, onward="bridge", neighbours=(EAST,)), Identity(EDGE, self.clock), self.home
        )
        self.desk.attach(Listeners(send=lambda vehicle, status: self.sent.append((vehicle, status))))
        self.wave = WaveDesk(road(*NAMES, onward="bridge", neighbours=(EAST,)), self.desk)
        self.wave.attach(
            Surroundings(
                onward=lambda site, message: self.onward.append((site, message)),
                note=lambda *what: self.notes.append(what),
            )
        )

    def refused(self, message):
        try:
            self.wave.ask(message)
        except KinflowError as error:
            return error.code
        finally:
            self.desk.flush()
        return ""

    def lines(self):
        return list(read_lines(self.home / "preemption.chain", Reading()))


@pytest.fixture
def waves(tmp_path):
    waves = Waves(tmp_path)
    yield waves
    waves.desk.stop()


def test_one_signature_asks_at_every_intersection_of_the_way_and_the_rest_is_handed_on(waves):
    message = waves.driver.route((*way(*NAMES, out="bridge"), *BEYOND))
    found = waves.wave.ask(message)
    waves.desk.flush()
    assert [(one.intersection, one.status) for one in found] == [
        ("first", "granted"),
        ("second", "requested"),
        ("third", "requested"),
    ]
    assert waves.onward == [("east", message)], "unchanged, so that the vehicle's signature still fits"
    assert {status.intersection for _, status in waves.sent} == set(NAMES)
    routed = [line for line in waves.lines() if isinstance(line, Routed)]
    assert [(one.legs, one.onward, one.fault) for one in routed] == [(NAMES, ("east",), None)]


def test_what_was_said_before_is_handed_on_once_and_a_renewal_writes_no_line_of_its_own(waves):
    legs = (*way(*NAMES, out="bridge"), *BEYOND)
    old = waves.driver.route(legs)
    waves.wave.ask(old)
    waves.wave.ask(old)
    assert waves.refused(waves.driver.route(legs)) == ""
    assert waves.refused(old) == "KF311", "an older one is a replay"
    assert [one.sequence for _, one in waves.onward] == [1, 2]
    assert sum(isinstance(line, Routed) for line in waves.lines()) == 1


def test_a_route_nobody_believes_asks_nowhere_goes_nowhere_and_leaves_one_line(waves):
    forged = waves.driver.route((*way(*NAMES, out="bridge"), *BEYOND), key=STRANGER)
    assert waves.refused(forged) == "KF310"
    assert waves.refused(waves.driver.route(BEYOND, key=STRANGER)) == "KF310"
    assert waves.onward == []
    steps = [line for line in waves.lines() if isinstance(line, Stepped)]
    assert [(one.intersection, one.event.proof) for one in steps] == [("first", "forged")]
    assert all(state.claim_of("ambulance-1") is None for state in waves.desk.states.values())


def test_a_part_of_a_signed_route_does_not_bear_its_signature(waves):
    whole = waves.driver.route(way(*NAMES))
    assert waves.refused(replace(whole, legs=whole.legs[1:])) == "KF310"


@pytest.mark.parametrize(
    ("legs", "code", "served"),
    [
        ((*way("first", out="second-w"), *way("third", out="bridge")), "KF326", ["first"]),
        ((*way("first", "second", out="third-w"), leg("fourth")), "KF326", ["first", "second"]),
        ((*way("third", out="bridge"), leg("bay", site="mars")), "KF327", ["third"]),
    ],
)
def test_a_route_that_breaks_is_served_up_to_there_and_told_once(waves, legs, code, served):
    for _ in range(3):
        waves.wave.ask(waves.driver.route(legs))
    claimed = [name for name, state in waves.desk.states.items() if state.claim_of("ambulance-1") is not None]
    assert claimed == served
    assert [note[2] for note in waves.notes] == [code]
    routed = [line for line in waves.lines() if isinstance(line, Routed)]
    assert len(routed) == 1
    assert routed[0].fault is not None


def test_a_route_of_which_nothing_can_be_served_is_refused(waves):
    assert waves.refused(waves.driver.route((leg("nowhere"),))) == "KF326"
    assert waves.refused(waves.driver.route((leg("bay", site="mars"),))) == "KF327"
    assert waves.refused(waves.driver.route(way("first"), at_ms=1_000)) == "KF312"


def test_a_wave_goes_on_after_a_restart_and_the_log_replays(waves):
    waves.wave.ask(waves.driver.route(way(*NAMES, out="bridge")))
    waves.desk.stop()
    waves.start()
    waves.clock.advance(1_000)
    # Nothing but the claims themselves is needed to release what is left out.
    waves.wave.ask(waves.driver.route(way("second", "third", out="bridge")))
    assert [name for name, state in waves.desk.states.items() if state.claim_of("ambulance-1")] == ["second", "third"]
    assert waves.desk.states["first"].spent["ambulance-1"].locked, "it has passed there"
    reading = Reading()
    assert list(replay(waves.home / "preemption.chain", reading))
    assert reading.states == waves.desk.states
