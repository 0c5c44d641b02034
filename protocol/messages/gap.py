"""Messages that a device numbered and then had to give up: reported, never hidden."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.ids import BOOT_PATTERN, BootId
from protocol.messages.base import Message, Seq


class Gap(Message, frozen=True, kw_only=True, tag="gap"):
    """ranges: first and last sequence numbers, inclusive, of boot `gap_boot` that will never arrive, and why."""

    gap_boot: Annotated[BootId, Meta(pattern=BOOT_PATTERN)]
    ranges: Annotated[tuple[tuple[Seq, Seq], ...], Meta(max_length=1000)]
    reason: Literal["superseded", "thinned", "disk-full", "corrupt", "restart"]
