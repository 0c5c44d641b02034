"""Simulated controllers on a broker: one connection each, one thread that moves their time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from edge_server.cabinet.wire import Connect, Control, EpochTaken, Received, Report, link_of
from node.clock import Clock
from node.identity import Identity
from protocol.ids import DeviceId, IntersectionId, PhaseId
from protocol.messages import Birth, Message, SignalCommand
from protocol.messages.heartbeat import Aspect
from protocol.site import Intersection, Site
from protocol.topics import DEFAULT_PREFIX, HEARTBEAT, SIGNAL_COMMAND, Address
from sim_devices.controller import core
from sim_devices.controller.core import Called, FaultMode, Injected, Tick
from sim_devices.controller.epoch_file import EpochFile
from sim_devices.controller.wiring import Wiring
from sim_devices.errors import EpochNotKept

STEP_MS = 100

OnCommand = Callable[[SignalCommand, int], None]

log = logging.getLogger(__name__)


class SimulatedController:
    """One controller. Thread-safe. on_command(command, received_ms) hears of each command as it comes in, with the wall
    clock, before it is judged; on_obeyed(command, mono_ms) of each that is taken, with the controller's own clock.
    Raises EpochFileUnreadable (KF100)."""

    def __init__(
        self,
        intersection: Intersection,
        connect: Connect,
        clock: Clock,
        epochs: EpochFile,
        *,
        prefix: str = DEFAULT_PREFIX,
        on_command: OnCommand = lambda *_: None,
        on_obeyed: OnCommand = lambda *_: None,
    ) -> None:
        self._clock = clock
        self._epochs = epochs
        self._on_command = on_command
        self._on_obeyed = on_obeyed
        self._lock = threading.Lock()
        self._identity = Identity(intersection.controller, clock)
        self._intersection = intersection
        self._state = core.boot(
            Wiring.of(intersection), self._identity.boot, clock.monotonic_ms(), highest_epoch=epochs.read()
        )
        self._link = link_of(self._identity, connect, clock, prefix, self._birth)
        self._link.subscribe(SIGNAL_COMMAND, self._identity.device, self._receive)

    @property
    def device(self) -> DeviceId:
        return self._identity.device

    @property
    def control(self) -> Control:
        with self._lock:
            return self._state.control

    def aspects(self) -> Mapping[PhaseId, Aspect]:
        """What the lamps show now: every phase red while the controller is in flash or dark."""
        with self._lock:
            return self._state.aspects

    def start(self) -> None:
        self._link.start()

    def stop(self) -> None:
        self._link.stop()

    def tick(self) -> None:
        """Bring the controller's own clock up to the present."""
        with self._lock:
            passed_ms = self._clock.monotonic_ms() - self._state.now_ms
            self._step(Tick(max(0, passed_ms)))

    def call(self, phase: PhaseId) -> None:
        """Somebody waits for a phase."""
        with self._lock:
            self._step(Called(phase))

    def inject(self, mode: FaultMode | None) -> None:
        with self._lock:
            self._step(Injected(mode))

    def _receive(self, address: Address, command: Message, retained: bool) -> None:  # noqa: ARG002 (the link's handler)
        # A command that moves traffic is never retained: one that a broker kept is not even looked at.
        if retained or not isinstance(command, SignalCommand):
            return
        self._on_command(command, self._clock.wall_ms())
        with self._lock:
            passed_ms = self._clock.monotonic_ms() - self._state.now_ms
            self._step(Tick(max(0, passed_ms)))
            self._step(Received(command))
            outcome, now_ms = self._state.last_command, self._state.now_ms
        if outcome is not None and outcome.command == command.id and outcome.refusal is None:
            self._on_obeyed(command, now_ms)

    def _step(self, event: core.Event) -> None:
        self._state, effects = core.step(self._state, event)
        for effect in effects:
            if isinstance(effect, EpochTaken):
                self._keep(effect.epoch)
            elif isinstance(effect, Report):
                self._link.send_live(HEARTBEAT, self.device, effect.message(self._identity.live()))

    def _keep(self, epoch: int) -> None:
        try:
            self._epochs.write(epoch)
        except OSError as error:
            log.error("%s", EpochNotKept(device=self.device, epoch=epoch, detail=error))

    def _birth(self) -> Birth:
        return Birth(
            **self._identity.live(),
            role="controller",
            software="kinflow simulated controller",
            name=self._intersection.name or self._intersection.id,
            intersection=self._intersection.id,
            simulated=True,
        )


class ControllerRunner:
    """A simulated controller for each intersection of a site, which must be free of faults (protocol.site_check).

    connect: makes a controller's own broker client, with its will (node.link.death_will). folder: where highest epochs
    are kept, one file a controller.
    """

    def __init__(
        self,
        site: Site,
        connect: Connect,
        clock: Clock,
        folder: Path,
        *,
        prefix: str = DEFAULT_PREFIX,
        on_command: OnCommand = lambda *_: None,
        on_obeyed: OnCommand = lambda *_: None,
    ) -> None:
        self.controllers: dict[IntersectionId, SimulatedController] = {
            one.id: SimulatedController(
                one,
                connect,
                clock,
                EpochFile(folder / f"{one.controller}.epoch"),
                prefix=prefix,
                on_command=on_command,
                on_obeyed=on_obeyed,
            )
            for one in site.intersections
        }
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="controllers", daemon=True)

    def start(self) -> None:
        for controller in self.controllers.values():
            controller.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for controller in self.controllers.values():
            controller.stop()

    def aspects(self, intersection: IntersectionId) -> Mapping[PhaseId, Aspect]:
        """What the lamps of an intersection show now."""
        return self.controllers[intersection].aspects()

    def _run(self) -> None:
        while not self._stopping.wait(STEP_MS / 1000):
            for controller in self.controllers.values():
                controller.tick()
