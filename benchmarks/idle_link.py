"""A process that holds a connected link and does nothing else: `python -m benchmarks.idle_link URL OUTBOX`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from node.broker.address import parse_broker
from node.broker.paho_client import PahoClient
from node.clock import SystemClock
from node.identity import Identity
from node.link import Link, death_will
from node.outbox.outbox import Outbox
from node.outbox.store import OutboxStore
from protocol.ids import DeviceId
from protocol.messages import Birth


def main(url: str, outbox: str) -> None:
    clock = SystemClock()
    identity = Identity(DeviceId("bench-idle"), clock)
    client = PahoClient(parse_broker(url), identity.device, death_will(identity))
    kept = Outbox(identity.boot, clock, OutboxStore(Path(outbox)))
    link = Link(
        identity, client, kept, birth=lambda: Birth(**identity.live(), role="agent", software="bench", simulated=True)
    )
    stopping, connected = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    link.on_connection(lambda up: connected.set() if up else None)
    link.start()
    connected.wait()
    print("connected", flush=True)
    stopping.wait()
    link.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
