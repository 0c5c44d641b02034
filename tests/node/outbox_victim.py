"""The process that test_outbox_kill.py kills: it says numbered alarms and telemetry as fast as it can.

For each alarm that send() has returned for it writes its number to standard output. With `drain` it says nothing new,
waits until all is acknowledged, and ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.entry import Limits
from node.outbox.outbox import Outbox
from node.outbox.store import OutboxStore
from protocol.ids import DeviceId
from protocol.messages import Alarm, Birth, Health
from protocol.topics import ALARM, HEALTH


def main() -> None:
    port, password, path, life, mode = sys.argv[1:]
    identity = Identity(DeviceId("victim"), SystemClock())
    address = BrokerAddress(port=int(port), username="kinflow", password=password)
    limits = Limits(resend_ms=1_000, delete_messages=20, delete_after_ms=200, spill_after_ms=200)
    outbox = Outbox(identity.boot, SystemClock(), OutboxStore(Path(path)), limits)
    client = PahoClient(address, "victim", death_will(identity))
    link = Link(identity, client, outbox, birth=lambda: Birth(**identity.live(), role="agent", software="test"))
    link.start()
    if mode == "drain":
        while not outbox.wait_empty(0.2) or outbox.owes_a_report:
            pass
        link.stop()
        return
    for number in range(10_000):
        said = f"{life}-{number}"
        link.send(
            ALARM,
            Alarm(**identity.accounted(), alarm="numbered", subject="victim", severity="info", active=True, text=said),
        )
        os.write(1, f"{said}\n".encode())
        health = Health(**identity.accounted(), uptime_s=number, rss_mb=0.0, cpu_percent=0.0, disk_free_mb=0.0)
        link.send(HEALTH, health)


if __name__ == "__main__":
    main()
