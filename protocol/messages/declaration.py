"""A vehicle's word that it comes, brought to the agent that watches its approach."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.ids import BOOT_PATTERN, SLUG_PATTERN, ApproachId, BootId
from protocol.messages.base import Message, Millis
from protocol.messages.observation import EmergencyKind

MOST_VALID_MS = 30_000


class Declaration(Message, frozen=True, kw_only=True, tag="declaration"):
    """To an agent, now or never. authenticated: the sender has verified who says so; edge servers alone may write here.
    beacons: the vehicle is on its way with its beacons on, and asks.

    agent_boot: of the agent's latest Birth; of another one it is refused, so that nothing outlives a restart. sequence:
    it rises with each declaration of one sender, over its restarts too, such as its wall clock in milliseconds.
    valid_ms: from receipt, on the agent's own monotonic clock; 0 ends what the sender declared for this approach.
    """

    approach: Annotated[ApproachId, Meta(pattern=SLUG_PATTERN)]
    vehicle: EmergencyKind
    beacons: bool
    authenticated: bool
    agent_boot: Annotated[BootId, Meta(pattern=BOOT_PATTERN)]
    sequence: Millis
    valid_ms: Annotated[int, Meta(ge=0, le=MOST_VALID_MS)]
