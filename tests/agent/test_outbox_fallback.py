"""An agent whose disk can't be written keeps watching, and says what is wrong."""

from agent.run import open_outbox
from node.clock import ManualClock
from node.identity import Identity
from protocol.ids import DeviceId


def test_an_outbox_without_a_disk_lives_in_memory_and_says_so(tmp_path):
    clock = ManualClock()
    identity = Identity(DeviceId("pi"), clock)
    (tmp_path / "outbox.db").mkdir()  # sqlite can open no folder
    outbox = open_outbox(identity, clock, tmp_path / "outbox.db")
    assert outbox.fault is not None
    assert outbox.fault.code == "KF44"
    outbox.put("alarm", "kinflow/1/pi/alarm", 1, b"{}")
    assert outbox.metrics.queued == 1
    outbox.close()


def test_an_outbox_with_a_disk_has_no_fault(tmp_path):
    clock = ManualClock()
    outbox = open_outbox(Identity(DeviceId("pi"), clock), clock, tmp_path / "outbox.db")
    assert outbox.fault is None
    assert (tmp_path / "outbox.db").is_file()
    outbox.close()
