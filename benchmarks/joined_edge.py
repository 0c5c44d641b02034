"""One edge server of a bench with joined devices, as a process: what `kinflow edge run` does, told by a JSON file.

The list of members is given, so that a bench need not join each of its devices first.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.wall import ShiftedClock
from edge_server.beacon import EVERYWHERE
from edge_server.pair.peer import Peer, save_peer
from edge_server.server import EdgeOptions, EdgeServer
from edge_server.store.retention import Limits
from node.broker.acl import Member
from node.broker.tls import BrokerTls
from node.logs import configure_logs
from node.ports import LOOPBACK
from node.trust.authority import FOLDER
from protocol.ids import DeviceId, SiteId
from protocol.messages.presence import Role
from protocol.site import Site, load_site


class Orders(Struct, kw_only=True):
    """host: by which devices may join, inside TLS; "" for plain HTTP on loopback, where nobody joins, and where
    `members` are those who may come in. wall: a file that holds how wrong its clock is (benchmarks/wall.py).
    kept_minutes: how long all but alarms stay in the store; 0 for as long as by default."""

    edge: DeviceId
    home: str
    members: list[tuple[DeviceId, Role]]
    port: int
    broker_port: int
    mqtts_port: int
    host: str = ""
    site: str = ""
    everywhere: bool = False
    peer: Peer | None = None
    certificate_days: float = 7.0
    kept_minutes: float = 0.0
    wall: str = ""


def serve(orders: Orders, stopping: threading.Event) -> None:
    home = Path(orders.home)
    configure_logs("edge", home, "info")
    if orders.peer is not None:
        save_peer(home, orders.peer)
    files = home / FOLDER
    members = [Member(device, role) for device, role in orders.members]
    tls = BrokerTls(
        ca=files / "ca.pem",
        certificate=files / "server.pem",
        key=files / "server.key",
        crl=files / "crl.pem",
        members=lambda: members,
        port=orders.mqtts_port,
        bind=EVERYWHERE if orders.everywhere else LOOPBACK,
    )
    options = EdgeOptions(
        home=home,
        database=home / "edge.db",
        device=orders.edge,
        version="bench",
        site=load_site(Path(orders.site)) if orders.site else Site(id=SiteId("bench")),
        host=orders.host or LOOPBACK,
        port=orders.port,
        mqtts_port=orders.mqtts_port,
        embed="mosquitto",
        broker_port=orders.broker_port,
        joined=None if orders.host else tls,
        certificate_days=orders.certificate_days,
        limits=_limits(orders.kept_minutes),
    )
    EdgeServer(options, ShiftedClock(Path(orders.wall)) if orders.wall else None).run(stopping)


def _limits(minutes: float) -> Limits:
    if not minutes:
        return Limits()
    days = minutes / (24 * 60)
    return Limits(
        observations_days=days, thin_after_hours=12 * days, events_days=days, signal_log_days=days, gaps_days=days
    )


if __name__ == "__main__":
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    serve(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Orders), stopping)
