"""Birth and death: a device's registration, retained on one topic, and the will that replaces it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.ids import SLUG_PATTERN, ApproachId, CameraId, IntersectionId
from protocol.messages.base import Message, Text

Role = Literal["agent", "edge", "controller", "vehicle"]


class CameraInfo(Struct, frozen=True):
    """One camera of a device: which approach it watches, its picture's size in pixels, whether it is calibrated."""

    camera: Annotated[CameraId, Meta(pattern=SLUG_PATTERN)]
    approach: Annotated[ApproachId, Meta(pattern=SLUG_PATTERN)] | None = None
    width_px: int | None = None
    height_px: int | None = None
    calibrated: bool = False


class Birth(Message, frozen=True, kw_only=True, tag="birth"):
    """A device is here. Retained: it is the device's registration. seq counts live messages."""

    role: Role
    software: Text
    name: Text = ""
    hardware: Text = ""
    intersection: Annotated[IntersectionId, Meta(pattern=SLUG_PATTERN)] | None = None
    cameras: tuple[CameraInfo, ...] = ()
    simulated: bool = False


class Death(Message, frozen=True, kw_only=True, tag="death"):
    """The broker's will for a boot, or a device's own good-bye. Only the death of the current boot counts."""

    reason: Literal["will", "shutdown"]
