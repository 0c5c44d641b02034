"""What a check is, what it is given and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from node.clock import Clock
from node.config.load import Effective, load
from protocol.errors import KinflowError


@dataclass(frozen=True)
class Context:
    """What checks look at. Everything is read, nothing is started; only fix() may change the state folder."""

    home: Path
    clock: Clock
    environment: Mapping[str, str] = field(default_factory=dict)

    def settings(self) -> Effective:
        """The settings that hold, or the defaults when they can't be read: config_valid alone tells of that."""
        try:
            return load(self.home, self.environment)
        except KinflowError:
            return load(self.home / "nowhere", {})

    def files(self, pattern: str) -> list[Path]:
        """Files of the state folder and of the folders in it that match `pattern`."""
        return sorted({*self.home.glob(pattern), *self.home.glob(f"*/{pattern}"), *self.home.glob(f"*/*/{pattern}")})


@dataclass(frozen=True)
class Result:
    """code: of the error that was met, else of the one that is looked for. advice: what to do, or what was found."""

    code: str
    ok: bool
    advice: str


class Check(Protocol):
    """One file in a package of checks; the file's name is the check's slug.

    run() returns a note on what it found. It raises the KinflowError that a user would meet. A check may also have
    `fix(context)`: put right what can be put right without asking, and tell what was done.
    """

    title: str
    error: type[KinflowError]

    def run(self, context: Context) -> str: ...


class Fixable(Check, Protocol):
    def fix(self, context: Context) -> str: ...
