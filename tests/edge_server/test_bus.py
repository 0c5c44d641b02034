from __future__ import annotations

import threading
from collections.abc import Callable

from edge_server.bus import Bus
from edge_server.events import BrokerLink, Event, HealthReceived, Resync
from protocol.messages import Health


class Ears:
    """A subscriber that can be held up."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.open = threading.Event()
        self.busy = threading.Event()

    def __call__(self, event: Event) -> None:
        self.busy.set()
        self.open.wait()
        self.heard.append(event)


def test_each_subscriber_hears_what_it_asked_for_in_order(device, eventually: Callable[..., None]) -> None:
    bus, all_ears, some = Bus(), Ears(), Ears()
    all_ears.open.set()
    some.open.set()
    bus.subscribe(all_ears)
    bus.subscribe(some, HealthReceived)
    health: Health = device.health()
    events: list[Event] = [
        BrokerLink(connected=True), HealthReceived(health=health, received_ms=1), BrokerLink(connected=False)
    ]  # fmt: skip
    bus.publish(*events)
    eventually(lambda: len(all_ears.heard) == 3 and some.heard)
    assert all_ears.heard == events
    assert some.heard == events[1:2]
    bus.close()


def test_a_slow_subscriber_is_told_to_resync_and_holds_nobody_up(eventually: Callable[..., None]) -> None:
    bus, slow, quick = Bus(), Ears(), Ears()
    quick.open.set()
    bus.subscribe(slow, limit=5)
    bus.subscribe(quick)
    bus.publish(BrokerLink(connected=True))
    assert slow.busy.wait(10)
    for _ in range(12):
        bus.publish(BrokerLink(connected=False))
    eventually(lambda: len(quick.heard) == 13)
    slow.open.set()
    eventually(lambda: sum(isinstance(one, BrokerLink) for one in slow.heard) >= 3)
    resync = [one for one in slow.heard if isinstance(one, Resync)]
    assert slow.heard[1:2] == resync
    assert resync[0].missed + sum(isinstance(one, BrokerLink) for one in slow.heard) == 13
    bus.close()


def test_a_subscriber_that_fails_goes_on_hearing(eventually: Callable[..., None]) -> None:
    bus, heard = Bus(), []

    def fails_first(event: Event) -> None:
        heard.append(event)
        if len(heard) == 1:
            raise ValueError("the first one")

    bus.subscribe(fails_first)
    bus.publish(BrokerLink(connected=True), BrokerLink(connected=False))
    eventually(lambda: len(heard) == 2)
    bus.close()


def test_nothing_is_delivered_after_unsubscribing(eventually: Callable[..., None]) -> None:
    bus, ears = Bus(), Ears()
    ears.open.set()
    subscription = bus.subscribe(ears)
    bus.publish(BrokerLink(connected=True))
    eventually(lambda: ears.heard)
    bus.unsubscribe(subscription)
    bus.publish(BrokerLink(connected=False))
    assert len(ears.heard) == 1
