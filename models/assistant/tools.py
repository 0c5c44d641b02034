"""The assistant's tools: their names, and the arguments that each takes. Names and arguments are fixed, so that others
can rely on them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

# A number, true or false, or text. Free text is compared as `plain_text` gives it.
Value = str | int | float | bool
Arguments = Mapping[str, Value]
ArgumentKind = Literal["intersection", "approach", "device", "setting", "minutes", "status", "value", "text"]
STATUSES = ("online", "offline", "degraded")
_LEADING, _FINAL = ("that ", "the "), ".!?"


class Tool(StrEnum):
    GET_CONGESTION = "get_congestion"
    GET_SIGNAL = "get_signal"
    LIST_EMERGENCY = "list_emergency"
    GET_DEVICE = "get_device"
    LIST_DEVICES = "list_devices"
    GET_CAMERA = "get_camera"
    SET_SETTING = "set_setting"
    REMEMBER = "remember"
    RECALL = "recall"
    FORGET = "forget"
    # Small talk, and what is out of scope.
    NONE = "none"


# By tool and argument, its kind. intersection, approach, device, setting: one of the site's own names. minutes: whole
# and above 0. status: one of STATUSES. text: words of the question.
REQUIRED: Mapping[Tool, Mapping[str, ArgumentKind]] = MappingProxyType(
    {
        Tool.GET_CONGESTION: {"intersection": "intersection"},
        Tool.GET_SIGNAL: {"intersection": "intersection"},
        Tool.LIST_EMERGENCY: {},
        Tool.GET_DEVICE: {"device": "device"},
        Tool.LIST_DEVICES: {},
        Tool.GET_CAMERA: {"device": "device"},
        Tool.SET_SETTING: {"device": "device", "name": "setting", "value": "value"},
        Tool.REMEMBER: {"text": "text"},
        Tool.RECALL: {"topic": "text"},
        Tool.FORGET: {"topic": "text"},
        Tool.NONE: {},
    }
)
OPTIONAL: Mapping[Tool, Mapping[str, ArgumentKind]] = MappingProxyType(
    {Tool.GET_CONGESTION: {"approach": "approach", "minutes": "minutes"}, Tool.LIST_DEVICES: {"status": "status"}}
)


def plain_text(text: str) -> str:
    """Free text as it is compared: lower case, one space between words, without a leading "that" or "the" and without
    final punctuation."""
    plain = " ".join(text.lower().split()).rstrip(_FINAL + " ")
    while plain.startswith(_LEADING):
        plain = plain.partition(" ")[2]
    return plain


def equal_arguments(one: Arguments, other: Arguments) -> bool:
    """Whether two calls of one tool mean the same: free text by `plain_text`, numbers by value, and true is not 1."""
    return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)


def _equal(one: Value, other: Value) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return plain_text(one) == plain_text(other)
    return isinstance(one, bool) == isinstance(other, bool) and one == other
