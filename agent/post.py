"""One device's words: observations, health and alarms, from views to messages on the link."""

from __future__ import annotations

from agent.camera.port import Frame
from agent.emergency.model import Sighting
from agent.traffic.pipeline import View
from node.identity import Identity
from node.link import Link
from protocol.ids import ApproachId, CameraId, LaneId
from protocol.messages import Alarm, EmergencySighting, LaneObservation, Observation
from protocol.messages.alarm import Severity
from protocol.topics import ALARM, OBSERVATION


def observation(
    identity: Identity,
    camera: CameraId,
    approach: ApproachId,
    view: View,
    *,
    calibrated: bool,
) -> Observation:
    reading, frame, emergency = view.reading, view.frame, view.emergency
    return Observation(
        **identity.accounted(),
        camera=camera,
        approach=approach,
        captured_ms=frame.captured_ms,
        captured_mono_ms=frame.captured_mono_ms,
        frame=frame.number,
        sensor="camera",
        status=view.status,
        calibrated=calibrated,
        occupancy=reading.occupancy,
        index=reading.index,
        congestion=reading.congestion,
        quality=view.quality,
        queue_m=reading.queue_m,
        speed_mps=reading.speed_mps,
        count=reading.count,
        lanes=tuple(
            LaneObservation(LaneId(f"lane-{number}"), lane.occupancy, lane.queue_m, lane.speed_mps, lane.count)
            for number, lane in enumerate(reading.lanes, start=1)
        ),
        emergency="unavailable" if emergency is None else emergency.state,
        emergencies=tuple(_sighting(one, frame) for one in (emergency.sightings if emergency is not None else ())),
        emergency_senses=() if emergency is None else emergency.senses,
    )


def _sighting(one: Sighting, frame: Frame) -> EmergencySighting:
    since_ms = max(0, frame.captured_ms - (frame.captured_mono_ms - one.since_ms))
    return EmergencySighting(one.kind, one.state, one.probability, one.evidence, one.direction, since_ms)


# What each alarm's severity is, and what it says when it is raised and when it is cleared.
_WORDS: dict[str, tuple[Severity, str, str]] = {
    "camera-stalled": ("warning", "The camera sends no picture.", "The camera sends pictures again."),
    "camera-moved": (
        "warning",
        "The camera no longer looks where it was calibrated.",
        "The camera looks right again.",
    ),
    "camera-frozen": ("warning", "The camera sends the same picture again and again.", "The picture moves again."),
    "camera-calibration": (
        "warning",
        "The camera's calibration can't be used.",
        "The camera's calibration can be used again.",
    ),
    "camera-detector": (
        "warning",
        "The camera's detector can't be used, or not for all: its road is judged without.",
        "The camera's detector can be used again.",
    ),
    "camera-sound": (
        "warning",
        "The camera's microphone sends no sound; sirens are not heard.",
        "The camera's microphone sends sound again.",
    ),
}


class Alarms:
    """Raises and clears each alarm once."""

    def __init__(self, identity: Identity, link: Link) -> None:
        self._identity, self._link = identity, link
        self._active: set[tuple[str, CameraId]] = set()

    def set(self, alarm: str, camera: CameraId, active: bool, code: str | None = None) -> None:
        key = (alarm, camera)
        if active == (key in self._active):
            return
        (self._active.add if active else self._active.discard)(key)
        severity, raised, cleared = _WORDS[alarm]
        message = Alarm(
            **self._identity.accounted(),
            alarm=alarm,
            subject=camera,
            severity=severity,
            active=active,
            text=raised if active else cleared,
            code=code if active else None,
        )
        self._link.send(ALARM, message)


def publish(link: Link, message: Observation) -> None:
    link.send(OBSERVATION, message, item=message.camera)
