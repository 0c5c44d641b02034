"""The assistant of this machine for a command: facts by files, notes, and the edge server where it may be asked."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from models.assistant.assistant import Higher, Session
from models.assistant.desk import Desk
from models.assistant.own_facts import OwnFacts, facts_here
from models.assistant.reply import Policy, Said
from models.errors import DiaryLocked, TierUnreachable
from node.clock import Clock, SystemClock
from node.config.load import load
from node.config.schema import Settings


@dataclass
class Here:
    """desk, facts: this machine's. trouble: why no tier above can be asked although one was set up, "" for nothing."""

    desk: Desk
    facts: OwnFacts
    clock: Clock
    trouble: str = ""

    def stream(self, question: str | bytes, policy: Policy) -> Iterator[Said]:
        return self.desk.stream(self.facts, question, policy)

    @property
    def session(self) -> Session:
        return self.desk.session("", "")[0]

    def go_on(self, before: Session) -> None:
        """With what an earlier command left waiting."""
        self.session.waiting, self.session.name = before.waiting, before.name


def open_here(home: Path, policy: Policy) -> Here:
    """With --max-tier device nothing that could open a socket is even imported."""
    clock, settings = SystemClock(), load(home).settings
    higher, trouble = _higher(home, settings) if policy.allows("edge") else (None, "")
    desk = Desk(home, clock, higher=higher, passphrase=passphrase_of(settings, home))
    return Here(desk, facts_here(home), clock, trouble)


def passphrase_of(settings: Settings, home: Path) -> Callable[[], str | None]:
    """From the file that was set; else from a person at a terminal; else none."""

    def passphrase() -> str | None:
        if settings.assistant.key_file:
            return read_key(Path(settings.assistant.key_file), home)
        return getpass.getpass("Passphrase of the notes: ") if sys.stdin.isatty() and sys.stderr.isatty() else None

    return passphrase


def read_key(path: Path, home: Path) -> str:
    """The first line of a file. Raises DiaryLocked (KF491)."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DiaryLocked(path=home, detail=f"the key file {path} can't be read") from error
    if not lines or not lines[0]:
        raise DiaryLocked(path=home, detail=f"the key file {path} is empty")
    return lines[0]


def _higher(home: Path, settings: Settings) -> tuple[Higher | None, str]:
    from models.assistant.edge_tier import edge_of  # noqa: PLC0415 (it brings HTTP)

    try:
        return edge_of(home, settings), ""
    except TierUnreachable as error:
        return None, error.cause_text
