"""A vehicle that asks for the signals of the demo's site, with a key of its own."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_server.signals.preemption.signature import sign
from edge_server.signals.preemption.vehicles import FILE_NAME, VehicleEntry, VehicleFile, write_file
from node.identity import Identity
from protocol.ids import DeviceId
from protocol.messages import PriorityRequest, PriorityStatus
from tests.edge_server.gateway.demo_edge import DemoEdge

KEYS = {name: Ed25519PrivateKey.generate() for name in ("ambulance-1", "ambulance-2", "bus-1")}


def enter(folder: Path) -> None:
    entries = tuple(
        VehicleEntry(
            id=name,
            role=name.rpartition("-")[0],
            key=base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode(),
        )
        for name, key in KEYS.items()
    )
    write_file(folder / FILE_NAME, VehicleFile(entries))


class Asking:
    def __init__(self, edge: DemoEdge, name: str = "ambulance-1") -> None:
        self.edge, self.name = edge, name
        self._sequence = 0

    def ask(self, intersection: str, approach: str, action: str = "renew", **fields: object) -> PriorityStatus:
        self._sequence += 1
        message = PriorityRequest(
            **Identity(DeviceId(self.name), self.edge.clock).live(),
            **{
                "site": "demo",
                "intersection": intersection,
                "action": action,
                "request": 1,
                "sequence": self._sequence,
                "role": self.name.rpartition("-")[0],
                "approach": approach,
                "arrives_in_ms": 5_000,
                "evidence": ("beacons",),
                **fields,
            },
        )
        status = self.edge.preemption.ask(sign(message, KEYS[self.name]))
        self.edge.preemption.flush()
        return status
