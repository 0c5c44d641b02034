"""A sensor that knows: true occupancies as observations, named `simulated-truth`, for control without cameras."""

from __future__ import annotations

from collections.abc import Callable

from node.identity import Identity
from protocol.ids import CameraId
from protocol.messages import Estimate, LaneObservation, Observation, Quality
from protocol.site import Approach, Site
from protocol.units import Congestion, classify, index_from_occupancy
from sim_devices.render.truth import Truth

PERIOD_MS = 500

Send = Callable[[Observation, CameraId], object]


class TruthSensor:
    """Tells the truth of each camera's rectangle twice a second, and at once when its class changes."""

    def __init__(self, identity: Identity, site: Site, send: Send) -> None:
        """send: takes an observation and the camera that names its topic's last level."""
        self._identity = identity
        self._send = send
        self._approaches = {one.camera: one for one in site.approaches() if one.camera is not None}
        self._said_ms: dict[CameraId, int] = {}
        self._congestion: dict[CameraId, Congestion] = {}
        self._emergency: dict[CameraId, bool] = {}

    def see(self, camera: CameraId, truth: Truth, frame: int, emergency: bool) -> None:
        """One look at one camera's road. emergency: a vehicle with flashing beacons is on it."""
        now_ms = self._identity.clock.monotonic_ms()
        before = self._congestion.get(camera)
        congestion = classify(index_from_occupancy(truth.occupancy), before)
        news = congestion != before or emergency != self._emergency.get(camera, False)
        if not news and now_ms - self._said_ms.get(camera, -PERIOD_MS) < PERIOD_MS:
            return
        self._said_ms[camera] = now_ms
        self._congestion[camera] = congestion
        self._emergency[camera] = emergency
        self._send(self._observation(camera, truth, frame, congestion), camera)

    def _observation(self, camera: CameraId, truth: Truth, frame: int, congestion: Congestion) -> Observation:
        approach: Approach = self._approaches[camera]
        clock = self._identity.clock
        return Observation(
            **self._identity.accounted(),
            camera=camera,
            approach=approach.id,
            captured_ms=clock.wall_ms(),
            captured_mono_ms=clock.monotonic_ms(),
            frame=frame,
            sensor="simulated-truth",
            status="ok",
            calibrated=True,
            occupancy=_exactly(truth.occupancy),
            index=_exactly(index_from_occupancy(truth.occupancy)),
            congestion=congestion,
            quality=Quality(score=1.0),
            queue_m=_exactly(truth.queue_m),
            speed_mps=None if truth.speed_mps is None else _exactly(truth.speed_mps),
            count=_exactly(truth.count),
            lanes=tuple(
                LaneObservation(lane=lane.id, occupancy=_exactly(occupancy), queue_m=_exactly(queue_m))
                for lane, occupancy, queue_m in zip(
                    approach.lanes, truth.lane_occupancy, truth.lane_queue_m, strict=True
                )
            ),
            emergency="present" if self._emergency[camera] else "absent",
        )


def _exactly(value: float) -> Estimate:
    return Estimate(value=float(value), low=float(value), high=float(value))
