"""A controller's side of the wire, alike for whatever stands behind it: what it hears, what it says, and its link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from edge_server.cabinet.acceptance import FRESH_MS
from node.broker.port import BrokerClient
from node.clock import Clock
from node.identity import Envelope, Identity
from node.link import Link
from node.outbox.outbox import Outbox
from protocol.ids import PhaseId
from protocol.messages import Birth, CommandOutcome, Heartbeat, Lease, PhaseState, SignalCommand

HEARTBEAT_MS = 500

Control = Literal["local", "edge", "flash"]
Connect = Callable[[Identity], BrokerClient]


@dataclass(frozen=True)
class Received:
    command: SignalCommand


@dataclass(frozen=True)
class Report:
    """A heartbeat is due: what it says."""

    intersection: str
    counter: int
    control: Control
    phases: tuple[PhaseState, ...]
    target: tuple[PhaseId, ...]
    highest_epoch: int
    lease: Lease | None
    last_command: CommandOutcome | None
    calls: tuple[tuple[PhaseId, int], ...]
    fault: str | None

    def message(self, envelope: Envelope) -> Heartbeat:
        return Heartbeat(**envelope, **vars(self))


@dataclass(frozen=True)
class EpochTaken:
    """To be written down before anything else of the same step is done."""

    epoch: int


def due(beats: Mapping[int, int], now_ms: int) -> bool:
    """Whether a heartbeat is, though nothing is new. beats: when each one of late went out, by its counter."""
    return now_ms - max(beats.values(), default=now_ms - HEARTBEAT_MS) >= HEARTBEAT_MS


def with_beat(beats: Mapping[int, int], counter: int, now_ms: int) -> dict[int, int]:
    """The same with one more, without those that no command may quote any more."""
    return {**{one: sent_ms for one, sent_ms in beats.items() if now_ms - sent_ms <= FRESH_MS}, counter: now_ms}


def link_of(identity: Identity, connect: Connect, clock: Clock, prefix: str, birth: Callable[[], Birth]) -> Link:
    """A controller's: it keeps nothing to be sent later."""
    return Link(identity, connect(identity), Outbox(identity.boot, clock, store=None), prefix, birth=birth)
