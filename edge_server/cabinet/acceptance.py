"""Which signal commands a controller takes: one set of rules for every kind, simulated ones included.

The first rule that a command breaks names the refusal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from protocol.ids import BootId, DeviceId, IntersectionId, PhaseId
from protocol.messages import SignalCommand
from protocol.messages.heartbeat import Refusal
from protocol.messages.signal_command import LEASE_MAX_MS

# A command that quotes a heartbeat older than this was too long on its way.
FRESH_MS = 1_500
REMEMBERED_EDGES = 16
# An edge server asks for the next epoch or, after lost answers, one of the next few. Far above that is a mistake or
# malice, and taking it could leave no epoch for anybody else.
EPOCH_LEAP = 1_000


class Known(Protocol):
    """What a controller knows of its intersection, as far as commands are judged by it."""

    @property
    def intersection(self) -> IntersectionId: ...

    @property
    def phases(self) -> Collection[PhaseId]: ...

    def conflicting(self, phases: frozenset[PhaseId]) -> frozenset[PhaseId]:
        """Those of `phases` that conflict with another of them."""
        ...


@dataclass(frozen=True)
class Holder:
    """Who steers, until when on the controller's own clock. boot: two that go by one id are still two."""

    edge: DeviceId
    boot: BootId
    until_ms: int


@dataclass(frozen=True)
class Register:
    """What the controller has taken so far. highest_epoch outlives a restart; holder took it, and is None once the
    lease has lapsed. seqs: the last sequence number taken from each edge and boot."""

    highest_epoch: int = 0
    holder: Holder | None = None
    seqs: Mapping[tuple[DeviceId, BootId], int] = field(default_factory=dict)


def refusal(
    known: Known, register: Register, command: SignalCommand, *, boot: BootId, beats: Mapping[int, int], now_ms: int
) -> Refusal | None:
    """None when the command is taken. beats: when each recent heartbeat of this boot went out, by its counter."""
    beat_ms = beats.get(command.heartbeat) if command.heartbeat_boot == boot else None
    if command.intersection != known.intersection:
        return "foreign-intersection"
    if beat_ms is None or now_ms - beat_ms > FRESH_MS:
        return "stale-heartbeat"
    if command.seq <= register.seqs.get((command.source, command.boot), -1):
        return "repeated"
    return _unservable(known, command) or _outranked(register, command)


def _unservable(known: Known, command: SignalCommand) -> Refusal | None:
    phases = frozenset(command.phases)
    if command.lease_ms > LEASE_MAX_MS:
        return "lease-too-long"
    if not phases.issubset(known.phases):
        return "unknown-phase"
    return "conflicting-phases" if known.conflicting(phases) else None


def _outranked(register: Register, command: SignalCommand) -> Refusal | None:
    """A higher epoch is always newer. An equal one is for renewing the lease that it began, and dies with it: were a
    lapsed lease revived, an edge that saw it lapse could take a higher epoch while the reviver steers."""
    if command.epoch > register.highest_epoch + EPOCH_LEAP:
        return "epoch-too-high"
    if command.epoch > register.highest_epoch:
        return None
    if command.epoch < register.highest_epoch or register.holder is None:
        return "lower-epoch"
    same = (command.source, command.boot) == (register.holder.edge, register.holder.boot)
    return None if same else "held-by-another"


def taken(register: Register, command: SignalCommand, now_ms: int) -> Register:
    """The register after a command that was taken."""
    seqs = {one: seq for one, seq in register.seqs.items() if one != (command.source, command.boot)}
    while len(seqs) >= REMEMBERED_EDGES:
        del seqs[next(iter(seqs))]
    seqs[command.source, command.boot] = command.seq
    holder = Holder(command.source, command.boot, now_ms + command.lease_ms)
    return Register(command.epoch, holder, seqs)
