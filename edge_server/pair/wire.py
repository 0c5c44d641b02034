"""What becoming the second edge server of a pair asks over HTTPS, signed by its certificate's key, and is given."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from edge_server.store.rows import KeptAlarm, SignalEntry

JOIN = "/pair/join"
STORED = "/pair/stored"
ACCOUNTS = "/pair/accounts"
SITE = "/pair/site"
MODES = "/pair/modes"
VEHICLES = "/pair/vehicles"
Host = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:%-]+$")]
Port = Annotated[int, Meta(ge=1, le=65535)]


class JoinPair(Struct, frozen=True, kw_only=True):
    """The second one tells where it is."""

    hosts: Annotated[tuple[Host, ...], Meta(min_length=1, max_length=16)]
    mqtts_port: Port
    http_port: Port


class Stored(Struct, frozen=True, kw_only=True):
    """What one has stored since the other one last read: rows in the order of their receipt. generation: of the store;
    alarms_read, signals_read: how far it has been read with these."""

    generation: str
    alarms: tuple[KeptAlarm, ...]
    signals: tuple[SignalEntry, ...]
    alarms_read: int
    signals_read: int


class Heirloom(Struct, frozen=True, kw_only=True):
    """What makes the second one an equal: the root's key and certificate (PEM), the site, the accounts (a database)."""

    ca_key: str
    ca: str
    site: str
    accounts: bytes
