"""The other edge server of a pair, as this one knows it: pair.json in the state folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from edge_server.errors import PairFileUnusable
from node.broker.port import BrokerAddress
from protocol.ids import SLUG_PATTERN, DeviceId

FILE = "pair.json"
Port = Annotated[int, Meta(ge=1, le=65535)]
Rank = Literal["first", "second"]


class Peer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """edge: its id, the name in its certificate. hosts: by which it is reached. rank: ours; who comes second waits a
    little longer before it asks to steer."""

    edge: Annotated[DeviceId, Meta(pattern=SLUG_PATTERN)]
    hosts: Annotated[tuple[str, ...], Meta(min_length=1)]
    rank: Rank
    mqtts_port: Port = 8883
    http_port: Port = 8800

    def brokers(self) -> tuple[BrokerAddress, ...]:
        return tuple(BrokerAddress(host=host, port=self.mqtts_port, tls=True) for host in self.hosts)


def load_peer(home: Path) -> Peer | None:
    """None where this edge server is alone. Raises PairFileUnusable (KF220)."""
    path = home / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Peer)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PairFileUnusable(path=path, detail=str(error)[:200]) from error


def save_peer(home: Path, peer: Peer) -> None:
    """In one move, for its owner alone."""
    path, beside = home / FILE, home / f".{FILE}.new"
    home.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(peer), indent=1))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
