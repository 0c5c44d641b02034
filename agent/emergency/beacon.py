"""Do emergency beacons flash on a track? Its last seconds, and what their flicker says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agent.emergency.crops import Box, Crop, crop_of, laid
from agent.emergency.flicker import Flicker, flicker
from agent.emergency.flicker_llr import flicker_llr, quiet_llr

Colour = Literal["blue", "red", "amber"]

WINDOW_MS = 3_000
# A sinusoid of 4 Hz needs more than eight pictures a second (Nyquist); below ten, with their jitter, nothing is said.
LEAST_FPS = 10.0
_SLACK = 0.95
LEAST_PICTURES = 8
# Twenty pictures a second are enough for four flashes; more cost time on every track and tell no more.
_LEAST_PAUSE_MS = 45
_LARGEST_GAP_MS = 700
_EDGE_PX = 4.0
# A box whose height leaps by so much (natural logarithm) from one picture to the next is another vehicle's.
_LEAP = 0.25


@dataclass(frozen=True)
class History:
    """One track's pictures, the oldest first, of the last WINDOW_MS. height_px: of the box in the last of them."""

    times_ms: tuple[int, ...] = ()
    crops: tuple[Crop, ...] = ()
    height_px: float = 0.0

    @cached_property
    def reading(self) -> BeaconReading:
        return _judge(self)


EMPTY = History()


@dataclass(frozen=True)
class BeaconReading:
    """available: pictures came fast enough for a test. llr: natural logarithm of the likelihood ratio of what was seen
    with blue or red beacons to without, 0 while too little was seen. amber_llr: the same with amber ones, which works
    vehicles have too. colours: of what flashes, when either is above 0."""

    available: bool
    llr: float = 0.0
    amber_llr: float = 0.0
    colours: tuple[Colour, ...] = ()
    rate_hz: float | None = None


NOT_AVAILABLE = BeaconReading(available=False)


def remember(history: History, image: NDArray[Any], box: Box, gain: float, mono_ms: int) -> History:
    """The same history where this picture adds nothing: it came too soon after the last. gain: see crop_of. A box too
    small to hold a beacon of a pixel adds nothing either; one that leaps begins anew."""
    if history.times_ms and 0 <= mono_ms - history.times_ms[-1] < _LEAST_PAUSE_MS:
        return history
    crop, height = crop_of(image, box, gain), box[3] - box[1]
    if history.times_ms:
        late = mono_ms - history.times_ms[-1] > _LARGEST_GAP_MS
        if late or (crop is not None and abs(log(height / history.height_px)) > _LEAP):
            history = EMPTY
    first = next((i for i, at in enumerate(history.times_ms) if mono_ms - at <= WINDOW_MS), len(history.times_ms))
    times, crops = history.times_ms[first:], history.crops[first:]
    if crop is None or (times and mono_ms <= times[-1]):
        return History(times, crops, history.height_px)
    return History((*times, mono_ms), (*crops, crop), height)


def whole(image: NDArray[Any], box: Box) -> bool:
    """Whether the sides and the lower edge of the picture leave the box whole: where a vehicle drives out of it, all
    that it is painted with moves through what is left of its box."""
    height, width = image.shape[:2]
    return box[0] > _EDGE_PX and box[2] < width - _EDGE_PX and box[3] < height - _EDGE_PX


def fast_enough(times_ms: tuple[int, ...]) -> bool:
    """Whether these pictures came at LEAST_FPS or more, by their median pause."""
    if len(times_ms) < 3:
        return False
    return float(np.median(np.diff(times_ms))) <= 1000 / (LEAST_FPS * _SLACK)


def judge(history: History) -> BeaconReading:
    """Worked out once for each history, however often it is asked for."""
    return history.reading


def flicker_of(history: History) -> Flicker | None:
    """None where nothing changes its colour. The history holds LEAST_PICTURES."""
    times_s = np.array(history.times_ms) / 1000
    return flicker(laid(history.crops, times_s), times_s)


def _judge(history: History) -> BeaconReading:
    if len(history.times_ms) < LEAST_PICTURES:
        return BeaconReading(available=len(history.times_ms) < 3 or fast_enough(history.times_ms))
    if not fast_enough(history.times_ms):
        return NOT_AVAILABLE
    found = flicker_of(history)
    if found is None:
        return BeaconReading(True, llr=quiet_llr((history.times_ms[-1] - history.times_ms[0]) / 1000))
    blue, red, amber, other = found.colours
    llr, amber_llr = flicker_llr(found), flicker_llr(replace(found, colours=(blue, red + amber, 0.0, other)))
    if amber_llr <= 0:
        return BeaconReading(True, llr, amber_llr)
    shares = zip(("blue", "red", "amber"), found.colours, strict=False)
    colours: tuple[Colour, ...] = tuple(name for name, share in shares if share > 0.15)  # type: ignore[misc]
    return BeaconReading(True, llr, amber_llr, colours, found.rate_hz)
