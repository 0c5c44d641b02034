"""What an update has come to, as the file that survives everything."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from node.update.durable import write_durably

Phase = Literal[
    "idle", "fetching", "downloaded", "unpacked", "tested", "trial", "committing", "reverting", "discarding"
]
Result = Literal["committed", "rolled-back", "refused"]
KEPT_OUTCOMES = 20


class Reason(Struct, frozen=True):
    """Why something was not done. code: a slug for programs (docs/updates.md lists them); text: for people."""

    code: str
    text: str


class Outcome(Struct, frozen=True, kw_only=True):
    """How one attempt ended. reason: always there unless it was committed. command: of the edge, when it asked."""

    version: str
    result: Result
    at_ms: int
    reason: Reason | None = None
    command: str | None = None


class Baseline(Struct, frozen=True, kw_only=True):
    """What worked before the switch, tier by tier: whether the link was up, and which cameras ran."""

    tier: str
    link_up: bool
    cameras: tuple[str, ...] = ()
    answer: bool = False


class Journal(Struct, frozen=True, kw_only=True):
    """version: the one that was committed last, which is known to work. target: the one that is tried. attempt: a
    random name of this attempt. starts_limit, trial_s: read by the boot selector. tries: how often this phase was
    begun. refused: versions that failed here, and why: they are not tried again by themselves. previous: kept for a way
    back.
    """

    format: Literal[1] = 1
    phase: Phase = "idle"
    version: str
    previous: str | None = None
    target: str | None = None
    attempt: str = ""
    source: str = ""
    command: str | None = None
    tries: int = 0
    starts_limit: int = 3
    trial_s: float = 0.0
    baseline: tuple[Baseline, ...] = ()
    reason: Reason | None = None
    refused: dict[str, Reason] = {}
    outcomes: tuple[Outcome, ...] = ()

    @property
    def last(self) -> Outcome | None:
        return self.outcomes[-1] if self.outcomes else None


def load_journal(path: Path) -> Journal | None:
    """None when there is none, or none that can be read: an installation that nobody has updated."""
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(path.read_bytes(), type=Journal)
    return None


def save_journal(path: Path, journal: Journal) -> None:
    write_durably(path, msgspec.json.encode(journal))
