"""A gateway's shell: clock, broker, epoch file, and one thread that reads and asks one cabinet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import structlog

from edge_server.cabinet import gateway
from edge_server.cabinet.epoch_file import EpochFile
from edge_server.cabinet.gateway import Looked, Tick
from edge_server.cabinet.place import Place
from edge_server.cabinet.port import Cabinet
from edge_server.cabinet.wire import Connect, EpochTaken, Received, Report, link_of
from node.clock import Clock
from node.identity import Identity
from protocol.errors import KinflowError
from protocol.ids import DeviceId
from protocol.messages import Alarm, Birth, Heartbeat, Message, SignalCommand
from protocol.site import Intersection
from protocol.topics import ALARM, DEFAULT_PREFIX, HEARTBEAT, SIGNAL_COMMAND, Address

POLL_MS = 250
# What a cabinet did not take is not asked of it again before this.
REFUSED_MS = 5_000
LOST_ALARM = "cabinet-lost"


log = structlog.get_logger("edge.cabinet")


class CabinetGateway:
    """One cabinet on a broker, as the controller that the site file names. Thread-safe but for cycle(), which is for
    whoever moves the time: the own thread after start(), or a test.

    simulated: what stands behind is no real cabinet. heard: each heartbeat as it is sent. Raises
    ControllerEpochUnreadable (KF474)."""

    def __init__(
        self,
        intersection: Intersection,
        cabinet: Cabinet,
        connect: Connect,
        clock: Clock,
        epochs: EpochFile,
        *,
        prefix: str = DEFAULT_PREFIX,
        software: str = "kinflow cabinet gateway",
        simulated: bool = False,
        heard: Callable[[Heartbeat], None] = lambda _: None,
    ) -> None:
        self._cabinet = cabinet
        self._clock = clock
        self._epochs = epochs
        self._intersection = intersection
        self._software = software
        self._simulated = simulated
        self._heard = heard
        self._lock = threading.Lock()
        self._asking = False
        self._problem: KinflowError | None = None
        self._refused: tuple[int, str] | None = None
        self._unfit: str | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._identity = Identity(intersection.controller, clock)
        self._state = gateway.boot(
            Place.of(intersection), self._identity.boot, clock.monotonic_ms(), highest_epoch=epochs.read()
        )
        self._link = link_of(self._identity, connect, clock, prefix, self._birth)
        self._link.subscribe(SIGNAL_COMMAND, self._identity.device, self._receive)

    @property
    def device(self) -> DeviceId:
        return self._identity.device

    @property
    def state(self) -> gateway.State:
        with self._lock:
            return self._state

    @property
    def problem(self) -> KinflowError | None:
        """Why the cabinet could not be read the last time."""
        return self._problem

    def start(self, *, threaded: bool = True) -> None:
        """threaded: move by an own thread; else cycle() is called from outside."""
        self._link.start()
        if threaded:
            self._thread = threading.Thread(target=self._run, name=f"cabinet-{self.device}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """The cabinet is let go; should that not reach it, its own time does it."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._asking:
            try:
                self._cabinet.let_go()
            except KinflowError as error:
                log.warning("the cabinet was not let go", device=self.device, error=str(error))
        self._cabinet.close()
        self._link.stop()

    def cycle(self) -> None:
        """Read the cabinet, tell what it shows, and ask it for what the lease asks for."""
        try:
            reading = self._cabinet.look()
        except KinflowError as error:
            self._lost(error)
            with self._lock:
                self._step(Tick(self._clock.monotonic_ms()))
            return
        self._found()
        with self._lock:
            now_ms = self._clock.monotonic_ms()
            if self._refused is not None and now_ms - self._refused[0] < REFUSED_MS:
                reading = replace(reading, unfit=reading.unfit or self._refused[1])
            self._step(Tick(now_ms))
            self._step(Looked(reading))
            wish = self._state.wish
        self._tell_unfit(reading.unfit)
        try:
            if wish is not None:
                self._asking = True
                self._cabinet.serve(wish, reading)
            elif self._asking:
                self._cabinet.let_go()
                self._asking = False
        except KinflowError as error:
            log.warning("the cabinet did not take what was asked", device=self.device, error=str(error))
            self._refused = (self._clock.monotonic_ms(), error.cause_text)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.cycle()
            except Exception:
                log.exception("the cabinet's cycle failed", device=self.device)
            self._wake.wait(POLL_MS / 1000)
            self._wake.clear()

    def _receive(self, address: Address, command: Message, retained: bool) -> None:  # noqa: ARG002 (the link's handler)
        # A command that moves traffic is never retained: one that a broker kept is not even looked at.
        if retained or not isinstance(command, SignalCommand):
            return
        with self._lock:
            before = self._state.wish
            self._step(Tick(self._clock.monotonic_ms()))
            self._step(Received(command))
            changed = self._state.wish != before
        if changed:
            self._wake.set()

    def _step(self, event: gateway.Event) -> None:
        self._state, effects = gateway.step(self._state, event)
        for effect in effects:
            match effect:
                case EpochTaken(epoch):
                    self._keep(epoch)
                case Report():
                    heartbeat = effect.message(self._identity.live())
                    self._link.send_live(HEARTBEAT, self.device, heartbeat)
                    self._heard(heartbeat)

    def _keep(self, epoch: int) -> None:
        try:
            self._epochs.write(epoch)
        except OSError as error:
            # Until it can be written, a restart would let an earlier edge server in; it is no reason to let go now.
            log.error("the highest epoch could not be written down", device=self.device, epoch=epoch, error=str(error))

    def _lost(self, error: KinflowError) -> None:
        if self._problem is None or self._problem.code != error.code:
            log.warning("the cabinet is lost", device=self.device, error=str(error))
            self._alarm(error, active=True)
        self._problem = error

    def _found(self) -> None:
        if self._problem is not None:
            log.info("the cabinet is back", device=self.device)
            self._alarm(self._problem, active=False)
            self._problem = None

    def _alarm(self, error: KinflowError, *, active: bool) -> None:
        text = error.cause_text if active else f"Over: {error.cause_text}"
        alarm = Alarm(
            **self._identity.accounted(),
            alarm=LOST_ALARM,
            subject=self._intersection.id,
            severity="critical",
            active=active,
            text=text[:500],
            code=error.code,
        )
        self._link.send(ALARM, alarm)

    def _tell_unfit(self, unfit: str | None) -> None:
        if unfit != self._unfit:
            log.info("commands are taken" if unfit is None else "no commands are taken", device=self.device, why=unfit)
            self._unfit = unfit

    def _birth(self) -> Birth:
        return Birth(
            **self._identity.live(),
            role="controller",
            software=self._software,
            name=self._intersection.name or self._intersection.id,
            intersection=self._intersection.id,
            simulated=self._simulated,
        )
