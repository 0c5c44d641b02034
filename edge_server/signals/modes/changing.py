"""Changing a mode and writing into the audit who did it and why: the two belong together."""

from __future__ import annotations

from edge_server.accounts.audit import Audit
from edge_server.accounts.rows import Actor
from edge_server.signals.modes.book import ModeBook
from edge_server.signals.modes.mode import Mode, Setting
from protocol.errors import KinflowError
from protocol.ids import IntersectionId


def lift(book: ModeBook, audit: Audit, who: Actor, place: IntersectionId, mode: Mode, reason: str) -> Setting:  # noqa: PLR0917
    """What can't be audited is not raised. Raises what ModeBook.lift raises, and AccountsUnusable (KF211)."""
    before = book.of(place).mode
    after = book.lift(place, mode, who.who, reason)
    try:
        audit.note(who, "mode-raised", place, f"{before} to {mode}: {reason}")
    except KinflowError:
        book.lower(place, before, who.who, "raising it could not be audited")
        raise
    return after


def lower(book: ModeBook, audit: Audit, who: Actor, place: IntersectionId, mode: Mode, reason: str) -> Setting:  # noqa: PLR0917
    """Lowered whether it can be audited or not. Raises what ModeBook.lower raises, and AccountsUnusable (KF211)."""
    before = book.of(place).mode
    after = book.lower(place, mode, who.who, reason)
    audit.note(who, "mode-lowered", place, f"{before} to {mode}: {reason}")
    return after
