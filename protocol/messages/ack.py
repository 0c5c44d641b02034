"""The edge's word that messages are committed to its store: only this deletes an outbox row."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.ids import BOOT_PATTERN, BootId
from protocol.messages.base import Message, Seq


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """ranges: first and last sequence numbers, inclusive, of boot `acked_boot` of the device whose topic this is on."""

    acked_boot: Annotated[BootId, Meta(pattern=BOOT_PATTERN)]
    ranges: Annotated[tuple[tuple[Seq, Seq], ...], Meta(max_length=1000)]
