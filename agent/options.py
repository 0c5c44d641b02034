"""From flags and settings to what an agent needs to start."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.camera.opening import camera_id_from, check_source
from agent.detection.detectors import AUTO, OFF
from agent.errors import CameraOptionsUneven, NoCamera
from agent.settings import CameraSettings
from agent.traffic.calibration import check_corners, check_size, parse_points
from node.broker.address import parse_broker
from node.broker.password import USERNAME, broker_password, has_broker_password
from node.broker.port import BrokerAddress
from node.config.schema import Settings
from node.discovery import find_edges, open_zeroconf
from node.trust.credentials import Credentials
from node.trust.credentials import load as load_credentials
from protocol.ids import ApproachId, CameraId, DeviceId, device_id, slug

_LOOK_FOR_EDGE_S = 3.0

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class AgentOptions:
    """page_port: None for no page, 0 for any free port. credentials: of a device that has joined, which then say where
    the broker is; None to use `broker` as it is. carries: whether this device carries the shipped detector."""

    home: Path
    cameras: tuple[CameraSettings, ...]
    device: DeviceId
    broker: BrokerAddress
    prefix: str
    name: str = ""
    page_port: int | None = None
    fast: bool = False
    credentials: Credentials | None = None
    carries: bool = False


@dataclass(frozen=True)
class CameraFlags:
    """What was given on the command line: each of them once for all cameras, once for each, or not at all."""

    sources: Sequence[str] | None = None
    ids: Sequence[str] | None = None
    approaches: Sequence[str] | None = None
    widths_m: Sequence[float] | None = None
    lengths_m: Sequence[float] | None = None
    roads: Sequence[str] | None = None
    lanes: Sequence[int] | None = None
    detectors: Sequence[str] | None = None
    every: Sequence[int] | None = None
    sounds: Sequence[str] | None = None


def cameras_from_flags(flags: CameraFlags) -> tuple[CameraSettings, ...]:
    """Raises CameraOptionsUneven (KF71), InvalidId (KF10), SourceUnknown (KF61), or RoadPointsCollinear to
    RoadPointsMalformed (KF64, KF65, KF67, KF68)."""
    sources = list(flags.sources or ())
    count = len(sources)
    ids = _each("--camera-id", flags.ids, count, shared=False)
    approaches = _each("--approach", flags.approaches, count, shared=False)
    widths, lengths = _each("--road-width", flags.widths_m, count), _each("--road-length", flags.lengths_m, count)
    roads, lanes = _each("--road", flags.roads, count), _each("--lanes", flags.lanes, count)
    detectors, every = _each("--detector", flags.detectors, count), _each("--detect-every", flags.every, count)
    sounds = _each("--sound", flags.sounds, count, shared=False)
    names = _distinct(
        [slug(one, "camera id") if one else camera_id_from(source) for one, source in zip(ids, sources, strict=True)]
    )
    found = []
    for number, source in enumerate(sources):
        width_m, length_m, road = widths[number], lengths[number], roads[number]
        check_size(1.0 if width_m is None else width_m, 1.0 if length_m is None else length_m)
        check_source(source)
        points = None if road is None else parse_points(road)
        if points is not None:
            check_corners(points)
        approach = approaches[number]
        found.append(
            CameraSettings(
                CameraId(names[number]),
                source,
                ApproachId(slug(approach, "approach id") if approach else names[number]),
                width_m,
                length_m,
                points,
                lanes[number] or 0,
                detector=detectors[number] or AUTO,
                detect_every=every[number] or 1,
                sound=sounds[number] or OFF,
            )
        )
    return tuple(found)


def cameras_from_settings(settings: Settings) -> tuple[CameraSettings, ...]:
    """Raises NoCamera (KF73)."""
    if not settings.agent.cameras:
        raise NoCamera()
    found = []
    for one in settings.agent.cameras:
        points = None if one.road is None else (one.road[0], one.road[1], one.road[2], one.road[3])
        approach = ApproachId(one.approach or one.id)
        found.append(
            CameraSettings(
                CameraId(one.id),
                one.source,
                approach,
                one.road_width_m,
                one.road_length_m,
                points,
                detector=one.detector,
                detect_every=one.detect_every,
                real_thumbnails=one.real_thumbnails,
                sound=one.sound,
            )
        )
    return tuple(found)


def own_id(configured: str) -> DeviceId:
    """The id that was set, else one made of the host's name."""
    if configured:
        return device_id(configured)
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")
    return device_id(f"agent-{host}"[:63].strip("-"))


def credentials_of(settings: Settings, home: Path) -> Credentials | None:
    """What this device got when it joined; None where it hasn't, or where a broker was named, which comes first."""
    return None if settings.broker.url else load_credentials(home)


def broker_of(settings: Settings, home: Path) -> BrokerAddress:
    """The broker that was named; else that of the edge server that was joined; else that of this machine's edge server;
    else that of an edge server which answers on the network; else one on this machine. A connection that fails is tried
    again for ever."""
    credentials = credentials_of(settings, home)
    if credentials is not None:
        return credentials.brokers()[0]
    if settings.broker.url:
        return parse_broker(settings.broker.url)
    if has_broker_password(home):
        return BrokerAddress(port=settings.broker.port, username=USERNAME, password=broker_password(home))
    zeroconf = open_zeroconf()
    try:
        found = find_edges(zeroconf, _LOOK_FOR_EDGE_S, enough=1)
    finally:
        zeroconf.close()
    if found and found[0].tls:
        log.warning("the edge server %s takes devices that have joined: `kinflow join CODE`", found[0].edge)
    elif found:
        return BrokerAddress(host=found[0].host, port=found[0].mqtt_port)
    return BrokerAddress(port=settings.broker.port)


def _each(option: str, given: Sequence[T] | None, cameras: int, shared: bool = True) -> list[T | None]:
    if not given:
        return [None] * cameras
    if len(given) == cameras:
        return list(given)
    if len(given) == 1 and shared:
        return [given[0]] * cameras
    raise CameraOptionsUneven(cameras=cameras, count=len(given), option=option)


def _distinct(names: list[str]) -> list[str]:
    """The same names, numbered where two are alike."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return result
