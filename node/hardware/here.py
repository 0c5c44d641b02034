"""What other parts ask of this machine, in one line each."""

from __future__ import annotations

import logging

from node.config.schema import Hardware as Wishes
from node.errors import ConfigValueInvalid
from node.hardware.fit import fit, picture_of
from node.hardware.probe import look
from node.hardware.profile import choose, profiles, sizes

log = logging.getLogger(__name__)


def picture_here(wishes: Wishes) -> tuple[int, int]:
    """Width and height, in pixels, to ask a camera of this machine for. Raises ConfigValueInvalid (KF32)."""
    known = profiles()
    name = wishes.profile or choose(look(), known)
    if name not in known:
        raise ConfigValueInvalid(key="hardware.profile", where="the settings", detail=f"there is no profile {name!r}")
    return picture_of(known[name], wishes)


def detector_here(wishes: Wishes) -> bool:
    """Whether this machine carries a detector; where not, the log says what it lacks. Raises ConfigValueInvalid (KF32),
    and BoardTooSmall (KF193) for a wish that can't be granted."""
    profile = fit(look(), wishes)
    if profile.detector is None:
        smallest = sizes().detector[0].name
        log.warning("no detector runs here: %s", "; ".join(one.text for one in profile.refused if one.what == smallest))
    return profile.detector is not None
