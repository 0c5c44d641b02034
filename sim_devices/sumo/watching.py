"""Real perception in the loop: the agent's own code looks at rendered pictures, and what it would publish is what the
edge's controller reads.

Nothing of the truth gets past the pictures: the empty road is learnt from them, the shipped detector finds vehicles in
them, an observation is due when an agent says so, and the edge's `Sight` is made of it. What is left out is the
network, which is a delay here, and looking for emergency vehicles, which no controller reads.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from agent.camera.port import Frame
from agent.detection.cadence import Cadence
from agent.detection.detectors import SHIPPED, Detectors
from agent.detection.sight import Sight as DetectorSight
from agent.post import observation
from agent.stopwatch import Stopwatch
from agent.traffic.calibration import Calibration, calibrate
from agent.traffic.pipeline import Pipeline
from agent.traffic.publishing import Said, due
from edge_server.signals.layout import ApproachLayout
from edge_server.signals.sight import Sight
from models.vision.detector import Detector
from node.clock import ManualClock
from node.identity import Identity
from protocol.ids import ApproachId, CameraId, DeviceId
from protocol.messages import Observation
from sim_devices.sumo.rendered import OnTheRoad, RenderedCamera

# From a picture to its observation at the edge: as camera-like sensing has it.
LATE_MS = 300


@dataclass
class _Agent:
    camera: RenderedCamera
    pipeline: Pipeline
    said: Said | None = None
    frames: int = 0


class Watching:
    """One agent with a camera on each approach, those of dead cameras left out.

    picture_ms: between two pictures of a camera. detect_every: the detector looks at each n-th picture; 0 for none.
    late_ms: from a picture until its observation is at the edge. loss: share of observations that never are.
    """

    def __init__(
        self, cameras: dict[ApproachId, RenderedCamera], approaches: tuple[ApproachLayout, ...], road: OnTheRoad,
        now_ms: int, *, seed: int, picture_ms: int, detect_every: int, late_ms: int = LATE_MS, loss: float = 0.0,
    ) -> None:  # fmt: skip
        cv2.setNumThreads(1)
        self._road = road
        self._random = np.random.default_rng((seed, 0x3A7C))
        self._picture_ms, self._late_ms, self._loss = picture_ms, late_ms, loss
        self._due_ms = now_ms
        self._clock = ManualClock(monotonic_ms=now_ms)
        self._identity = Identity(DeviceId("watching-agent"), self._clock)
        detector = Detectors(None, auto=SHIPPED).of(SHIPPED) if detect_every else None
        self._agents = {approach: _agent(camera, detector, detect_every) for approach, camera in cameras.items()}
        self._approaches = {one.id: one for one in approaches}
        self._sights = {approach: Sight(now_ms) for approach in cameras}
        self._under_way: deque[tuple[int, Observation]] = deque()

    def step(self, now_ms: int) -> None:
        """Takes a picture of every camera when one is due, and publishes what is due then."""
        if now_ms < self._due_ms:
            return
        self._due_ms += self._picture_ms
        vehicles = self._road.vehicles()
        self._clock.advance(now_ms - self._clock.monotonic_ms())
        for approach, agent in self._agents.items():
            image = agent.camera.take(vehicles, now_ms / 1000)
            view = agent.pipeline.look(Frame(image, self._clock.wall_ms(), now_ms, agent.frames))
            agent.frames += 1
            said = due(agent.said, view, "unavailable", now_ms)
            if said is None:
                continue
            agent.said = said
            message = observation(self._identity, CameraId(f"{approach}-camera"), approach, view, calibrated=True)
            if not self._loss or self._random.random() >= self._loss:
                self._under_way.append((now_ms, message))

    def look(self, now_ms: int) -> dict[ApproachId, Sight]:
        """What the edge knows of each approach that something new has come in of."""
        news: dict[ApproachId, Sight] = {}
        while self._under_way and self._under_way[0][0] + self._late_ms <= now_ms:
            seen_ms, message = self._under_way.popleft()
            before, approach = self._sights[message.approach], self._approaches[message.approach]
            self._sights[message.approach] = news[message.approach] = before.after(message, approach, seen_ms)
        return news


def _agent(camera: RenderedCamera, detector: Detector | None, detect_every: int) -> _Agent:
    calibration, stopwatch = _calibration(camera), Stopwatch()
    if detector is None:
        return _Agent(camera, Pipeline(calibration, stopwatch=stopwatch))
    sight = DetectorSight(detector, calibration, Cadence(detect_every), stopwatch)
    return _Agent(camera, Pipeline(calibration, sight=sight, stopwatch=stopwatch))


def _calibration(camera: RenderedCamera) -> Calibration:
    """The rectangle as a person would mark it, exactly."""
    road, mounted = camera.view.road, camera.camera
    a, b, c, d = ((float(x), float(y)) for x, y in mounted.corners(road))
    size = (mounted.width_px, mounted.height_px)
    lanes = len(road.lane_widths_m)
    return calibrate((a, b, c, d), road.width_m, road.visible_length_m, size, lanes=lanes)
