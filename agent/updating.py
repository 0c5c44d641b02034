"""The edge's command `update`: handed to the updater as a wish, and answered when that has come to an end.

The agent can't change programs: it writes a file that starts the updater, and reads the updater's journal. Between the
two it is itself restarted, as another version perhaps, so what is still to be answered lies in a file.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import msgspec
from msgspec import Struct

from node.clock import Clock
from node.errors import UpdateNotPossible
from node.update import request
from node.update.durable import remove_durably, write_durably
from node.update.journal import Journal, Outcome, load_journal
from node.update.places import find_prefix
from node.update.version import is_version
from protocol.messages import ConfigCommand
from protocol.messages.config_command import ConfigStatus
from protocol.messages.health import UpdateOutcome, UpdateState

UPDATE = "update"
LOOK_EVERY_MS = 1_000

log = logging.getLogger(__name__)


class _Pending(Struct, frozen=True):
    """item: of the topic that the command came on."""

    command: ConfigCommand
    item: str


class UpdateDesk:
    """Used by one thread. can_update: whether this installation has versions; a clone has none."""

    def __init__(self, home: Path, clock: Clock, can_update: bool | None = None) -> None:
        self._folder = home / "update"
        self._clock = clock
        self._can_update = _is_installed() if can_update is None else can_update
        self._pending = self._load()
        self._look_due_ms = 0
        self._journal: Journal | None = None
        self._stamp = 0

    def take(self, command: ConfigCommand, item: str) -> str | None:
        """Hand a command on. None when the updater was asked, else why it can't be."""
        version = command.arguments.get("version")
        if not self._can_update:
            return "not-possible: this device runs from no installed version"
        if version is not None and not (isinstance(version, str) and is_version(version)):
            return "not-possible: that is no version"
        pending = _Pending(command, item)
        try:
            write_durably(self._folder / "command.json", msgspec.json.encode(pending))
            request.ask(self._folder / "wanted", request.Request(version=version, command=command.command))
        except OSError as error:
            return f"disk-full: {error.strerror}"
        self._pending = pending
        return None

    def knows(self, command: ConfigCommand) -> bool:
        """Whether a command is being carried out: its end will be told."""
        return self._pending is not None and self._pending.command.command == command.command

    def ended(self) -> tuple[ConfigCommand, str, ConfigStatus, str] | None:
        """A command that has come to its end: with its topic's item, status and reason. Told until `answered`."""
        now_ms = self._clock.monotonic_ms()
        if self._pending is None or now_ms < self._look_due_ms:
            return None
        self._look_due_ms = now_ms + LOOK_EVERY_MS
        pending = self._pending
        outcome = self._outcome(pending.command)
        if outcome is None:
            return None
        reason = f"{outcome.reason.code}: {outcome.reason.text}" if outcome.reason else ""
        status: ConfigStatus = "successful" if outcome.result == "committed" else "failed"
        return pending.command, pending.item, status, reason[:500]

    def answered(self) -> None:
        self._pending = None
        with contextlib.suppress(OSError):
            remove_durably(self._folder / "command.json")

    def state(self) -> UpdateState | None:
        """How updates stand, for the health message; None where nothing was ever updated."""
        journal = self._read()
        if journal is None:
            return None
        last = journal.last
        return UpdateState(
            version=journal.version,
            phase=journal.phase,
            target=journal.target,
            last=None
            if last is None
            else UpdateOutcome(
                version=last.version,
                result=last.result,
                at_ms=last.at_ms,
                code=last.reason.code if last.reason else None,
                text=last.reason.text[:300] if last.reason else "",
            ),
        )

    def _outcome(self, command: ConfigCommand) -> Outcome | None:
        journal = self._read()
        if journal is None or journal.command == command.command:
            return None
        return next((one for one in reversed(journal.outcomes) if one.command == command.command), None)

    def _read(self) -> Journal | None:
        """The journal, read again only when it has changed."""
        path = self._folder / "state.json"
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return None
        if stamp != self._stamp or self._journal is None:
            self._stamp, self._journal = stamp, load_journal(path)
        return self._journal

    def _load(self) -> _Pending | None:
        try:
            return msgspec.json.decode((self._folder / "command.json").read_bytes(), type=_Pending)
        except (OSError, msgspec.DecodeError):
            return None


def _is_installed() -> bool:
    try:
        find_prefix()
    except UpdateNotPossible:
        return False
    return True
