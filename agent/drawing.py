"""What the agent sees, drawn onto the picture that it saw."""

from __future__ import annotations

import math

import cv2
import numpy as np

from agent.camera.port import Image
from agent.emergency.model import Sighting
from agent.traffic.birds_eye import ROW_M
from agent.traffic.calibration import Calibration
from agent.traffic.pipeline import Pipeline, View
from agent.traffic.track import Track
from models.vision.detector import Label
from protocol.messages import Estimate
from protocol.units import Congestion

_COLOURS: dict[Congestion | None, tuple[int, int, int]] = {
    None: (170, 170, 170),
    "free": (90, 190, 60),
    "slow": (40, 200, 235),
    "dense": (30, 130, 245),
    "jam": (50, 50, 225),
}
_RED, _CYAN = (70, 70, 255), (235, 220, 90)
_KINDS: dict[Label, tuple[int, int, int]] = {
    "person": _CYAN,
    "bicycle": _CYAN,
    "ambulance": _RED,
    "police_car": _RED,
    "fire_engine": _RED,
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TINTED_FROM = 0.3
_INK, _PAPER = (245, 245, 245), (20, 20, 20)


def annotate(pipeline: Pipeline, view: View) -> Image:
    """A copy of the frame with the road's rectangle, the covered lane rows, the queue's end, what is followed, and the
    figures."""
    picture = view.frame.image.copy()
    colour = _COLOURS[view.reading.congestion]
    _tint(picture, pipeline, view, colour)
    corners = np.round(np.array(pipeline.calibration.points)).astype(np.int32)
    cv2.polylines(picture, [corners], True, colour, 2, cv2.LINE_AA)
    if view.reading.queue_m is not None and (view.reading.queue_m.value or 0.0) > 1.0:
        _across(picture, pipeline.calibration, view.reading.queue_m.value or 0.0)
    for track in view.seen.tracks if view.seen is not None else ():
        _thing(picture, track, pipeline.calibration.calibrated)
    _panel(picture, lines(view), colour)
    return picture


def lines(view: View) -> list[str]:
    """The figures, one line each, in words that need no legend."""
    reading = view.reading
    head = f"{view.status}" + (f", {reading.congestion}" if reading.congestion else "")
    figures = [
        head,
        f"index {_told(reading.index, '.2f')}",
        f"occupancy {_told(reading.occupancy, '.2f')}",
    ]
    if reading.queue_m is not None:
        figures.append(f"queue {_told(reading.queue_m, '.0f')} m")
    if reading.count is not None:
        figures.append(f"vehicles {_told(reading.count, '.0f')}")
    if reading.speed_mps is not None:
        figures.append(f"speed {_told(reading.speed_mps, '.1f')} m/s")
    if view.emergency is not None:
        figures.append(f"emergency {view.emergency.state}")
        figures += [_sighting(one) for one in view.emergency.sightings]
    problems = f" ({', '.join(view.quality.problems)})" if view.quality.problems else ""
    return [*figures, f"quality {view.quality.score:.2f}{problems}"]


def _sighting(one: Sighting) -> str:
    """Which vehicle, how sure that it asks for way, and what says so."""
    where = "" if one.direction is None else f", {one.direction}"
    fired = f" by {' and '.join(one.evidence)}" if one.evidence else ""
    return f"  {one.kind.replace('_', ' ')} {one.probability:.2f}{fired}{where}"


def _told(estimate: Estimate, form: str) -> str:
    value = "?" if estimate.value is None else format(estimate.value, form)
    return f"{value} [{format(estimate.low, form)}..{format(estimate.high, form)}]"


def _tint(picture: Image, pipeline: Pipeline, view: View, colour: tuple[int, int, int]) -> None:
    """Tint the cells whose share of vehicles is no trifle: these are what occupancy adds up."""
    calibration, rows = pipeline.calibration, pipeline.model.view.rows
    lane_m = calibration.road_width_m / calibration.lanes
    layer = picture.copy()
    for lane, row in zip(*np.nonzero(view.reading.rows > _TINTED_FROM), strict=True):
        x, y = lane * lane_m, rows.near_m[row]
        if not 0 <= y < calibration.visible_length_m:
            continue
        cell = [[x + 0.1, y], [x + lane_m - 0.1, y], [x + lane_m - 0.1, y + ROW_M], [x + 0.1, y + ROW_M]]
        cv2.fillConvexPoly(layer, np.round(calibration.to_picture(np.array(cell))).astype(np.int32), colour)
    cv2.addWeighted(layer, 0.35, picture, 0.65, 0, dst=picture)


def _across(picture: Image, calibration: Calibration, y_m: float) -> None:
    ends = calibration.to_picture(np.array([[0, y_m], [calibration.road_width_m, y_m]]))
    left, right = (tuple(map(int, np.round(end))) for end in ends)
    cv2.line(picture, left, right, (255, 255, 255), 2, cv2.LINE_AA)


def _thing(picture: Image, track: Track, calibrated: bool) -> None:
    """A box and what it is; its corners alone where it is predicted, not seen."""
    colour = _KINDS.get(track.label, _INK)
    left, top, right, bottom = (round(edge) for edge in track.box)
    if track.seen_ms == track.last_ms:
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 1, cv2.LINE_AA)
    else:
        reach = max(3, min(right - left, bottom - top) // 4)
        for x, inward in ((left, 1), (right, -1)):
            for y, down in ((top, 1), (bottom, -1)):
                cv2.line(picture, (x, y), (x + inward * reach, y), colour, 1, cv2.LINE_AA)
                cv2.line(picture, (x, y), (x, y + down * reach), colour, 1, cv2.LINE_AA)
    scale = max(0.32, picture.shape[1] / 2000)
    text = name_of(track, calibrated)
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    x = max(0, min(left, picture.shape[1] - width - 2))
    y = top - 3 if top > height + 4 else min(picture.shape[0] - 3, bottom + height + 3)
    cv2.rectangle(picture, (x, y - height - 1), (x + width + 2, y + 2), _PAPER, -1)
    cv2.putText(picture, text, (x + 1, y), _FONT, scale, colour, 1, cv2.LINE_AA)


def name_of(track: Track, calibrated: bool) -> str:
    """Number, class, and speed where metres mean something."""
    told = calibrated and track.velocity_mps is not None
    speed = f" {math.hypot(*track.velocity_mps):.0f} m/s" if told and track.velocity_mps is not None else ""
    return f"{track.id} {track.label.replace('_', ' ')}{speed}"


def _panel(picture: Image, text: list[str], colour: tuple[int, int, int]) -> None:
    scale = max(0.4, picture.shape[1] / 1400)
    step = round(30 * scale + 6)
    width = round(max(cv2.getTextSize(line, _FONT, scale, 1)[0][0] for line in text) + 24)
    height = step * len(text) + 12
    panel = picture[: height + 8, : width + 8]
    cv2.addWeighted(panel, 0.25, np.full_like(panel, _PAPER), 0.75, 0, dst=panel)
    cv2.rectangle(picture, (0, 0), (5, height + 8), colour, -1)
    for row, line in enumerate(text):
        cv2.putText(picture, line, (14, step * (row + 1)), _FONT, scale, _INK, 1, cv2.LINE_AA)
