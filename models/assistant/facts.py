"""The port of facts: what the assistant asks of the world that it runs in. Agent and edge server have its adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from models.assistant.tools import Value
from models.assistant.world import Point, World


class Change(Struct, frozen=True, kw_only=True):
    """A setting that is to be changed, and was found fit. name: its key, `log.level`. was: what holds now, None where
    that is not known here."""

    device: str
    name: str
    value: Value
    was: Value | None = None


class Seen(Struct, frozen=True, kw_only=True):
    """What a model says of a picture. name: the model's. text: its words, which may be wrong."""

    name: str
    text: str


class Facts(Protocol):
    """From one thread at a time."""

    def world(self) -> World:
        """What is known now. Raises FactsMissing (KF489) where nobody here can tell."""
        ...

    def history(self, approach: str, minutes: int) -> Sequence[Point]:
        """The index of an approach, by its id, oldest first. Raises FactsMissing (KF489)."""
        ...

    def look(self, camera: str, question: str) -> Seen | None:
        """What a model of the owner's says of a camera's picture now; None where there is no model or no picture.
        Raises what opening it does."""
        ...

    def propose(self, device: str, name: str, value: Value) -> Change:
        """The change as it would be made; nothing is done. device, name: an id and a key of SETTABLE. Raises
        SettingRefused (KF490), or what tells that the one who asks may not."""
        ...

    def apply(self, change: Change) -> str:
        """Make it, and say in a sentence how it went. Raises as `propose`."""
        ...
