"""The mode of an intersection: what may come of a decision. Pure.

off: nothing is decided. shadow: decided and written down beside what the real controller does. advise: shown to an
operator, and commanded once it is confirmed. act: commanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from protocol.site import Intersection, Site

Mode = Literal["off", "shadow", "advise", "act"]
MODES: tuple[Mode, ...] = ("off", "shadow", "advise", "act")


class Setting(Struct, frozen=True, kw_only=True):
    """The mode of one intersection, for one controller: another controller there, or one that is no longer simulated,
    starts anew. seen: how many changes of each edge server of a pair went into it. by: as in the audit; "" for nobody.
    """

    mode: Mode
    controller: str
    simulated: bool
    by: str = ""
    reason: str = ""
    at_ms: int = 0
    seen: Mapping[str, int] = {}

    def fits(self, other: Setting) -> bool:
        """Whether both are about the same controller."""
        return (self.controller, self.simulated) == (other.controller, other.simulated)


def is_simulated(intersection: Intersection, site: Site) -> bool:
    """What the intersection says of its controller, else what the site says of all; nothing said means a real one."""
    return site.simulated if intersection.simulated is None else intersection.simulated


def starting(intersection: Intersection, site: Site) -> Setting:
    """What holds before anybody has changed it: a real controller is only watched."""
    simulated = is_simulated(intersection, site)
    return Setting(mode="act" if simulated else "shadow", controller=intersection.controller, simulated=simulated)


def is_higher(mode: Mode, than: Mode) -> bool:
    return MODES.index(mode) > MODES.index(than)


def lower_of(one: Mode, other: Mode) -> Mode:
    return other if is_higher(one, other) else one


def changed(now: Setting, mode: Mode, edge: str, by: str, reason: str, at_ms: int) -> Setting:  # noqa: PLR0917
    """now: what it follows upon. edge: the edge server at which it is changed."""
    seen = {**now.seen, edge: now.seen.get(edge, 0) + 1}
    return replace(now, mode=mode, by=by, reason=reason, at_ms=at_ms, seen=seen)


def merged(mine: Setting, theirs: Setting) -> Setting:
    """Of the two of a pair: the one that knows of the other's changes. Where both changed it while they could not
    speak, the lower mode holds; and so whoever took the signals away is never overruled by who did not know."""
    if _covers(mine, theirs):
        return mine if not _covers(theirs, mine) else min(mine, theirs, key=_order)
    if _covers(theirs, mine):
        return theirs
    known = mine.seen.keys() | theirs.seen.keys()
    both = {edge: max(mine.seen.get(edge, 0), theirs.seen.get(edge, 0)) for edge in sorted(known)}
    return replace(min(mine, theirs, key=_order), seen=both)


def _covers(one: Setting, other: Setting) -> bool:
    return all(one.seen.get(edge, 0) >= count for edge, count in other.seen.items())


def _order(one: Setting) -> tuple[int, int, str, str, str, bool]:
    return MODES.index(one.mode), -one.at_ms, one.by, one.reason, one.controller, one.simulated
