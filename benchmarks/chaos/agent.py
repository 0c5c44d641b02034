"""One agent of a site, as a process: a joined device with its camera, its outbox on its own disk and its keeper, that
raises or clears an alarm twice a second. What it promised stands in the ledger."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import cv2
import msgspec
from msgspec import Struct

from agent.run import open_outbox
from agent.service import AgentService
from agent.settings import CameraSettings
from benchmarks.chaos.ledger import Ledger, LedgerLink, entries
from benchmarks.wall import ShiftedClock
from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.identity import Identity
from node.link import death_will
from node.logs import configure_logs
from node.stopping import on_stop_signals
from node.trust.keeper import CHECK_TRUST
from node.trust.membership import Membership
from protocol.ids import ApproachId, CameraId, DeviceId
from protocol.messages import Alarm
from protocol.topics import ALARM

TICK = "chaos-tick"
TICK_EVERY_S = 0.5
KEEPALIVE_S = 4
SETTLE_S = 5.0
ASK_EVERY_S = 20.0


class Orders(Struct, kw_only=True):
    """broker: the link's near end. ledger, wall: files outside of `home`, whose disk may be full."""

    device: DeviceId
    home: str
    host: str
    broker_port: int
    camera: str
    source: str
    approach: str
    ledger: str
    wall: str


class Ticker:
    """Says a numbered alarm again and again. The numbers go on where an earlier process of this device stopped."""

    def __init__(self, identity: Identity, link: LedgerLink, ledger: Path) -> None:
        self._identity, self._link = identity, link
        self._number = sum(one.step == "made" and one.alarm == TICK for one in entries(ledger))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(TICK_EVERY_S):
            self._number += 1
            alarm = Alarm(
                **self._identity.accounted(),
                alarm=TICK,
                subject=self._identity.device,
                severity="info",
                active=self._number % 2 == 1,
                text=f"{self._number}",
            )
            self._link.send(ALARM, alarm)


def run(orders: Orders) -> None:
    cv2.setNumThreads(1)
    home = Path(orders.home)
    configure_logs("agent", home, "info")
    clock = ShiftedClock(Path(orders.wall))
    identity = Identity(orders.device, clock)
    camera = CameraSettings(CameraId(orders.camera), orders.source, ApproachId(orders.approach), 10.5, 60.0)
    service = AgentService([camera], home, clock, identity, software="bench")
    on_stop_signals(service.stop)
    member = Membership(home, service.rename, settle_s=SETTLE_S, ask_every_s=ASK_EVERY_S)
    broker = BrokerAddress(host=orders.host, port=orders.broker_port, tls=True)
    client = PahoClient([broker], orders.device, death_will(identity), keepalive_s=KEEPALIVE_S, tls=member.tls)
    outbox = open_outbox(identity, clock, home / "outbox.db")
    link = LedgerLink(identity, client, outbox, birth=service.birth)
    link.ledger = ledger = Ledger(Path(orders.ledger))
    ticker = Ticker(identity, link, Path(orders.ledger))
    link.start()
    service.orders[CHECK_TRUST] = member.keeper.nudge
    member.start(client)
    ticker.start()
    try:
        service.run(link)
    finally:
        ticker.stop()
        member.stop()
        link.stop(drain_s=2.0)
        ledger.close()


if __name__ == "__main__":
    run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Orders))
