"""A site's simulated controllers, as one process: each a joined device with its keeper. What they obey, and what their
lamps are driven by, is written to a journal as it happens."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from node.broker.paho_client import PahoClient
from node.broker.port import BrokerAddress
from node.clock import SystemClock
from node.identity import Identity
from node.link import death_will
from node.logs import configure_logs
from node.stopping import on_stop_signals
from node.trust.membership import Membership
from protocol.messages import SignalCommand
from protocol.site import load_site
from sim_devices.controller.runner import ControllerRunner

KEEPALIVE_S = 4
SETTLE_S, ASK_EVERY_S = 5.0, 20.0
LOOK_EVERY_S = 0.1
SAY_EVERY_S = 1.0


class Orders(Struct, kw_only=True):
    """homes: each controller's state folder lies below, by its id."""

    site: str
    homes: str
    host: str
    broker_port: int
    journal: str


class Line(NamedTuple):
    """what: `obeyed` a command of `source`; or `look`, when what drives the lamps or what they show has changed, and
    once a second anyway: then `source` is the control (local, edge, flash) and `shown` the phases that are not red."""

    what: Literal["obeyed", "look"]
    life: str
    intersection: str
    mono_ms: int
    source: str
    shown: str


class Journal:
    """life: of this process. Lines reach the kernel at once: a kill -9 of this process loses none."""

    def __init__(self, path: Path, clock: SystemClock) -> None:
        self._file = path.open("ab", buffering=0)
        self._life = f"{time.time_ns():x}"
        self._clock = clock
        self._lock = threading.Lock()

    def obeyed(self, command: SignalCommand, mono_ms: int) -> None:
        self._write(Line("obeyed", self._life, command.intersection, mono_ms, command.source, ""))

    def look(self, intersection: str, control: str, shown: str) -> None:
        self._write(Line("look", self._life, intersection, self._clock.monotonic_ms(), control, shown))

    def _write(self, line: Line) -> None:
        with self._lock:
            self._file.write(msgspec.json.encode(line) + b"\n")


def run(orders: Orders) -> None:
    clock, stopping = SystemClock(), threading.Event()
    configure_logs("controllers", Path(orders.homes), "warning")
    on_stop_signals(stopping.set)
    members: list[Membership] = []

    def connect(identity: Identity) -> PahoClient:
        member = Membership(
            Path(orders.homes) / identity.device, lambda _: None, settle_s=SETTLE_S, ask_every_s=ASK_EVERY_S
        )
        broker = BrokerAddress(host=orders.host, port=orders.broker_port, tls=True)
        client = PahoClient([broker], identity.device, death_will(identity), keepalive_s=KEEPALIVE_S, tls=member.tls)
        member.start(client)
        members.append(member)
        return client

    journal = Journal(Path(orders.journal), clock)
    runner = ControllerRunner(
        load_site(Path(orders.site)), connect, clock, Path(orders.homes), on_obeyed=journal.obeyed
    )
    runner.start()
    said: dict[str, tuple[float, str, str]] = {}
    while not stopping.wait(LOOK_EVERY_S):
        now = time.monotonic()
        for intersection, controller in runner.controllers.items():
            aspects = controller.aspects()
            shown = " ".join(f"{phase}:{aspect}" for phase, aspect in sorted(aspects.items()) if aspect != "red")
            control = controller.control
            at, *before = said.get(intersection, (0.0, "", ""))
            if before != [control, shown] or now - at >= SAY_EVERY_S:
                said[intersection] = (now, control, shown)
                journal.look(intersection, control, shown)
    for member in members:
        member.stop()
    runner.stop()


if __name__ == "__main__":
    run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Orders))
