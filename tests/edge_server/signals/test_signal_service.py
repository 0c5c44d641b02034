"""The signals' shell, and the edge's side of the lease seen through it."""

from __future__ import annotations

import json
import time

import pytest

from edge_server.events import HeartbeatReceived, ObservationReceived
from edge_server.signals.fault import SignalFault
from edge_server.signals.junction import Record
from edge_server.signals.service import SignalService
from node.clock import ManualClock
from node.identity import Identity
from protocol.ids import BootId, DeviceId, IntersectionId
from protocol.messages import (
    CommandOutcome,
    Estimate,
    Heartbeat,
    Lease,
    Observation,
    PhaseState,
    Quality,
    SignalCommand,
)
from protocol.site import Site
from tests.edge_server.signals.signal_sites import crossing, site

GREEN = {2: "green", 6: "green"}
EDGE = DeviceId("edge-a")


class Desk:
    """A service, a controller that is played by hand, and all that the service did."""

    def __init__(self, of: Site | None = None) -> None:
        self.clock = ManualClock(monotonic_ms=100_000)
        self.controller = Identity(DeviceId("controller-north"), self.clock)
        self.counter = 0
        self.sent: list[tuple[DeviceId, SignalCommand]] = []
        self.records: list[Record] = []
        self.faults: list[SignalFault] = []
        self.link_up = True
        self.service = SignalService(
            of or site(),
            Identity(EDGE, self.clock),
            self._send,
            record=self.records.append,
            report=self.faults.append,
        )

    def _send(self, device: DeviceId, command: SignalCommand) -> bool:
        if self.link_up:
            self.sent.append((device, command))
        return self.link_up

    @property
    def last(self) -> SignalCommand:
        return self.sent[-1][1]

    def beat(self, elapsed_ms: int = 20_000, **changes: object) -> Heartbeat:
        self.counter += 1
        fields = {
            "intersection": "north",
            "counter": self.counter,
            "control": "local",
            "phases": tuple(PhaseState(one, GREEN.get(one, "red"), elapsed_ms) for one in (2, 4, 6, 8, 12, 14)),
            "target": (2, 6),
            "highest_epoch": 7,
        }
        heartbeat = Heartbeat(**self.controller.live(), **{**fields, **changes})
        now_ms = self.clock.monotonic_ms()
        self.service.handle(HeartbeatReceived(heartbeat=heartbeat, received_ms=0, received_mono_ms=now_ms))
        return heartbeat

    def see(self, approach: str, vehicles: float, live: bool = True, captured_ms: int = 5_000) -> None:
        exact = Estimate(vehicles, vehicles, vehicles)
        observation = Observation(
            **self.controller.live(),
            camera="cam",
            approach=approach,
            captured_ms=captured_ms,
            captured_mono_ms=0,
            frame=1,
            sensor="camera",
            status="ok",
            calibrated=True,
            occupancy=Estimate(0.1, 0.1, 0.1),
            index=Estimate(0.3, 0.3, 0.3),
            congestion="slow",
            quality=Quality(1.0),
            count=exact,
        )
        now_ms = self.clock.monotonic_ms()
        self.service.handle(
            ObservationReceived(observation=observation, age_ms=0, live=live, received_ms=0, received_mono_ms=now_ms)
        )


def test_the_first_heartbeat_is_answered_with_an_epoch_above_every_one():
    desk = Desk()
    heartbeat = desk.beat()
    assert len(desk.sent) == 1
    device, command = desk.sent[0]
    assert device == "controller-north"
    assert (command.epoch, command.heartbeat, command.heartbeat_boot) == (8, heartbeat.counter, heartbeat.boot)
    assert command.lease_ms == 3_000


def test_every_live_observation_is_answered_and_history_is_not():
    desk = Desk()
    desk.beat()
    for at in range(3):
        desk.see("north-n", 7, captured_ms=6_000 + at)
        assert desk.last.newest_capture_ms == 6_000 + at
    assert len(desk.sent) == 4
    desk.see("north-n", 7, live=False)
    desk.see("nowhere", 7)
    assert len(desk.sent) == 4


def test_a_decision_follows_what_is_seen():
    desk = Desk()
    desk.see("north-e", 0)
    desk.see("north-w", 0)
    desk.see("north-n", 7)
    desk.see("north-s", 7)
    assert desk.sent == [], "there is no heartbeat to quote yet"
    desk.beat()
    assert desk.last.phases == (4, 8)
    assert desk.last.controller == "max-pressure"
    assert [record.kind for record in desk.records] == ["commanded"]


def test_a_heartbeat_that_only_answers_does_not_start_a_game_of_ping_pong():
    desk = Desk()
    desk.beat()
    for _ in range(20):
        desk.beat(last_command=CommandOutcome(desk.last.id))
    assert len(desk.sent) == 1
    desk.clock.advance(500)
    desk.service.tick()
    assert len(desk.sent) == 2, "but the lease is renewed in time"


def test_nothing_is_sent_on_an_old_heartbeat_or_for_a_link_that_is_down():
    desk = Desk()
    desk.beat()
    desk.clock.advance(1_201)
    desk.see("north-n", 7)
    desk.service.tick()
    assert len(desk.sent) == 1
    desk.link_up = False
    desk.beat()
    assert len(desk.sent) == 1


def test_another_edges_lease_is_respected_until_a_person_says_otherwise():
    desk = Desk()
    other = Lease(DeviceId("edge-b"), 9, 2_000)
    desk.beat(lease=other, control="edge", highest_epoch=9)
    assert desk.sent == []
    assert [(fault.alarm, fault.error.code) for fault in desk.faults] == [("held-by-another-edge", "KF86")]
    desk.service.take_over(IntersectionId("north"))
    desk.beat(lease=other, control="edge", highest_epoch=9)
    assert desk.last.epoch == 10
    desk.beat(lease=Lease(EDGE, 10, 3_000), control="edge", highest_epoch=10)
    assert desk.faults[-1].alarm == "held-by-another-edge"
    assert not desk.faults[-1].active


@pytest.mark.parametrize("refusal", ["lower-epoch", "held-by-another"])
def test_an_edge_that_is_refused_its_rank_stands_by(refusal):
    desk = Desk()
    desk.beat()
    refused = CommandOutcome(desk.last.id, refusal)
    other = Lease(DeviceId("edge-b"), 9, 2_000)
    desk.beat(last_command=refused, lease=other, control="edge", highest_epoch=9)
    desk.see("north-n", 7)
    assert len(desk.sent) == 1
    assert desk.records[-1].kind == "refused"
    assert desk.records[-1].reason == refusal
    desk.beat(last_command=refused, highest_epoch=9)
    assert desk.last.epoch == 10, "nobody holds it any more"


@pytest.mark.parametrize("refusal", ["unknown-phase", "conflicting-phases", "foreign-intersection", "lease-too-long"])
def test_a_controller_that_does_not_fit_the_site_is_left_alone_for_a_while(refusal):
    desk = Desk()
    desk.beat()
    desk.beat(last_command=CommandOutcome(desk.last.id, refusal))
    assert [(fault.alarm, fault.error.code) for fault in desk.faults] == [("command-refused", "KF85")]
    for _ in range(58):
        desk.clock.advance(500)
        desk.beat()
    assert len(desk.sent) == 1
    for _ in range(4):
        desk.clock.advance(500)
        desk.beat()
    assert len(desk.sent) > 1


def test_silence_is_told_once_and_its_end_too():
    desk = Desk()
    desk.beat()
    for _ in range(20):
        desk.clock.advance(500)
        desk.service.tick()
    desk.beat()
    assert [(fault.alarm, fault.active) for fault in desk.faults] == [
        ("controller-silent", True),
        ("controller-silent", False),
    ]
    message = desk.faults[0].message(desk.controller.accounted())
    assert (message.code, message.subject, message.active) == ("KF84", "north", True)


def test_a_controller_that_heads_elsewhere_than_told_is_given_up():
    desk = Desk()
    desk.beat()
    lease = Lease(EDGE, 8, 3_000)
    desk.beat(last_command=CommandOutcome(desk.last.id), lease=lease, control="edge", target=(4, 8), highest_epoch=8)
    assert [(fault.alarm, fault.error.code) for fault in desk.faults] == [("controller-contradicts", "KF83")]
    desk.see("north-n", 7)
    assert len(desk.sent) == 1


def test_flash_is_told_and_nothing_is_commanded():
    desk = Desk()
    desk.beat(control="flash", fault="conflict monitor")
    assert desk.sent == []
    assert [(fault.alarm, fault.error.code) for fault in desk.faults] == [("controller-in-flash", "KF82")]


def test_a_heartbeat_of_somebody_else_or_of_an_earlier_moment_is_passed_over():
    desk = Desk()
    heartbeat = desk.beat()
    desk.service.hear(heartbeat, desk.clock.monotonic_ms())
    stranger = Identity(DeviceId("stranger"), desk.clock, BootId("0" * 16))
    fields = {name: getattr(heartbeat, name) for name in heartbeat.__struct_fields__}
    desk.service.hear(Heartbeat(**{**fields, **stranger.live(), "counter": 99}), desk.clock.monotonic_ms())
    assert len(desk.sent) == 1


def test_a_site_with_a_fault_is_not_steered_and_says_so_once():
    crossing_ = crossing()
    fields = {name: getattr(crossing_, name) for name in crossing_.__struct_fields__}
    forgotten = type(crossing_)(**{**fields, "conflicts": crossing_.conflicts[1:]})
    desk = Desk(site(forgotten))
    desk.beat()
    desk.service.tick()
    assert desk.sent == []
    assert [(fault.alarm, fault.error.code) for fault in desk.faults] == [("site-unsafe", "KF16")]


def test_a_controller_that_fails_leaves_the_signals_safe(monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("plug-in")

    monkeypatch.setattr("edge_server.signals.controllers.max_pressure.decide", fail)
    desk = Desk()
    desk.beat()
    assert desk.last.phases == (2, 6)
    assert desk.records[-1].kind == "overruled"


def test_one_tick_renews_a_hundred_leases():
    """Run with -s it prints the figure that docs/signals.md quotes; nothing here judges time."""
    places = [f"x{at}" for at in range(100)]
    desk = Desk(site(*(crossing(name) for name in places)))
    took_ms = []
    for at in range(8):
        desk.clock.advance(500)
        for name in places:
            desk.controller = Identity(DeviceId(f"controller-{name}"), desk.clock, desk.controller.boot)
            desk.beat(intersection=name)
            desk.see(f"{name}-n", at % 9)
        desk.clock.advance(500)
        before_ns = time.thread_time_ns()
        sent = len(desk.sent)
        desk.service.tick()
        took_ms.append((time.thread_time_ns() - before_ns) / 1e6)
        assert len(desk.sent) == sent + 100
    print(json.dumps({"tick_100_p50_ms": round(sorted(took_ms)[4], 2), "tick_100_max_ms": round(max(took_ms), 2)}))
