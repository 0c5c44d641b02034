"""The edge server's facts, for one caller: what they may change is what their role may."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_server.accounts.audit import Audit
from edge_server.accounts.need import Role, suffices
from edge_server.accounts.rows import Actor
from edge_server.errors import RoleTooLow
from edge_server.store.reader import StoreReader
from models.assistant.facts import Change
from models.assistant.own_facts import NEXT_START, OwnSettings
from models.assistant.tools import Value
from models.assistant.world import Point, World
from models.errors import SettingRefused
from node.clock import Clock
from node.config.settable import words_of
from protocol.ids import ApproachId, DeviceId, MessageId

SET_SETTING = "set-setting"
# Of a device: as to relearn its road. The server's own settings change what everybody has.
DEVICE_NEEDS: Role = "operator"
OWN_NEEDS: Role = "admin"
_MOST_POINTS = 600


@dataclass(frozen=True)
class Asker:
    """Who asks. role: None for somebody without one, who may change nothing."""

    actor: Actor
    role: Role | None


@dataclass(frozen=True)
class Hands:
    """What changing a setting takes. home: None where nothing of this server's own can be changed."""

    home: Path | None
    configure: Callable[[DeviceId, str, Mapping[str, str]], MessageId]
    audit: Audit


class EdgeFacts:
    """seen: the world at the moment of the question."""

    def __init__(self, seen: World, read: StoreReader, clock: Clock, asker: Asker, hands: Hands) -> None:
        self._seen, self._read, self._clock, self._asker, self._hands = seen, read, clock, asker, hands

    def world(self) -> World:
        return self._seen

    def history(self, approach: str, minutes: int) -> Sequence[Point]:
        return history(self._read, approach, minutes, self._clock.wall_ms())

    def look(self, camera: str, question: str) -> None:
        """Pictures stay on their devices."""
        del camera, question

    def propose(self, device: str, name: str, value: Value) -> Change:
        """Raises RoleTooLow (KF206) or SettingRefused (KF490)."""
        own = device == self._seen.teller
        self._check(own)
        if own:
            return self._own(device, name).propose(device, name, value)
        known = next((one for one in self._seen.devices if one.id == device), None)
        if known is None or known.role != "agent":
            raise SettingRefused(name=words_of(name), device=device, detail="only agents take settings from here")
        return Change(device=device, name=name, value=value)

    def apply(self, change: Change) -> str:
        """Raises as `propose`, and DeviceNotAsked (KF81). It stands in the audit before it is done."""
        own = change.device == self._seen.teller
        self._check(own)
        said = f"{change.name} = {json.dumps(change.value)}"
        self._hands.audit.note(self._asker.actor, "setting-changed", change.device, said)
        if own:
            return self._own(change.device, change.name).apply(change)
        value = change.value if isinstance(change.value, str) else json.dumps(change.value)
        self._hands.configure(DeviceId(change.device), SET_SETTING, {"name": change.name, "value": value})
        asked = f"{change.device} was asked to set {words_of(change.name)}; the event log tells how it went."
        return f"{asked} {NEXT_START}."

    def _check(self, own: bool) -> None:
        needs, role = (OWN_NEEDS if own else DEVICE_NEEDS), self._asker.role
        if role is None or not suffices(role, needs):
            raise RoleTooLow(role=role or "without a role", needs=needs)

    def _own(self, device: str, name: str) -> OwnSettings:
        if self._hands.home is None:
            raise SettingRefused(name=words_of(name), device=device, detail="this server has no state folder")
        return OwnSettings(self._hands.home)


def history(read: StoreReader, approach: str, minutes: int, now_ms: int) -> list[Point]:
    """What the store has of the last minutes, at most _MOST_POINTS points; oldest first. From any thread."""
    span_ms = minutes * 60_000
    rows = read.history(ApproachId(approach), now_ms - span_ms, step_ms=max(1_000, span_ms // _MOST_POINTS))
    return [Point(row.captured_ms, row.index, row.congestion) for row in rows]
