"""How far a picture can be trusted: moved, dark, glaring, blurred, frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.camera.port import Image
from protocol.messages import Quality
from protocol.messages.observation import Problem

_SMALL = (160, 90)
_WINDOW = cv2.createHanningWindow(_SMALL, cv2.CV_32F)
_CHECK_EVERY_MS = 1000
_FROZEN_AFTER_MS = 3000
_DARK_LUMA, _BLACK_LUMA = 45.0, 8.0
_BRIGHT_SHARE = 0.35
# Sharpness below this share of what the same camera used to show is blur: a wet or misted lens, lost focus.
_BLUR_SHARE = 0.35
_BLUR_ABSOLUTE = 0.35
_REFERENCE_S = 60.0
_DULLER_SHARE = 1 / 600
# A camera has moved when its picture lies this many small pixels off, and always by the same, some checks running:
# traffic and noise at night give shifts too, each time another.
_MOVED_PX, _SAME_PX = 4.0, 2.0
_MOVED_CHECKS = 4
_SURE_RESPONSE = 0.05
# Each check's share in the recent edges: a memory of some five seconds.
_RECENT_SHARE = 0.2
_SCORES: dict[Problem, float] = {
    "moved": 0.1,
    "frozen": 0.05,
    "stalled": 0.0,
    "dark": 0.6,
    "bright": 0.5,
    "blurred": 0.5,
    "uncalibrated": 0.65,
}
_BLACK_SCORE = 0.1


@dataclass(frozen=True)
class QualityState:
    """reference, recent: mean edges of the picture, 90 x 160, over minutes and over seconds: a camera that was moved is
    told by them, for traffic is averaged out. sharpness: what this camera usually shows."""

    reference: NDArray[Any] | None = None
    recent: NDArray[Any] | None = None
    sharpness: float | None = None
    checked_ms: int | None = None
    changed_ms: int | None = None
    fingerprint: bytes = b""
    moved_checks: int = 0
    moved_px: tuple[float, float] = (0.0, 0.0)
    problems: tuple[Problem, ...] = ()
    black: bool = False


def judge(state: QualityState, image: Image, mono_ms: int, calibrated: bool) -> tuple[QualityState, Quality]:
    """Judge one frame; the costlier checks are made once a second and hold until the next."""
    fingerprint = image[::16, ::16].tobytes()
    changed_ms = mono_ms if fingerprint != state.fingerprint or state.changed_ms is None else state.changed_ms
    state = replace(state, fingerprint=fingerprint, changed_ms=changed_ms)
    if state.checked_ms is None or mono_ms - state.checked_ms >= _CHECK_EVERY_MS:
        state = _check(state, image, mono_ms)
    problems = list(state.problems)
    if mono_ms - changed_ms >= _FROZEN_AFTER_MS:
        problems.append("frozen")
    if not calibrated:
        problems.append("uncalibrated")
    return state, quality_of(tuple(problems), state.black)


def quality_of(problems: tuple[Problem, ...], black: bool = False) -> Quality:
    score = 1.0
    for problem in problems:
        score *= _SCORES[problem]
    return Quality(round(min(score, _BLACK_SCORE) if black else score, 3), problems)


def trust(quality: Quality) -> float:
    """0..1: how far this picture is as good as those on which the index knows its own error; by night they are dark."""
    return min(1.0, quality.score / _SCORES["dark"]) if "dark" in quality.problems else quality.score


def _check(state: QualityState, image: Image, mono_ms: int) -> QualityState:
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), _SMALL, interpolation=cv2.INTER_AREA)
    luma = float(small.mean())
    problems: list[Problem] = []
    if luma < _DARK_LUMA:
        problems.append("dark")
    if float((small >= 250).mean()) > _BRIGHT_SHARE:
        problems.append("bright")
    sharpness, blurred = _sharpness(state.sharpness, image, luma)
    if blurred:
        problems.append("blurred")
    edges = cv2.magnitude(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1))
    edges = np.minimum(np.sqrt(edges), 16.0)
    recent = edges if state.recent is None else state.recent + np.float32(_RECENT_SHARE) * (edges - state.recent)
    reference = recent if state.reference is None else state.reference
    (dx, dy), response = cv2.phaseCorrelate(reference, recent, _WINDOW)
    off = math.hypot(dx, dy) >= _MOVED_PX
    again = math.hypot(dx - state.moved_px[0], dy - state.moved_px[1]) <= _SAME_PX
    moved = state.moved_checks
    if off and response >= _SURE_RESPONSE:
        moved = min(moved + 1, _MOVED_CHECKS) if again or not moved else 1
    elif not off:
        moved = max(0, moved - 1)
        if not moved:
            # Only a picture that lies where it should may teach where that is.
            reference = reference + np.float32(_CHECK_EVERY_MS / 1000 / _REFERENCE_S) * (recent - reference)
    if moved >= _MOVED_CHECKS or (moved and "moved" in state.problems):
        problems.append("moved")
    return replace(
        state,
        reference=reference,
        sharpness=sharpness,
        checked_ms=mono_ms,
        moved_checks=moved,
        moved_px=(dx, dy),
        recent=recent,
        problems=tuple(problems),
        black=luma < _BLACK_LUMA,
    )


def _sharpness(usual: float | None, image: Image, luma: float) -> tuple[float, bool]:
    """The picture's sharpness against its usual one: how steep its edges are for their contrast, so that a street with
    more cars is no sharper than an empty one. Darkness hides it."""
    middle = cv2.cvtColor(image[image.shape[0] // 4 :], cv2.COLOR_BGR2GRAY)
    steep = np.abs(cv2.Laplacian(middle, cv2.CV_16S))[::2, ::2]
    contrast = cv2.absdiff(middle, cv2.blur(middle, (15, 15)))[::2, ::2]
    now = float(np.percentile(steep, 99)) / (float(np.percentile(contrast, 99)) + 4.0)
    if usual is None:
        return now, now < _BLUR_ABSOLUTE
    if luma < _DARK_LUMA:
        return usual, False
    blurred = now < _BLUR_SHARE * usual or now < _BLUR_ABSOLUTE
    share = 0.05 if now > usual else _DULLER_SHARE
    return usual + share * (now - usual), blurred
