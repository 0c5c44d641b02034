"""Everything that the dashboard shows, the latest of each object, in the order in which it last changed.

A reader keeps one number, its cursor, and asks for what changed after it. So a slow reader costs nothing and never
gets an old value, and a reader that was away comes back with its cursor.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from edge_server.gateway.views import Shown

S = TypeVar("S", bound=Shown)
REMOVED_KEPT = 1_000

_Key = tuple[type[Shown], str]


@dataclass(frozen=True)
class Change:
    """view is None when the object is gone."""

    revision: int
    kind: str
    id: str
    view: Shown | None


class Board:
    """limits: how many objects of a kind are kept; the one that changed longest ago is forgotten first."""

    def __init__(self, limits: Mapping[type[Shown], int] | None = None) -> None:
        self._limits = limits or {}
        self._changes: OrderedDict[_Key, Change] = OrderedDict()
        self._shown: dict[type[Shown], OrderedDict[str, Shown]] = {}
        self._removed: OrderedDict[_Key, None] = OrderedDict()
        self._floor = 0
        self.revision = 0

    def put(self, view: Shown) -> None:
        key = (type(view), str(view.id))
        self._write(key, view)
        self._removed.pop(key, None)
        shown = self._shown.setdefault(key[0], OrderedDict())
        shown[key[1]] = view
        shown.move_to_end(key[1])
        if len(shown) > self._limits.get(key[0], len(shown)):
            self._forget((key[0], shown.popitem(last=False)[0]))

    def remove(self, kind: type[Shown], name: str) -> None:
        if self._shown.get(kind, OrderedDict()).pop(name, None) is None:
            return
        self._write((kind, name), None)
        self._removed[kind, name] = None
        if len(self._removed) > REMOVED_KEPT:
            self._forget(self._removed.popitem(last=False)[0])

    def get(self, kind: type[S], name: str) -> S | None:
        view = self._shown.get(kind, OrderedDict()).get(name)
        return view if isinstance(view, kind) else None

    def all(self, kind: type[S]) -> tuple[S, ...]:
        """Every object of a kind, the one that changed longest ago first."""
        return tuple(view for view in self._shown.get(kind, OrderedDict()).values() if isinstance(view, kind))

    def since(self, cursor: int) -> list[Change] | None:
        """What changed after `cursor`, oldest first; None when something of that has been forgotten."""
        if not self._floor <= cursor <= self.revision:
            return None
        newest: list[Change] = []
        for change in reversed(self._changes.values()):
            if change.revision <= cursor:
                break
            newest.append(change)
        return newest[::-1]

    def _write(self, key: _Key, view: Shown | None) -> None:
        self.revision += 1
        self._changes[key] = Change(self.revision, key[0].kind, key[1], view)
        self._changes.move_to_end(key)

    def _forget(self, key: _Key) -> None:
        self._floor = max(self._floor, self._changes.pop(key).revision)
