"""Something that a person must hear of: never dropped while disk remains."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.ids import SLUG_PATTERN
from protocol.messages.base import Message, Text

Severity = Literal["info", "warning", "critical"]


class Alarm(Message, frozen=True, kw_only=True, tag="alarm"):
    """alarm: what kind (a slug such as `camera-stalled`). subject: the camera, approach, intersection or device that it
    is about. active: raised (true) or cleared (false). code: the error's code, where it has one."""

    alarm: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    subject: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    severity: Severity
    active: bool
    text: Text
    code: Annotated[str, Meta(pattern=r"^KF[0-9]{2,3}$(?!\n)")] | None = None
