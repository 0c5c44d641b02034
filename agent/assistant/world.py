"""What one device knows, as the assistant tells it: its own roads, cameras and health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from agent.lookout import Lookout
from agent.traffic.pipeline import View
from models.assistant.world import Approach, Camera, Device, DeviceState, Place, Vehicle, World
from node.clock import Clock
from protocol.errors import KinflowError
from protocol.ids import ApproachId, DeviceId
from protocol.messages import Estimate, Health
from protocol.site import Site, load_site

SITE = "site.toml"
_WELL = {"starting", "running"}


class AgentWorld:
    """From any thread: it reads what the looking thread leaves behind. health: the last that was said, None before."""

    def __init__(self, home: Path, device: DeviceId, lookouts: Sequence[Lookout], clock: Clock) -> None:
        self._home, self._device, self._lookouts, self._clock = home, device, lookouts, clock
        self.name = ""
        self.health: Health | None = None

    def world(self) -> World:
        now_ms = self._clock.wall_ms()
        site = self._site()
        cameras = tuple(_camera(one, self._device) for one in self._lookouts)
        ill = [f"camera {one.id} is {one.state}" for one in cameras if one.state not in _WELL]
        approaches = tuple(self._approach(one, site, now_ms) for one in self._lookouts)
        # A device without a site file watches one place, called by its own name.
        named = {one.id: one.name for one in site.intersections} if site else {}
        own = {self._device: self.name}
        places = tuple(Place(id=one, name={**own, **named}.get(one, "")) for one in {a.place: None for a in approaches})
        return World(
            teller=self._device,
            now_ms=now_ms,
            places=places,
            approaches=approaches,
            devices=(self._own(now_ms, "; ".join(ill)),),
            cameras=cameras,
        )

    def _own(self, now_ms: int, reason: str) -> Device:
        """Its health is measured twice a minute, and told with it."""
        state: DeviceState = "degraded" if reason else "online"
        own = Device(id=self._device, name=self.name, role="agent", state=state, reason=reason, heard_ms=now_ms)
        health = self.health
        if health is None:
            return own
        return replace(
            own,
            uptime_s=health.uptime_s,
            rss_mb=health.rss_mb,
            cpu_percent=health.cpu_percent,
            disk_free_mb=health.disk_free_mb,
            temperature_c=health.temperature_c,
            waiting=health.outbox_messages,
        )

    def _approach(self, lookout: Lookout, site: Site | None, now_ms: int) -> Approach:
        name, place = _placed(lookout.settings.approach, site, self._device)
        view = lookout.view
        if view is None:
            return Approach(id=lookout.settings.approach, name=name, place=place)
        reading, emergency = view.reading, view.emergency
        age_ms = self._clock.monotonic_ms() - view.frame.captured_mono_ms
        return Approach(
            id=lookout.settings.approach,
            name=name,
            place=place,
            status=view.status,
            congestion=reading.congestion,
            index=reading.index.value,
            queue_m=_value(reading.queue_m),
            speed_mps=_value(reading.speed_mps),
            count=_value(reading.count),
            heard_ms=now_ms - max(0, age_ms),
            emergency=None if emergency is None or emergency.state == "unavailable" else emergency.state,
            vehicles=tuple(
                Vehicle(kind=one.kind, state=one.state, direction=one.direction)
                for one in (emergency.sightings if emergency is not None else ())
            ),
        )

    def _site(self) -> Site | None:
        try:
            return load_site(self._home / SITE)
        except KinflowError:
            return None


def _camera(lookout: Lookout, device: DeviceId) -> Camera:
    health, calibration, view = lookout.watchdog.health(), lookout.calibration, lookout.view
    return Camera(
        id=lookout.settings.camera,
        device=device,
        approach=lookout.settings.approach,
        state=health.state,
        detail=health.detail,
        frames_per_s=health.frames_per_s,
        calibrated=calibration is not None and calibration.calibrated,
        problems=() if view is None else tuple(one for one in view.quality.problems if one != "uncalibrated"),
        sees=_seen(view),
    )


def _seen(view: View | None) -> dict[str, int] | None:
    if view is None or view.seen is None or view.status == "blind":
        return None
    return dict(Counter(track.label for track in view.seen.tracks))


def _placed(approach: ApproachId, site: Site | None, device: DeviceId) -> tuple[str, str]:
    """What people call an approach, and the intersection that it leads into."""
    for intersection in site.intersections if site else ():
        for one in intersection.approaches:
            if one.id == approach:
                return one.name, intersection.id
    return "", device


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value
