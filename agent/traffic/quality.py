"""How far a picture can be trusted: moved, dark, glaring, blurred, frozen."""

from __future__ import annotations

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
_REFERENCE_S = 600.0
# A camera has moved when its picture lies this many small pixels off, three checks running.
_MOVED_PX = 4.0
_MOVED_CHECKS = 3
_SURE_RESPONSE = 0.08
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
    """reference: the mean edges of the picture, 90 x 160, that a moved camera is told by. sharpness: what this camera
    usually shows."""

    reference: NDArray[Any] | None = None
    sharpness: float | None = None
    checked_ms: int | None = None
    changed_ms: int | None = None
    fingerprint: bytes = b""
    moved_checks: int = 0
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
    moved = 0
    reference = edges
    if state.reference is not None:
        (dx, dy), response = cv2.phaseCorrelate(state.reference, edges, _WINDOW)
        off = (dx * dx + dy * dy) ** 0.5 >= _MOVED_PX and response >= _SURE_RESPONSE
        moved = min(state.moved_checks + 1, _MOVED_CHECKS) if off else max(0, state.moved_checks - 1)
        # A picture that may have moved must not teach where it ought to be.
        share = 0.0 if moved else min(1.0, _CHECK_EVERY_MS / 1000 / _REFERENCE_S * 10)
        reference = state.reference + np.float32(share) * (edges - state.reference)
    if moved >= _MOVED_CHECKS or (moved and "moved" in state.problems):
        problems.append("moved")
    return replace(
        state,
        reference=reference,
        sharpness=sharpness,
        checked_ms=mono_ms,
        moved_checks=moved,
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
    share = 0.05 if now > usual else 1 / _REFERENCE_S
    return usual + share * (now - usual), blurred
