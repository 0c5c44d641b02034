"""A green wave, planned and told to the machines of several intersections; and what holds of it however it goes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.signals.layout import layouts
from edge_server.signals.preemption.events import Cancel, Ended, Granted, Refused, Tick
from edge_server.signals.preemption.flush import Need, change_ms, flush_ms, worst_ms
from edge_server.signals.preemption.machine import holds, step
from edge_server.signals.preemption.route import OwnLeg, Ways, read_route
from edge_server.signals.preemption.state import State
from edge_server.signals.preemption.terms import terms_of
from edge_server.signals.preemption.wave import MARGIN_MS, Teller, events, predict
from edge_server.signals.sight import Sight, Vehicles
from edge_server.signals.view import View
from node.clock import ManualClock
from protocol.preemption import PreemptionRules
from tests.edge_server.signals.preemption.wave_kit import NAMES, SPEED_CMPS, Driver, leg, road, way
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import crossing

RULES = PreemptionRules(cap_s=20, run_s=30, renew_s=5, lead_s=15, lockout_s=5, recovery_s=20)
SITE = road(*NAMES, rules=RULES)
WAYS = Ways.of(SITE)
FREE = Need(0, 6_000)


class Street:
    """The machines of one road, and time."""

    def __init__(self, need: Need | None = FREE) -> None:
        self.clock = ManualClock(monotonic_ms=1_000_000)
        self.states = {name: State(terms) for name, terms in terms_of(SITE).items()}
        self.effects: list[tuple[str, object]] = []
        self.need = need

    @property
    def now_ms(self) -> int:
        return self.clock.monotonic_ms()

    def hear(self, message, proof="verified", off_ms=0):
        route = read_route(WAYS, message.legs)
        teller = Teller(at_ms=self.now_ms, off_ms=off_ms, proof=proof, on_shift=True, own_role=True)
        arrivals = predict(route.own, message.speed_cmps, lambda _: self.need)
        for name, event in events(message, teller, arrivals, self.states):
            self.states[name], effects = step(self.states[name], event)
            self.effects += [(name, one) for one in effects]

    def wait(self, seconds: float):
        for _ in range(round(seconds * 2)):
            self.clock.advance(500)
            for name, state in self.states.items():
                self.states[name], effects = step(state, Tick(at_ms=self.now_ms))
                self.effects += [(name, one) for one in effects]

    def holding(self, vehicle="ambulance-1"):
        return [
            name for name, state in self.states.items() if state.holder is not None and state.holder.vehicle == vehicle
        ]


def test_it_is_granted_ahead_of_the_vehicle_and_released_behind_it():
    street = Street()
    driver = Driver(street.clock)
    held = []
    for driven_m in range(0, 751, 15):  # a second at 15 m/s
        ahead = [name for at, name in enumerate(NAMES) if (at + 1) * 250 > driven_m]
        if ahead:
            street.hear(driver.route(way(*ahead, first_m=250 - driven_m % 250)))
        else:
            street.hear(driver.route(way("third"), "cancel"))
        held.append(tuple(street.holding()))
        street.wait(1)
    assert held[0] == (), "250 m ahead is too early"
    first = next(at for at, names in enumerate(held) if "first" in names)
    assert (250 - 15 * first) / 15 * 1000 <= FREE.most_ms + MARGIN_MS
    assert all("first" not in names for names in held[17:])
    assert [len(names) for names in held].count(2) == 0, "no two at once: each is let go before the next is needed"
    granted = [name for name, one in street.effects if isinstance(one, Granted)]
    assert granted == list(NAMES)
    assert {one.ending for _, one in street.effects if isinstance(one, Ended)} == {"passed"}
    street.wait(60)
    assert all(state.normal and not state.queue for state in street.states.values())


def test_a_queue_has_to_move_first_and_makes_the_vehicle_later_at_all_that_follow():
    legs = tuple(OwnLeg(one, (at + 1) * 250) for at, one in enumerate(way(*NAMES)))
    free = predict(legs, SPEED_CMPS, lambda _: FREE)
    assert [one.arrives_in_ms for one in free] == [16_666, 33_333, 50_000]
    jammed = predict(legs, SPEED_CMPS, lambda one: Need(40_000, 50_000) if one.distance_m == 500 else FREE)
    assert [one.arrives_in_ms for one in jammed] == [16_666, 40_000, 56_667]
    assert [one.ahead_ms for one in jammed] == [10_000, 54_000, 10_000]
    assert predict(legs, SPEED_CMPS, lambda _: None)[0].ahead_ms is None


def test_what_it_takes_to_free_a_way():
    layout = layouts(road("north"))["north"]
    plant = Plant(crossing())
    plant.obey(frozenset({2, 6, 12}))
    plant.advance(6_000)
    plant.advance(10_000)
    view = View.of(plant.heartbeat(), 50_000)
    assert change_ms(layout, view, frozenset({6})) == 0
    # Who walks beside it clears for 8 s, and 1 s of all-red.
    assert change_ms(layout, view, frozenset({4})) == 9_000
    assert worst_ms(layout, frozenset({4})) >= 9_000
    none, some = Vehicles(0.0, 0.0, 0.0), Vehicles(5.0, 0.0, 4.0)
    roads = {"north-n": Sight(50_000, (some,)), "north-w": Sight(50_000, (none,))}
    assert flush_ms(layout, view, roads, "north-n", frozenset({4})) == 2_000 + 4 * 2_000
    assert flush_ms(layout, view, roads, "north-w", frozenset({6})) == 0


def test_who_turns_off_its_route_gives_back_what_it_no_longer_names():
    street = Street(Need(0, 60_000))
    driver = Driver(street.clock)
    street.hear(driver.route(way(*NAMES)))
    street.wait(4)
    street.hear(driver.route(way("first", "second", first_m=190, out="third-w")))
    assert street.states["third"].claim_of("ambulance-1") is None
    ended = [(name, one.ending) for name, one in street.effects if isinstance(one, Ended)]
    assert ended == [("third", "rerouted")]
    assert street.states["first"].holder is not None


def test_who_is_stuck_gives_back_what_it_was_granted_too_early():
    street = Street()
    driver = Driver(street.clock)
    street.hear(driver.route(way("second", first_m=100, out="third-w")))
    assert street.holding() == ["second"]
    street.wait(2)
    street.hear(driver.route(way("second", first_m=100, out="third-w"), speed_cmps=100))
    assert street.holding() == []
    assert [one.ending for _, one in street.effects if isinstance(one, Ended)] == ["delayed"]
    assert street.states["second"].claim_of("ambulance-1") is not None, "it waits, with what is left of its cap"
    assert street.states["second"].claim_of("ambulance-1").used_ms == 2_000


def test_a_gap_is_refused_and_what_lies_before_it_served():
    street = Street(Need(0, 60_000))
    street.hear(Driver(street.clock).route((*way("first", out="second-w"), *way("third"))))
    refused = [(name, one.refusal) for name, one in street.effects if isinstance(one, Refused)]
    assert refused == [("third", "route-gap")]
    assert street.states["first"].claim_of("ambulance-1") is not None


def test_the_same_message_again_changes_nothing_whatever_is_predicted_by_then():
    street = Street()
    message = Driver(street.clock).route(way(*NAMES))
    street.hear(message)
    street.clock.advance(400)
    street.need = Need(30_000, 40_000)
    before = dict(street.states)
    street.hear(message)
    assert street.states == before
    assert not any(isinstance(one, Refused) for _, one in street.effects)


ROUTES = st.sampled_from(
    [
        way(*NAMES),
        way("second", "third"),
        way("third"),
        way("first", "second", first_m=40, out="third-w"),
        way("second", first_m=0, out="third-w"),
        (*way("first", out="second-w"), *way("third")),
        (leg("nowhere"),),
        (leg("bay", site="mars"),),
    ]
)
SAID = st.tuples(
    st.sampled_from(["ambulance-1", "ambulance-2", "police-1"]),
    ROUTES,
    st.sampled_from(["request", "renew", "renew", "renew", "cancel"]),
    # What the network does with it: brings it, loses it, repeats it, brings the one before once more.
    st.sampled_from(["brought", "brought", "brought", "lost", "twice", "old", "forged"]),
    st.sampled_from([0, 0, 20_000]),
    st.sampled_from([0.0, 0.5, 1.0, 1.0, 3.0]),
)


@settings(max_examples=60, deadline=None)
@given(story=st.lists(SAID, max_size=40))
def test_caps_runs_and_the_others_turn_hold_for_waves_and_silence_ends_them(story):
    street = Street()
    drivers = {name: Driver(street.clock, name) for name in ("ambulance-1", "ambulance-2", "police-1")}
    kept = None
    for name, legs, action, fate, needed_ms, pause_s in story:
        street.need = Need(needed_ms, needed_ms + 6_000)
        message = drivers[name].route(legs, action, key=None)
        before = dict(street.states)
        if fate == "forged":
            street.hear(message, proof="forged")
            assert street.states == before
        elif fate != "lost":
            for said in {"twice": (message, message), "old": (message, kept or message)}.get(fate, (message,)):
                street.hear(said)
            kept = message
        check(street)
        street.wait(pause_s)
        check(street)
    street.wait(120)
    assert all(state.normal and not state.queue for state in street.states.values())


def check(street: Street) -> None:
    for state in street.states.values():
        holder = state.holder
        if holder is None:
            continue
        assert holds(state, street.now_ms)
        assert state.recovery is None
        assert holder.used_ms + street.now_ms - holder.granted_ms < 20_000
        assert street.now_ms - state.run.since_ms < 30_000


def test_a_cancelled_route_lets_go_of_all_of_it():
    street = Street(Need(0, 60_000))
    driver = Driver(street.clock)
    street.hear(driver.route(way(*NAMES)))
    street.wait(1)
    street.hear(driver.route(way("first"), "cancel"))
    assert all(state.claim_of("ambulance-1") is None for state in street.states.values())
    assert Cancel(at_ms=0, vehicle="x", sequence=0).passed
