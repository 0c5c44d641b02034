"""What a vehicle signs: the whole message without `sig`, as JSON with sorted keys and no spaces, behind a fixed line.

All its values are whole numbers and plain words, so any language writes the same bytes.
"""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec.structs import replace

from edge_server.signals.preemption.events import Proof
from protocol.messages import PriorityRequest, PriorityRoute

_HEAD = b"kinflow-priority-1\n"


Signable = PriorityRequest | PriorityRoute
S = TypeVar("S", PriorityRequest, PriorityRoute)


def signed_bytes(request: Signable) -> bytes:
    fields = msgspec.to_builtins(request)
    del fields["sig"]
    return _HEAD + msgspec.json.encode(fields, order="sorted")


def sign(request: S, key: Ed25519PrivateKey) -> S:
    """The same with its signature, base64."""
    return replace(request, sig=base64.b64encode(key.sign(signed_bytes(request))).decode("ascii"))


def proof(request: Signable, key: Ed25519PublicKey | None) -> Proof:
    """key: the vehicle's by the key file, None when it has none."""
    if not request.sig:
        return "unsigned"
    if key is None:
        return "unknown-vehicle"
    try:
        key.verify(base64.b64decode(request.sig, validate=True), signed_bytes(request))
    except (InvalidSignature, binascii.Error, ValueError):
        return "forged"
    return "verified"
