"""What other parts ask of this machine, in one line each."""

from __future__ import annotations

from node.config.schema import Hardware as Wishes
from node.errors import ConfigValueInvalid
from node.hardware.fit import picture_of
from node.hardware.probe import look
from node.hardware.profile import choose, profiles


def picture_here(wishes: Wishes) -> tuple[int, int]:
    """Width and height, in pixels, to ask a camera of this machine for. Raises ConfigValueInvalid (KF32)."""
    known = profiles()
    name = wishes.profile or choose(look(), known)
    if name not in known:
        raise ConfigValueInvalid(key="hardware.profile", where="the settings", detail=f"there is no profile {name!r}")
    return picture_of(known[name], wishes)
