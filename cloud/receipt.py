"""Whether a status is news: a pure judgement, without a clock, so that no clock can spoil it."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

from msgspec import Struct

from protocol.edge_status import EdgeStatus
from protocol.ids import BootId

Verdict = Literal["new", "known", "stale"]


class Last(Struct, frozen=True):
    """The newest status that was kept of an edge."""

    boot: BootId
    seq: int


def judge(last: Last | None, ended: Set[BootId], status: EdgeStatus) -> Verdict:
    """known: the very status that is kept, sent again because our answer was lost. stale: an earlier one, or one of a
    run that another has followed. ended: the boots that others have followed."""
    if last is None:
        return "new"
    if status.boot == last.boot:
        if status.seq == last.seq:
            return "known"
        return "new" if status.seq > last.seq else "stale"
    return "stale" if status.boot in ended else "new"
