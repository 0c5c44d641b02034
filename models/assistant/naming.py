"""Which thing of a site a name means: its id, what people call it, or enough words of that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from models.assistant.tools import plain_text
from models.errors import NameUnknown

_SHOWN = 8
# Words that tell no thing from another: "the north approach" is the one with "north" in its name.
_EMPTY = frozenset(("a", "an", "approach", "arm", "from", "of", "the"))


class Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def called(kind: str, name: str, things: Sequence[N]) -> N:
    """Raises NameUnknown (KF488) where nothing, or more than one thing, is called so."""
    wanted = plain_text(name)
    exact = [one for one in things if wanted in {plain_text(one.id), plain_text(one.name)}]
    near = exact or [one for one in things if _words(wanted) and _words(wanted) <= _words(f"{one.name} {one.id}")]
    if len(near) != 1:
        raise NameUnknown(kind=kind, name=name[:63], known=_known(near or things))
    return near[0]


def shown(thing: Named) -> str:
    return thing.name or thing.id


def _known(things: Iterable[Named]) -> str:
    names = sorted(shown(one) for one in things)
    if not names:
        return "None of that kind is known here."
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"There {'is' if len(names) == 1 else 'are'} {', '.join(names[:_SHOWN])}{more}."


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - _EMPTY
