"""The port of an encoding. Ours is JSON with the standard's own names; one that writes UPER (X.691) fits here."""

from __future__ import annotations

import json
from typing import Any, Literal, Protocol

Kind = Literal["SignalRequestMessage", "SignalStatusMessage", "SPAT"]
Value = dict[str, Any]


class Codec(Protocol):
    """Values are what J2735's ASN.1 describes: SEQUENCE as a dict by the standard's names (`state-time-speed`
    included), CHOICE as a dict of the one that is chosen, ENUMERATED as its name, BIT STRING as the list of the names
    that are set, OCTET STRING as hexadecimal digits. decode raises ValueError."""

    def encode(self, kind: Kind, value: Value) -> bytes: ...

    def decode(self, kind: Kind, data: bytes) -> Value: ...


class JsonCodec:
    def encode(self, kind: Kind, value: Value) -> bytes:
        return json.dumps({kind: value}, separators=(",", ":")).encode()

    def decode(self, kind: Kind, data: bytes) -> Value:
        found = json.loads(data)
        if not isinstance(found, dict) or not isinstance(found.get(kind), dict):
            raise ValueError(f"it is no {kind}")
        value: Value = found[kind]
        return value
