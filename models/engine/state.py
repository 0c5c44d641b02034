"""Contexts as data: bound to the model, checked for damage before the library reads them."""

from __future__ import annotations

import hashlib

from models.engine.port import Facts, Portion
from models.errors import StateForeign


def pack(facts: Facts, start: int, end: int, data: bytes, *, whole: bool) -> Portion:
    return Portion(facts.fingerprint, facts.layout, start, end, whole, data, hashlib.sha256(data).hexdigest())


def unpack(portion: Portion, facts: Facts, held: int) -> bytes:
    """The data, for a sequence of an engine with these facts that holds `held` tokens. Raises StateForeign (KF396)."""
    if portion.fingerprint != facts.fingerprint:
        here = facts.fingerprint[:12]
        raise StateForeign(detail=f"it belongs to the model {portion.fingerprint[:12]}, this is {here}")
    if portion.layout != facts.layout:
        raise StateForeign(detail=f"it is kept as {portion.layout}, and here contexts are kept as {facts.layout}")
    if portion.start != held:
        raise StateForeign(detail=f"it begins at token {portion.start}, and {held} are held")
    if hashlib.sha256(portion.data).hexdigest() != portion.sha256:
        raise StateForeign(detail="its data has changed on the way")
    return portion.data
