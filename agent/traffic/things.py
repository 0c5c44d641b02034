"""Detections of one picture, sorted out: which are usable, and which are one thing seen as two classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.traffic.boxes import covered, overlap, within
from agent.traffic.track import Box
from models.vision.detector import Detection, Label

SURE_SCORE = 0.4
# Below this share of its sure score a detection is noise.
_DOUBTFUL_SHARE = 0.35
# Two boxes that overlap so much are one thing, unless one is a person and the other isn't.
_SAME_THING = 0.7
_FOOT_SHARE, _FOOT_HIDDEN = 0.15, 0.3
_LARGEST_PX = 100_000.0


@dataclass(frozen=True)
class Thing:
    """box: of its surest detection. sure: one of its detections counts as found. foot_hidden: something nearer (lower
    in the picture) overlaps its lower edge, so that it doesn't tell where the thing stands."""

    box: Box
    person: bool
    scores: Mapping[Label, float]
    sure: bool
    foot_hidden: bool = False


def things(detections: Sequence[Detection], picture: tuple[int, int], sure: Mapping[Label, float]) -> list[Thing]:
    """The surest first, whatever the order of detections. picture: width and height. sure: see Tracker."""
    usable = [one for one in detections if _is_box(one)]
    found: list[Thing] = []
    for one in sorted(usable, key=lambda one: (-one.score, one.box, one.label)):
        enough = sure.get(one.label, SURE_SCORE)
        box = within(one.box, picture)
        if one.score < _DOUBTFUL_SHARE * enough or box[2] - box[0] < 1 or box[3] - box[1] < 1:
            continue
        person = one.label == "person"
        for place, other in enumerate(found):
            if other.person == person and overlap(other.box, box) >= _SAME_THING:
                scores = {one.label: one.score, **other.scores}
                found[place] = replace(other, scores=scores, sure=other.sure or one.score >= enough)
                break
        else:
            found.append(Thing(box, person, {one.label: one.score}, one.score >= enough))
    return [replace(one, foot_hidden=_foot_hidden(one, found)) for one in found]


def _is_box(one: Detection) -> bool:
    numbers = (*one.box, one.score)
    if not all(math.isfinite(number) and abs(number) <= _LARGEST_PX for number in numbers):
        return False
    return one.box[2] > one.box[0] and one.box[3] > one.box[1] and 0 <= one.score <= 1


def _foot_hidden(one: Thing, found: Sequence[Thing]) -> bool:
    left, top, right, bottom = one.box
    foot = (left, bottom - _FOOT_SHARE * (bottom - top), right, bottom)
    return any(
        other is not one and other.box[3] > bottom + 1 and covered(foot, other.box) > _FOOT_HIDDEN for other in found
    )
