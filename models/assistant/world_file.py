"""How one process asks another of its machine what it knows, through files alone: no socket is opened.

Who asks writes `assistant/ask.json`; an agent or an edge server of the same state folder sees that it changed and
writes `assistant/told-<tier>.json`. While nobody asks, nothing is written.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from models.assistant.world import Point, World
from models.errors import FactsMissing
from node.update.health import read_reports

FOLDER = "assistant"
ASK = "ask.json"
# Who knows more comes first.
TELLERS: tuple[Teller, ...] = ("edge", "agent")
ANSWER_WITHIN_S = 5.0
_TURN_S = 0.02
# Two may ask at once, and the later one's question stands in the file.
_AGAIN_S = 1.5

Teller = Literal["edge", "agent"]


class Asked(Struct, frozen=True):
    """history: minutes by approach."""

    nonce: str
    history: dict[str, int] = {}


class Told(Struct, frozen=True):
    nonce: str
    world: World
    history: dict[str, tuple[Point, ...]] = {}


class WorldTeller:
    """The side that knows. `look` is called often, from one thread."""

    def __init__(
        self,
        home: Path,
        tier: Teller,
        world: Callable[[], World],
        history: Callable[[str, int], Sequence[Point]],
    ) -> None:
        self._ask, self._told = home / FOLDER / ASK, home / FOLDER / f"told-{tier}.json"
        self._world, self._history = world, history
        self._stamp = _stamp(self._ask)

    def look(self) -> None:
        """Answer what was asked since the last look. A disk that refuses ends nothing."""
        stamp = _stamp(self._ask)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            asked = msgspec.json.decode(self._ask.read_bytes(), type=Asked)
            history = {approach: tuple(self._history(approach, minutes)) for approach, minutes in asked.history.items()}
            _write(self._told, msgspec.json.encode(Told(asked.nonce, self._world(), history)))


class WorldAsker:
    """The side that asks. wait: called between looks, so that tests need not sleep."""

    def __init__(self, home: Path, wait: Callable[[], None] = lambda: time.sleep(_TURN_S)) -> None:
        self._home, self._wait = home, wait

    def ask(self, history: Mapping[str, int] | None = None) -> Told:
        """Raises FactsMissing (KF489) where nothing of Kinflow's runs here, or it does not answer."""
        alive = read_reports(self._home, this_boot=True)
        tellers = [one for one in TELLERS if one in alive]
        if not tellers:
            raise FactsMissing(what="What goes on", detail="neither an agent nor an edge server runs on this machine")
        began_s = time.monotonic()
        asked_s, nonces = -_AGAIN_S, set[str]()
        while (now_s := time.monotonic()) - began_s < ANSWER_WITHIN_S:
            if now_s - asked_s >= _AGAIN_S:
                asked_s, nonce = now_s, secrets.token_hex(8)
                nonces.add(nonce)
                self._put(Asked(nonce, dict(history or {})))
            for tier in tellers:
                told = self._read(tier, nonces)
                # An edge server looks once a second: what an agent knows is enough where none has answered by then.
                if told is not None and (tier == tellers[0] or now_s - began_s > _AGAIN_S):
                    return told
            self._wait()
        names = {"edge": "the edge server", "agent": "the agent"}
        running = " and ".join(names[one] for one in tellers)
        raise FactsMissing(what="What goes on", detail=f"{running} of this machine did not answer")

    def _put(self, asked: Asked) -> None:
        try:
            _write(self._home / FOLDER / ASK, msgspec.json.encode(asked))
        except OSError as error:
            detail = f"{self._home / FOLDER} can't be written: {error.strerror}"
            raise FactsMissing(what="What goes on", detail=detail) from error

    def _read(self, tier: Teller, nonces: Set[str]) -> Told | None:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            told = msgspec.json.decode((self._home / FOLDER / f"told-{tier}.json").read_bytes(), type=Told)
            return told if told.nonce in nonces else None
        return None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; not synced, since after a power cut nobody wants an old one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
