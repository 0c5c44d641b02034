"""A command that configures: a retained state machine that exactly one party moves forward at a time."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from protocol.ids import SLUG_PATTERN, UUID_PATTERN, DeviceId, MessageId
from protocol.messages.base import Message, Text

ConfigStatus = Literal["init", "executing", "successful", "failed"]


class ConfigCommand(Message, frozen=True, kw_only=True, tag="config-command"):
    """init is written by the one who asks; executing, successful and failed by the device alone.

    command: the id under which all states of one command appear; name: what to do (a slug, such as `relearn-road`).
    The asker clears the topic (an empty retained message) once it has seen the end.
    """

    command: Annotated[MessageId, Meta(pattern=UUID_PATTERN)]
    device: Annotated[DeviceId, Meta(pattern=SLUG_PATTERN)]
    name: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    status: ConfigStatus
    arguments: Annotated[dict[str, str | int | float | bool], Meta(max_length=32)] = field(default_factory=dict)
    reason: Text = ""
