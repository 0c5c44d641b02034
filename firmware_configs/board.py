"""What kinds of boards there are, and how each takes its first settings. Adding one is adding a file to boards/."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec
from msgspec import Struct

from firmware_configs.errors import BoardUnknown

Way = Literal["cloud-init", "firstrun", "autoinstall", "overlay"]


class Board(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ways: how its systems take first settings, the usual one first. on_card: its system lies on an SD card.

    watchdog_s: the longest that its hardware watchdog waits, and at most the time in which it must be fed.
    """

    title: str
    image: str
    architecture: Literal["arm64", "x86_64"]
    ways: tuple[Way, ...]
    on_card: bool
    watchdog_s: int
    zram_share: float


@cache
def boards() -> dict[str, Board]:
    folder = files(__package__) / "boards"
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".toml"))
    return {name.removesuffix(".toml"): msgspec.toml.decode((folder / name).read_bytes(), type=Board) for name in names}


def board(name: str) -> Board:
    """Raises BoardUnknown (KF231)."""
    known = boards()
    if name not in known:
        raise BoardUnknown(board=name, known=", ".join(known))
    return known[name]
