"""The agent's process: cameras in, observations out, until it is told to stop."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from agent.assistant.minutes import Minutes
from agent.assistant.setting import SET_SETTING, set_setting
from agent.assistant.world import AgentWorld
from agent.camera.port import Frame
from agent.detection.detectors import Detectors
from agent.emergency import declarations
from agent.errors import CameraStalled, CameraUnreachable
from agent.lookout import Lookout
from agent.page.camera_view import CameraView
from agent.post import Alarms, observation, publish
from agent.settings import CameraSettings
from agent.traffic.pipeline import View
from agent.traffic.publishing import due
from agent.updating import UPDATE, UpdateDesk
from models.assistant.world import Point
from models.assistant.world_file import WorldTeller
from node.clock import Clock
from node.identity import Identity
from node.link import Link
from node.time.standing import clock_state
from node.update.health import HealthFile, running_version
from protocol.messages import Birth, CameraInfo, ConfigCommand, Declaration, Health, Message
from protocol.messages.config_command import ConfigStatus
from protocol.topics import CONFIG_COMMAND, DECLARATION, HEALTH, PRESENCE, Address

HEALTH_EVERY_MS = 30_000
_FIRST_HEALTH_MS = 2_000
_CHECK_EVERY_MS = 250
FIRST_PICTURE_MS = 20_000
# Of the looking thread, for all detectors together: the rest is for what every picture needs.
DETECTING_SHARE = 0.75
RELEARN_ROAD = "relearn-road"
_MB = 1_000_000
_WAITING_DECLARATIONS = 100

log = logging.getLogger(__name__)


class AgentService:
    """One looking thread for all cameras, each camera read on a thread of its own.

    run() owns the calling thread until `stop`. fast, detectors: see Lookout. beat: called on each round of the looking
    thread.
    """

    def __init__(
        self,
        cameras: Sequence[CameraSettings],
        home: Path,
        clock: Clock,
        identity: Identity,
        *,
        software: str,
        name: str = "",
        fast: bool = False,
        detectors: Detectors | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._home, self._clock, self._identity = home, clock, identity
        self._beat = beat
        self._software, self._name, self._fast = software, name, fast
        self._arrived = threading.Condition()
        share = DETECTING_SHARE / max(1, len(cameras))
        self.lookouts = [
            Lookout(one, home, clock, self._arrived, fast=fast, detectors=detectors, share=share) for one in cameras
        ]
        self._stopping = False
        self._began_ms = clock.monotonic_ms()
        self._health_due_ms = self._began_ms + _FIRST_HEALTH_MS
        self._check_due_ms = self._began_ms
        self._process = psutil.Process()
        self._written_at_start = _written_bytes(self._process)
        self._announced: tuple[CameraInfo, ...] = ()
        self._updates = UpdateDesk(home, clock)
        self._health_file = HealthFile(home, "agent", running_version(), identity.boot, clock)
        # What else this device can be asked to do: by command name, done at once.
        self.orders: dict[str, Callable[[], None]] = {}
        self._commands: deque[tuple[ConfigCommand, str, bool]] = deque()
        self.minutes = Minutes()
        self.world = AgentWorld(home, identity.device, self.lookouts, clock)
        self.world.name = name
        self._teller = WorldTeller(home, "agent", self.world.world, self.history)
        self._said: deque[Declaration] = deque(maxlen=_WAITING_DECLARATIONS)
        self._declared = declarations.NONE

    def birth(self) -> Birth:
        infos = tuple(one.info() for one in self.lookouts)
        self._announced = infos
        return Birth(**self._identity.live(), role="agent", software=self._software, name=self._name, cameras=infos)

    def rename(self, name: str) -> None:
        """What people call this device; told with its next registration, soon. From any thread."""
        self._name = self.world.name = name
        self._announced = ()

    def views(self) -> list[CameraView]:
        return [one.camera_view() for one in self.lookouts]

    def history(self, approach: str, minutes: int) -> Sequence[Point]:
        """The index of one of its approaches by the minute, oldest first. From any thread."""
        now_ms, ahead_ms = self._clock.monotonic_ms(), self._clock.wall_ms() - self._clock.monotonic_ms()
        found = self.minutes.last(approach, minutes, now_ms)
        return [Point(one.at_ms + ahead_ms, one.index, one.congestion) for one in found]

    def run(self, link: Link) -> None:
        """Work until stop(). The caller starts and stops the link."""
        self._link, self._alarms = link, Alarms(self._identity, link)
        link.subscribe(CONFIG_COMMAND, self._identity.device, self._command)
        link.subscribe(DECLARATION, self._identity.device, self._hear)
        for lookout in self.lookouts:
            lookout.start()
        try:
            while not self._stopping:
                self._beat()
                for lookout, frame in self._wait():
                    self._believe()
                    approach, now_ms = lookout.settings.approach, self._clock.monotonic_ms()
                    view = lookout.look(frame, declarations.on(self._declared, approach, now_ms))
                    if view is not None:
                        self._say(lookout, view)
                self._routine()
        finally:
            for lookout in self.lookouts:
                lookout.stop()
                lookout.save_road()

    def stop(self) -> None:
        """Safe in a signal handler: takes no lock."""
        self._stopping = True

    def _wait(self) -> list[tuple[Lookout, Frame]]:
        with self._arrived:
            taken = self._taken()
            if not taken:
                self._arrived.wait(_CHECK_EVERY_MS / 1000)
                taken = self._taken()
            return taken

    def _taken(self) -> list[tuple[Lookout, Frame]]:
        return [(one, frame) for one in self.lookouts if (frame := one.newest.take()) is not None]

    def _say(self, lookout: Lookout, view: View) -> None:
        state = "unavailable" if view.emergency is None else view.emergency.state
        said = due(lookout.said, view, state, self._clock.monotonic_ms())
        approach, now_ms = lookout.settings.approach, self._clock.monotonic_ms()
        self.minutes.add(approach, now_ms, view.reading.index.value, view.reading.congestion)
        if said is None:
            return
        lookout.said = said
        settings, calibration = lookout.settings, lookout.calibration
        calibrated = calibration is not None and calibration.calibrated
        message = observation(self._identity, settings.camera, settings.approach, view, calibrated=calibrated)
        publish(self._link, message)

    def _routine(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms >= self._check_due_ms:
            self._check_due_ms = now_ms + _CHECK_EVERY_MS
            for lookout in self.lookouts:
                self._check(lookout)
            if tuple(one.info() for one in self.lookouts) != self._announced and self._link.connected:
                self._link.send_live(PRESENCE, self._identity.device, self.birth())
            self._obey()
            self._tell_update()
            self._teller.look()
            states = {one.settings.camera: one.watchdog.state for one in self.lookouts}
            self._health_file.tell(self._link.connected, states)
        if now_ms >= self._health_due_ms:
            self._health_due_ms = now_ms + HEALTH_EVERY_MS
            self.world.health = self._health(now_ms)
            self._link.send(HEALTH, self.world.health)

    def _check(self, lookout: Lookout) -> None:
        state, camera = lookout.watchdog.check(), lookout.settings.camera
        quiet = state in ("stalled", "failed")
        error = lookout.watchdog.error
        silent = quiet and not self._may_be_starting(lookout)
        self._alarms.set("camera-stalled", camera, silent, error.code if error is not None else None)
        fault = lookout.fault
        self._alarms.set("camera-calibration", camera, fault is not None, fault.code if fault is not None else None)
        broken = lookout.detector_fault
        self._alarms.set("camera-detector", camera, broken is not None, broken.code if broken is not None else None)
        deaf = None if lookout.ear is None else lookout.ear.error
        self._alarms.set("camera-sound", camera, deaf is not None, deaf.code if deaf is not None else None)
        view = lookout.quiet() if quiet else lookout.view
        if view is None:
            return
        problems = view.quality.problems
        self._alarms.set("camera-moved", camera, "moved" in problems)
        self._alarms.set("camera-frozen", camera, "frozen" in problems)
        if quiet:
            self._say(lookout, view)

    def _may_be_starting(self, lookout: Lookout) -> bool:
        """A camera on the network may be switched on together with this device and need longer."""
        early = self._clock.monotonic_ms() - self._began_ms < FIRST_PICTURE_MS
        return early and lookout.view is None and isinstance(lookout.watchdog.error, CameraUnreachable | CameraStalled)

    def _health(self, now_ms: int) -> Health:
        outbox = self._link.metrics.outbox
        return Health(
            **self._identity.accounted(),
            uptime_s=(now_ms - self._began_ms) / 1000,
            rss_mb=round(self._process.memory_info().rss / _MB, 1),
            cpu_percent=self._process.cpu_percent(),
            disk_free_mb=round(shutil.disk_usage(self._home).free / _MB, 1),
            disk_written_mb=round((_written_bytes(self._process) - self._written_at_start) / _MB, 3),
            outbox_messages=outbox.queued + outbox.in_flight,
            temperature_c=_temperature(),
            cameras=tuple(one.watchdog.health() for one in self.lookouts),
            update=self._updates.state(),
            clock=clock_state(self._home),
        )

    # Commands come on the link's thread and are carried out on the looking thread, which owns the pipelines.

    def _command(self, address: Address, message: Message, retained: bool) -> None:
        if isinstance(message, ConfigCommand):
            self._commands.append((message, address.item, retained))

    def _hear(self, address: Address, message: Message, retained: bool) -> None:
        del address
        if isinstance(message, Declaration) and not retained:
            self._said.append(message)

    def _believe(self) -> None:
        approaches = {one.settings.approach for one in self.lookouts}
        while self._said:
            said, now_ms = self._said.popleft(), self._clock.monotonic_ms()
            self._declared, refusal = declarations.take(self._declared, said, self._identity.boot, approaches, now_ms)
            if refusal is not None:
                log.warning("a declaration of %s for %s is refused: %s", said.source, said.approach, refusal)

    def _obey(self) -> None:
        while self._commands:
            command, item, retained = self._commands.popleft()
            if command.name == UPDATE:
                self._obey_update(command, item, retained)
                continue
            if command.status == "executing" and retained:
                self._answer(command, item, "failed", "the device was restarted while it carried this out")
            if command.status != "init":
                continue
            self._answer(command, item, "executing")
            wanted = command.arguments.get("camera")
            chosen = [one for one in self.lookouts if wanted in (None, one.settings.camera)]
            if command.name == SET_SETTING:
                refusal = set_setting(self._home, command.arguments)
                self._answer(command, item, "successful" if refusal is None else "failed", refusal or "")
            elif command.name in self.orders:
                self.orders[command.name]()
                self._answer(command, item, "successful")
            elif command.name != RELEARN_ROAD:
                self._answer(command, item, "failed", f"an agent knows no command {command.name}")
            elif not chosen:
                self._answer(command, item, "failed", f"this device has no camera {wanted}"[:200])
            else:
                for lookout in chosen:
                    lookout.relearn()
                self._answer(command, item, "successful")

    def _obey_update(self, command: ConfigCommand, item: str, retained: bool) -> None:
        """The updater carries it out; it outlives this process, and `_tell_update` tells how it ended."""
        if self._updates.knows(command):
            if command.status == "init":
                self._answer(command, item, "executing")
        elif command.status == "init":
            refusal = self._updates.take(command, item)
            self._answer(command, item, "executing" if refusal is None else "failed", refusal or "")
        elif command.status == "executing" and retained:
            self._answer(command, item, "failed", "interrupted: this device knows nothing of it any more")

    def _tell_update(self) -> None:
        ended = self._updates.ended()
        if ended is not None and self._link.connected:
            command, item, status, reason = ended
            self._answer(command, item, status, reason)
            self._updates.answered()
            self._health_due_ms = self._clock.monotonic_ms()

    def _answer(self, command: ConfigCommand, item: str, status: ConfigStatus, reason: str = "") -> None:
        answer = ConfigCommand(
            **self._identity.live(),
            command=command.command,
            device=command.device,
            name=command.name,
            status=status,
            arguments=command.arguments,
            reason=reason,
        )
        self._link.send_live(CONFIG_COMMAND, self._identity.device, answer, item)


def _written_bytes(process: psutil.Process) -> int:
    """What the kernel sent towards the disk for this process."""
    try:
        return int(process.io_counters().write_bytes)
    except (psutil.Error, AttributeError, OSError):
        return 0


def _temperature() -> float | None:
    try:
        text = Path("/sys/class/thermal/thermal_zone0/temp").read_text("ascii")
        return int(text) / 1000
    except (OSError, ValueError):
        return None
