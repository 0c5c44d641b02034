"""What edge servers of neighbouring sites say to one another over HTTPS."""

from __future__ import annotations

from msgspec import Struct

from protocol.messages import PriorityRoute, PriorityStatus

# Below node.trust.asking.BASE.
HAND_OVER = "/neighbours/route"
# The sender's root certificate, DER in base64: the receiver knows its key by the pin in the site file.
ROOT = "kinflow-root"


class HandedOver(Struct, frozen=True, kw_only=True):
    """route: as the vehicle signed it, unchanged."""

    route: PriorityRoute


class Taken(Struct, frozen=True, kw_only=True):
    """How the vehicle stands at each intersection on its way here. refusal: the code of what refused all of it."""

    statuses: tuple[PriorityStatus, ...]
    refusal: str = ""
