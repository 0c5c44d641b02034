"""From what a detector finds in single pictures to things that are followed through them.

Source: Zhang et al., ByteTrack, ECCV 2022, section 3: sure detections are given to tracks first, by overlap with where
each track should be now; doubtful ones then keep the tracks alive that are left, and never begin one. Time is real: the
distance between two pictures may be anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.traffic.assignment import assign
from agent.traffic.boxes import covered, grown, overlaps, within
from agent.traffic.kalman import Motion
from agent.traffic.on_road import OnRoad, Place
from agent.traffic.things import SURE_SCORE, Thing, things
from agent.traffic.track import Box, Track
from models.vision.detector import Detection, Label

# A track that nothing has shown for so long has ended: an occlusion that lasts longer is a new vehicle.
LOST_MS = 2_000
# Surely found this often, a track is told, as long as it is on average no worse than a share of sure; the second time
# must follow soon.
_TOLD_AFTER_HITS, _TOLD_SHARE = 2, 0.5
_UNCONFIRMED_MS = 600
# Overlap below which a box isn't the track's: the doubtful ones must fit better.
_LEAST_OVERLAP, _LEAST_OVERLAP_DOUBTFUL = 0.15, 0.35
# Boxes are compared with so much added to each side, as a share of their size, more for a track unseen for long: small
# and fast things don't overlap from one picture to the next (Yang et al., WACV 2023, 3.2, buffered IoU).
_MARGIN, _MARGIN_PER_S, _MARGIN_MOST = 0.15, 0.3, 0.6
# As shares of the box's height: how sure a side of a box is, how its middle's rate begins, and how that may change.
_BOX_STD, _RATE_STD, _RATE_CHANGE_STD = 0.05, 2.0, 3.0
# The same for the logarithms of its width and height.
_SIZE_STD, _SIZE_RATE_STD, _SIZE_RATE_CHANGE_STD = 0.06, 0.5, 0.5
# A vehicle's speed in m/s before anything is known of it, and how hard it brakes and pulls away.
_SPEED_STD_MPS, _ACCELERATION_MPS2, _SIDEWAYS_MPS2 = 12.0, 2.5, 0.7
_SPEED_TOLD_BELOW_STD_MPS = 3.0
# How much less a box tells where a thing stands when its lower edge is hidden, or its side lies beyond the picture.
_LESS_SURE = 4.0
_EDGE_PX = 2.0
_LEAST_IN_PICTURE = 0.25


@dataclass(frozen=True)
class _Path:
    """One track's memory. hits: pictures that showed it, sure_hits: of them those that surely did. x, y: the box's
    middle; width, height: logarithms of pixels; along: y on the road, across: x on it. sums: of each class's scores."""

    id: int
    person: bool
    sums: Mapping[Label, float]
    hits: int
    sure_hits: int
    first_ms: int
    seen_ms: int
    x: Motion
    y: Motion
    width: Motion
    height: Motion
    across: Motion | None = None
    along: Motion | None = None

    @property
    def box(self) -> Box:
        half_w, half_h = math.exp(self.width.value) / 2, math.exp(self.height.value) / 2
        return self.x.value - half_w, self.y.value - half_h, self.x.value + half_w, self.y.value + half_h

    @property
    def label(self) -> Label:
        return max(sorted(self.sums), key=lambda label: self.sums[label])


@dataclass(frozen=True)
class TrackerState:
    next_id: int = 1
    updated_ms: int | None = None
    paths: tuple[_Path, ...] = ()


class Tracker:
    """One camera's tracker. It holds no state of its own: `step` is given one and returns the next.

    picture: width and height in pixels. road: where boxes stand; None where nobody knows, and then no track has a
    ground or a velocity. sure: the score from which a class counts as found, where it isn't things.SURE_SCORE.
    """

    def __init__(
        self, picture: tuple[int, int], road: OnRoad | None = None, sure: Mapping[Label, float] | None = None
    ) -> None:
        self._picture, self._road = picture, road
        self._sure = dict(sure or {})

    def initial(self) -> TrackerState:
        return TrackerState()

    def step(
        self, state: TrackerState, detections: Sequence[Detection] | None, mono_ms: int
    ) -> tuple[TrackerState, tuple[Track, ...]]:
        """One more picture, taken at mono_ms. detections: in any order; None when the detector skipped this picture:
        all tracks are then where they should be by now. Boxes that are none (not finite, empty, outside) are
        ignored."""
        now_ms = mono_ms if state.updated_ms is None else max(mono_ms, state.updated_ms)
        elapsed_s = 0.0 if state.updated_ms is None else (now_ms - state.updated_ms) / 1000
        paths = [_moved(path, elapsed_s) for path in state.paths if now_ms - path.seen_ms <= LOST_MS]
        next_id = state.next_id
        if detections is not None:
            paths, shown, left = self._matched(paths, things(detections, self._picture, self._sure), now_ms)
            for one in left:
                if one.sure:
                    paths.append(_begun(next_id, one, now_ms))
                    shown[next_id] = one
                    next_id += 1
            paths = self._stood(paths, shown)
            paths = [path for path in paths if self._goes_on(path, now_ms)]
        else:
            paths = [path for path in paths if self._in_picture(path.box) >= _LEAST_IN_PICTURE]
        told = tuple(self._track(path, now_ms) for path in paths if self._is_told(path))
        return TrackerState(next_id, now_ms, tuple(paths)), told

    def _matched(
        self, paths: list[_Path], found: list[Thing], now_ms: int
    ) -> tuple[list[_Path], dict[int, Thing], list[Thing]]:
        """The paths moved to what was found of them, that by path id, and what belongs to none of them."""
        paths, left, shown = list(paths), list(range(len(found))), {}
        waiting = list(range(len(paths)))
        for sure, least in ((True, _LEAST_OVERLAP), (False, _LEAST_OVERLAP_DOUBTFUL)):
            offered = [number for number in left if found[number].sure == sure]
            costs = self._costs([paths[place] for place in waiting], [found[number] for number in offered], now_ms)
            for row, column in assign(costs, 1 - least):
                place, number = waiting[row], offered[column]
                paths[place] = _seen(paths[place], found[number], now_ms)
                shown[paths[place].id] = found[number]
                left.remove(number)
            waiting = [place for place in waiting if paths[place].id not in shown]
        return paths, shown, [found[number] for number in left]

    def _costs(self, paths: list[_Path], found: list[Thing], now_ms: int) -> NDArray[np.float64]:
        if not paths or not found:
            return np.ones((len(paths), len(found)))
        margins = [min(_MARGIN_MOST, _MARGIN + _MARGIN_PER_S * (now_ms - path.seen_ms) / 1000) for path in paths]
        ours = np.array([grown(path.box, margin) for path, margin in zip(paths, margins, strict=True)])
        theirs = np.array([grown(one.box, _MARGIN) for one in found])
        costs = 1 - overlaps(ours, theirs)
        kin = np.array([path.person for path in paths])[:, None] == np.array([one.person for one in found])[None, :]
        return np.where(kin, costs, 1.0)

    def _stood(self, paths: list[_Path], shown: Mapping[int, Thing]) -> list[_Path]:
        """The paths with where they stand on the road, as far as their boxes tell. shown: by path id."""
        told = [path for path in paths if path.id in shown and not self._cut_below(shown[path.id].box)]
        if self._road is None or not told:
            return paths
        seen = [shown[path.id] for path in told]
        hidden = [one.foot_hidden for one in seen]
        places = self._road.places([one.box for one in seen], [path.label for path in told], hidden)
        stood = {
            path.id: self._at(path, one, place)
            for path, one, place in zip(told, seen, places, strict=True)
            if place is not None
        }
        return [stood.get(path.id, path) for path in paths]

    def _at(self, path: _Path, one: Thing, place: Place) -> _Path:
        left, top, right, bottom = one.box
        std_px = _BOX_STD * (bottom - top) + 1.0
        cut_aside = left <= _EDGE_PX or right >= self._picture[0] - _EDGE_PX
        across_std = std_px * (_LESS_SURE if cut_aside else 1.0) * place.x_m_per_px + 0.1
        along_std = std_px * (_LESS_SURE if one.foot_hidden else 1.0) * place.y_m_per_px + 0.2
        if path.across is None or path.along is None:
            across = Motion.at(place.x_m, across_std, _SPEED_STD_MPS / 4)
            return replace(path, across=across, along=Motion.at(place.y_m, along_std, _SPEED_STD_MPS))
        across, along = path.across.seen(place.x_m, across_std), path.along.seen(place.y_m, along_std)
        return replace(path, across=across, along=along)

    def _cut_below(self, box: Box) -> bool:
        return box[3] >= self._picture[1] - _EDGE_PX

    def _goes_on(self, path: _Path, now_ms: int) -> bool:
        if path.seen_ms == now_ms:
            return True
        if path.sure_hits < _TOLD_AFTER_HITS and now_ms - path.seen_ms > _UNCONFIRMED_MS:
            return False
        return self._in_picture(path.box) >= _LEAST_IN_PICTURE

    def _is_told(self, path: _Path) -> bool:
        sure = self._sure.get(path.label, SURE_SCORE)
        return path.sure_hits >= _TOLD_AFTER_HITS and sum(path.sums.values()) >= _TOLD_SHARE * sure * path.hits

    def _in_picture(self, box: Box) -> float:
        return covered(box, (0.0, 0.0, float(self._picture[0]), float(self._picture[1])))

    def _track(self, path: _Path, now_ms: int) -> Track:
        across, along = path.across, path.along
        known = across is not None and along is not None
        told = known and along is not None and along.rate_std < _SPEED_TOLD_BELOW_STD_MPS
        return Track(
            path.id,
            path.label,
            {label: total / path.hits for label, total in path.sums.items()},
            within(path.box, self._picture),
            path.first_ms,
            now_ms,
            path.hits,
            (across.value, along.value) if across is not None and along is not None else None,
            (across.rate, along.rate) if told and across is not None and along is not None else None,
            path.seen_ms,
        )


def _moved(path: _Path, elapsed_s: float) -> _Path:
    """Where a path should be after elapsed_s. A size's rate is only good for the next moment, so it fades."""
    height = math.exp(path.height.value)
    fading = math.exp(-elapsed_s / 0.5)
    change = _RATE_CHANGE_STD * height
    return replace(
        path,
        x=path.x.after(elapsed_s, change),
        y=path.y.after(elapsed_s, change),
        width=path.width.after(elapsed_s, _SIZE_RATE_CHANGE_STD).slowed(fading),
        height=path.height.after(elapsed_s, _SIZE_RATE_CHANGE_STD).slowed(fading),
        across=None if path.across is None else path.across.after(elapsed_s, _SIDEWAYS_MPS2),
        along=None if path.along is None else path.along.after(elapsed_s, _ACCELERATION_MPS2),
    )


def _begun(number: int, one: Thing, now_ms: int) -> _Path:
    left, top, right, bottom = one.box
    height = bottom - top
    return _Path(
        number,
        one.person,
        dict(one.scores),
        1,
        1,
        now_ms,
        now_ms,
        Motion.at((left + right) / 2, _BOX_STD * height, _RATE_STD * height),
        Motion.at((top + bottom) / 2, _BOX_STD * height, _RATE_STD * height),
        Motion.at(math.log(right - left), _SIZE_STD, _SIZE_RATE_STD),
        Motion.at(math.log(height), _SIZE_STD, _SIZE_RATE_STD),
    )


def _seen(path: _Path, one: Thing, now_ms: int) -> _Path:
    left, top, right, bottom = one.box
    std = _BOX_STD * (bottom - top)
    # 0 where this class was not named this time: the mean is over all pictures that showed the track.
    sums = dict(path.sums)
    for label, score in one.scores.items():
        sums[label] = sums.get(label, 0.0) + score
    return replace(
        path,
        sums=sums,
        hits=path.hits + 1,
        sure_hits=path.sure_hits + one.sure,
        seen_ms=now_ms,
        x=path.x.seen((left + right) / 2, std),
        y=path.y.seen((top + bottom) / 2, std),
        width=path.width.seen(math.log(right - left), _SIZE_STD),
        height=path.height.seen(math.log(bottom - top), _SIZE_STD),
    )
