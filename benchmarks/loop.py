"""`bench loop`: from a frame's capture to the signal command that it leads to, through every real part.

Frames are rendered beforehand and served at their rate; real agents watch them, a real edge server decides, simulated
controllers receive. Each command quotes when the newest frame behind it was captured; what is measured is the wall time
from there to the command's receipt, on one machine and so on one clock.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from msgspec import Struct

from node.broker.paho_client import PahoClient
from node.clock import SystemClock
from node.identity import Identity
from node.link import death_will
from node.ports import first_free_port
from node.supervisor import Supervisor
from protocol.ids import CameraId
from protocol.messages import SignalCommand
from sim_devices.city.cameras import MountedCamera
from sim_devices.city.layout import CityLayout
from sim_devices.controller.runner import ControllerRunner
from sim_devices.group import CityGroup, GroupOptions
from sim_devices.render.scene import Scene
from sim_devices.render.sequences import play
from sim_devices.render.weather import DAY
from sim_devices.streams.channel import Picture
from sim_devices.streams.mjpeg import MjpegServer

FIRST_PORT = 18_800
CLIP_S = 30.0
WARM_UP_S = 15.0


class Figures(Struct, kw_only=True):
    """p50, p99: over the first command that each new frame led to. age_p99_ms: over all commands, renewals included."""

    cameras: int
    fps: float
    seconds: float
    broker: str
    p50_command_ms: float
    p99_command_ms: float
    age_p99_ms: float
    commands: int
    measured: int
    frames_served: int


@dataclass(frozen=True)
class Setting:
    """cameras: rounded up to four for each intersection. seconds: measured, after WARM_UP_S."""

    cameras: int
    fps: float
    seconds: float
    broker: str


@dataclass
class _Receipts:
    """What the controllers received: (captured, received), wall milliseconds, and whether the frame was new to them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    rows: list[tuple[int, int, bool]] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)

    def take(self, command: SignalCommand, received_ms: int) -> None:
        with self.lock:
            fresh = command.newest_capture_ms > self.newest.get(command.intersection, 0)
            if fresh:
                self.newest[command.intersection] = command.newest_capture_ms
            if command.newest_capture_ms:
                self.rows.append((command.newest_capture_ms, received_ms, fresh))

    def clear(self) -> None:
        with self.lock:
            self.rows.clear()


@dataclass
class _Show:
    """Plays the clips to the agents and receives what the edge server commands, for as long as the group runs."""

    group: CityGroup
    setting: Setting
    clips: dict[CameraId, list[bytes]]
    server: MjpegServer
    receipts: _Receipts = field(default_factory=_Receipts)
    stopping: threading.Event = field(default_factory=threading.Event)
    frames: int = 0

    def run(self, supervisor: Supervisor) -> None:
        """Warm up, measure, and end the group."""
        clock = SystemClock()
        controllers = ControllerRunner(
            self.group.site, self._connect, clock, self.group.folder, on_command=self.receipts.take
        )
        controllers.start()
        try:
            self._play(clock, time.monotonic() + WARM_UP_S)
            self.receipts.clear()
            self._play(clock, time.monotonic() + self.setting.seconds)
        finally:
            controllers.stop()
            supervisor.stop()

    def _play(self, clock: SystemClock, until_s: float) -> None:
        began_s, fps = time.monotonic(), self.setting.fps
        frame = 0
        while not self.stopping.is_set() and time.monotonic() < until_s:
            for place, (camera, clip) in enumerate(self.clips.items()):
                # Cameras aren't in step: each has its own moment within the frame time.
                due_s = began_s + (frame + place / len(self.clips)) / fps
                self.stopping.wait(max(0.0, due_s - time.monotonic()))
                self.frames += 1
                picture = Picture(clip[frame % len(clip)], clock.wall_ms(), clock.monotonic_ms(), self.frames)
                self.server.channels[camera].publish(picture)
            frame += 1

    def _connect(self, identity: Identity) -> PahoClient:
        return PahoClient(self.group.broker, identity.device, death_will(identity))


def measure(setting: Setting) -> Figures:
    """Run it once. Everything that it starts has ended when this returns."""
    logging.basicConfig(level=logging.WARNING)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="kinflow-loop-") as folder:
        layout = CityLayout(columns=ceil(setting.cameras / 4))
        port = first_free_port(FIRST_PORT)
        group = CityGroup(GroupOptions(home=Path(folder), port=port, embed=setting.broker, layout=layout, faults=False))
        clips = {one.id: _clip(group, one, setting.fps) for one in group.cameras}
        show = _Show(group, setting, clips, MjpegServer(clips, group.camera_port))
        supervisor = Supervisor([one for one in group.children() if one.name != "simulation"], group.logs)
        work = threading.Thread(target=show.run, args=(supervisor,), daemon=True)
        show.server.start()
        try:
            supervisor.run(work.start)
        finally:
            show.stopping.set()
            show.server.stop()
            if work.ident is not None:
                work.join(10.0)
        return _figures(show)


def _clip(group: CityGroup, mounted: MountedCamera, fps: float) -> list[bytes]:
    """JPEGs of CLIP_S seconds of traffic that comes and goes, as this camera sees it."""
    road = group.plan.views[mounted.id].road
    scene = Scene(mounted.camera, road, DAY, mounted.seed)
    moments = islice(play(road, "cycles", mounted.seed, fps), int(CLIP_S * fps))
    return [scene.render(vehicles, t_s).jpeg() for t_s, vehicles in moments]


def _figures(show: _Show) -> Figures:
    rows = show.receipts.rows
    fresh = [received - captured for captured, received, new in rows if new]
    if not fresh:
        raise RuntimeError("no signal command that rests on a frame was received")
    return Figures(
        cameras=len(show.clips),
        fps=show.setting.fps,
        seconds=show.setting.seconds,
        broker=show.setting.broker,
        p50_command_ms=float(np.percentile(fresh, 50)),
        p99_command_ms=float(np.percentile(fresh, 99)),
        age_p99_ms=float(np.percentile([received - captured for captured, received, _ in rows], 99)),
        commands=len(rows),
        measured=len(fresh),
        frames_served=show.frames,
    )
