"""Two connections to one broker: what fills queues has one of its own."""

from __future__ import annotations

import pytest

from node.broker.lanes import Lanes
from node.broker.memory import MemoryBroker
from node.broker.port import Received


@pytest.fixture
def broker():
    broker = MemoryBroker()
    broker.start()
    yield broker
    broker.stop()


def test_each_filter_has_its_lane_and_all_is_published_over_the_urgent_one(broker, wait_until) -> None:
    urgent, bulk = broker.client("urgent"), broker.client("bulk")
    lanes = Lanes(urgent, bulk, {"observation/+"})
    heard: dict[str, list[Received]] = {"alarm": [], "observation/+": []}
    for name, received in heard.items():
        lanes.subscribe(name, 1, received.append)
    changes: list[bool] = []
    lanes.watch(changes.append)
    lanes.start()
    wait_until(lambda: lanes.connected)
    assert lanes.publish("alarm", b"fire", 1)
    assert lanes.publish("observation/x", b"road", 1)
    wait_until(lambda: all(heard.values()))
    broker.kill("bulk")
    broker.deliver("alarm", b"again", False)
    wait_until(lambda: len(heard["alarm"]) == 2)
    assert changes == [True], "telemetry's connection is nobody's but its own"
    wait_until(lambda: lanes.connected)
    assert lanes.error is None
    lanes.stop()
    assert not lanes.connected
