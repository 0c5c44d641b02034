"""Facts of the machine that this process runs on: a source of worlds and histories, and this machine's own settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from models.assistant.facts import Change, Seen
from models.assistant.looking import Looker
from models.assistant.tools import Value
from models.assistant.world import Point, World
from models.assistant.world_file import WorldAsker
from models.errors import FactsMissing, SettingRefused
from node.config.change import change as write_setting
from node.config.load import load
from node.config.settable import Scalar, words_of

FRESH_S = 2.0
NEXT_START = "It holds from the next start on"


class OwnSettings:
    """Those in the kinflow.toml of one state folder. environment: what beats the file."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def propose(self, device: str, name: str, value: Value) -> Change:
        """Raises SettingRefused (KF490) where a variable would beat the file, ConfigUnreadable (KF30) and the like."""
        effective = load(self._home)
        if effective.origin(name).kind == "environment":
            where = effective.origin(name).where
            raise SettingRefused(name=words_of(name), device=device, detail=f"the variable {where} sets it")
        was = effective.value(name)
        return Change(device=device, name=name, value=value, was=was if isinstance(was, Scalar) else None)

    def apply(self, change: Change) -> str:
        write_setting(self._home, change.name, change.value)
        return f"{words_of(change.name)} of {change.device} is set. {NEXT_START}."


class OwnFacts:
    """world, history: as the port `Facts` has them. Only the teller's own settings can be changed here. looker: None
    where no model reads pictures."""

    def __init__(
        self,
        world: Callable[[], World],
        history: Callable[[str, int], Sequence[Point]],
        settings: OwnSettings,
        looker: Looker | None = None,
    ) -> None:
        self._world, self._history, self._settings, self._looker = world, history, settings, looker

    def world(self) -> World:
        return self._world()

    def history(self, approach: str, minutes: int) -> Sequence[Point]:
        return self._history(approach, minutes)

    def look(self, camera: str, question: str) -> Seen | None:
        said = "" if self._looker is None else self._looker.look(camera, question)
        return Seen(name=self._looker.name, text=said) if said and self._looker is not None else None

    def propose(self, device: str, name: str, value: Value) -> Change:
        self._check_own(device, name)
        return self._settings.propose(device, name, value)

    def apply(self, change: Change) -> str:
        self._check_own(change.device, change.name)
        return self._settings.apply(change)

    def _check_own(self, device: str, name: str) -> None:
        if device != self._world().teller:
            detail = f"only the edge server that runs can ask {device}"
            raise FactsMissing(what=f"{words_of(name)} of another machine", detail=detail)


def facts_here(home: Path) -> OwnFacts:
    """Those of the agent or edge server that runs on this state folder, through files: no socket is opened."""
    asker = WorldAsker(home)
    # The names that a question was understood by are still those of its answer.
    known: list[tuple[float, World]] = []

    def world() -> World:
        if not known or time.monotonic() - known[0][0] > FRESH_S:
            found = asker.ask().world
            known[:] = [(time.monotonic(), found)]
        return known[0][1]

    def history(approach: str, minutes: int) -> Sequence[Point]:
        return asker.ask({approach: minutes}).history.get(approach, ())

    return OwnFacts(world, history, OwnSettings(home))
