"""What a signal controller says of itself: on every change, after every command, and twice a second."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.ids import (
    SLUG_PATTERN,
    UUID_PATTERN,
    DeviceId,
    IntersectionId,
    MessageId,
    PhaseId,
)
from protocol.messages.base import Message, Millis, Seq, Text

Aspect = Literal["red", "yellow", "green", "walk", "pedestrian-clearance"]
Refusal = Literal[
    "stale-heartbeat",
    "foreign-intersection",
    "lower-epoch",
    "epoch-too-high",
    "held-by-another",
    "repeated",
    "unknown-phase",
    "conflicting-phases",
    "lease-too-long",
    "fault",
    "not-taking-commands",
]


class PhaseState(Struct, frozen=True):
    """What one phase shows, and for how long it has."""

    phase: PhaseId
    aspect: Aspect
    elapsed_ms: Millis


class Lease(Struct, frozen=True):
    """Who steers this controller, under which epoch, and for how much longer on the controller's own clock."""

    edge: Annotated[DeviceId, Meta(pattern=SLUG_PATTERN)]
    epoch: Seq
    remaining_ms: Millis


class CommandOutcome(Struct, frozen=True):
    """What became of the last command received. refusal is None when it was taken."""

    command: Annotated[MessageId, Meta(pattern=UUID_PATTERN)]
    refusal: Refusal | None = None


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """counter: rises by one with each heartbeat of this boot; a signal command quotes the latest one that it saw.

    control: `local` plan, `edge` (under a lease), `flash` (own conflict monitor, dark or dead). highest_epoch: the
    greatest that this controller has ever taken, which it keeps across restarts. target: the phases it is heading for.
    calls: phases (pedestrian or vehicle) that somebody waits for, with the milliseconds since the call.
    """

    intersection: Annotated[IntersectionId, Meta(pattern=SLUG_PATTERN)]
    counter: Seq
    control: Literal["local", "edge", "flash"]
    phases: tuple[PhaseState, ...]
    target: tuple[PhaseId, ...]
    highest_epoch: Seq
    lease: Lease | None = None
    last_command: CommandOutcome | None = None
    calls: tuple[tuple[PhaseId, Millis], ...] = ()
    fault: Text | None = None
