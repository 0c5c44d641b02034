"""The one thread that keeps the mirror fresh, plans the rollout, asks devices and takes their answers."""

from __future__ import annotations

import queue
import secrets
import sqlite3
import threading
from collections.abc import Callable, Mapping

import structlog

from edge_server.errors import DeviceNotAsked, RolloutRefused
from edge_server.fleet.device import Device
from edge_server.updates import rollout as stages
from edge_server.updates.mirror import Mirror
from edge_server.updates.rollout import Action, Rollout, Seen
from edge_server.updates.rollout_store import RolloutStore
from node.clock import Clock
from node.update.version import is_version
from protocol.errors import KinflowError
from protocol.ids import DeviceId, MessageId
from protocol.messages import ConfigCommand

LOOK_S = 2.0
SYNC_EVERY_MS = 15 * 60_000
UPDATE = "update"

log = structlog.get_logger()


class UpdateService:
    """start() and stop() once. sync: brings the mirror up to date; None where no source is set. configure: asks a
    device (device, name, arguments), as EdgeContext.configure does. tell: a line for people, and whether it is bad."""

    def __init__(  # noqa: PLR0917 (its ports)
        self,
        store: RolloutStore,
        mirror: Mirror,
        sync: Callable[[], object] | None,
        devices: Callable[[], Mapping[DeviceId, Device]],
        configure: Callable[[DeviceId, str, Mapping[str, str]], MessageId],
        clock: Clock,
        tell: Callable[[str, bool], None],
    ) -> None:
        self._store, self.mirror, self._sync = store, mirror, sync
        self._devices, self._configure, self._clock, self._tell = devices, configure, clock, tell
        self._lock = threading.RLock()
        self._rollout = store.latest()
        self._answers: queue.SimpleQueue[ConfigCommand] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopping = False
        self._sync_due_ms = 0
        self.sync_fault: str | None = None
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._store.close()

    @property
    def rollout(self) -> Rollout | None:
        return self._rollout

    def versions(self) -> dict[DeviceId, Seen]:
        """Every agent that is no simulation, with the version that it runs."""
        return {
            name: Seen(present=device.state == "online", version=version_of(device.software))
            for name, device in self._devices().items()
            if device.role == "agent" and not device.simulated
        }

    def begin(self, version: str | None, who: str) -> Rollout:
        """Roll out what the mirror holds. Raises RolloutRefused (KF215)."""
        channel = self.mirror.channel()
        wanted = version or (channel.version if channel else "")
        if not is_version(wanted) or channel is None or channel.version != wanted or not self.mirror.archs(wanted):
            raise RolloutRefused(detail=f"the mirror holds no version {wanted[:40] or 'at all'}")
        with self._lock:
            if self._rollout is not None and self._rollout.status in {"running", "paused"}:
                raise RolloutRefused(detail=f"version {self._rollout.version} is being rolled out")
            begun = Rollout(
                id=secrets.token_hex(8), version=wanted, started_ms=self._clock.wall_ms(), why=f"begun by {who}"
            )
            self._keep(begun)
        self._tell(f"the rollout of version {wanted} begins ({who})", False)
        self._wake.set()
        return begun

    def act(self, action: Action, who: str) -> Rollout:
        """Raises RolloutRefused (KF215) when nothing is under way."""
        with self._lock:
            if self._rollout is None or self._rollout.status in {"aborted", "done"}:
                raise RolloutRefused(detail="no rollout is under way")
            self._keep(stages.act(self._rollout, action, who))
            self._tell(f"the rollout of version {self._rollout.version}: {self._rollout.why}", False)
            self._wake.set()
            return self._rollout

    def sync_soon(self) -> None:
        self._sync_due_ms = 0
        self._wake.set()

    def heard(self, said: ConfigCommand) -> None:
        """The end of a command, from any thread."""
        if said.name == UPDATE and said.status in {"successful", "failed"}:
            self._answers.put(said)
            self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._sync_if_due()
                self.turn()
            except (sqlite3.Error, OSError) as error:
                log.warning("the rollout waits", fault=str(error))
            self._wake.wait(LOOK_S)
            self._wake.clear()

    def turn(self) -> None:
        """Take the answers, plan, and ask. The state is on the disk before a device is asked."""
        with self._lock:
            self._take_answers()
            if self._rollout is None:
                return
            before = self._rollout
            planned, asks = stages.plan(before, self.versions(), self._clock.wall_ms())
            if planned != before:
                self._keep(planned)
            if planned.status != before.status or planned.stage != before.stage:
                self._tell(f"the rollout of version {planned.version}: {planned.why}", planned.status == "paused")
            again = [
                stages.Ask(device, planned.version)
                for device, member in planned.members.items()
                if planned.status == "running" and member.state == "asked" and member.command is None
            ]
            for ask in {one.device: one for one in (*asks, *again)}.values():
                self._ask(ask)

    def _ask(self, ask: stages.Ask) -> None:
        assert self._rollout is not None
        try:
            command = self._configure(ask.device, UPDATE, {"version": ask.version})
        except DeviceNotAsked:
            self._keep(stages.not_asked(self._rollout, ask.device))
            return
        self._keep(stages.on_its_way(self._rollout, ask.device, command))

    def _take_answers(self) -> None:
        while not self._answers.empty():
            said = self._answers.get()
            if self._rollout is not None:
                ended = stages.answered(
                    self._rollout, said.device, said.command, said.status == "successful", said.reason
                )
                if ended != self._rollout:
                    self._keep(ended)

    def _keep(self, rollout: Rollout) -> None:
        self._store.save(rollout)
        self._rollout = rollout

    def _sync_if_due(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if self._sync is None or (self._sync_due_ms and now_ms < self._sync_due_ms):
            return
        self._sync_due_ms = now_ms + SYNC_EVERY_MS
        before = self.mirror.channel()
        try:
            self._sync()
            self.sync_fault = None
        except KinflowError as error:
            if self.sync_fault is None:
                log.warning("the mirror of updates is not fresh", fault=str(error))
            self.sync_fault = f"{error.code}: {error.cause_text}"
            return
        after = self.mirror.channel()
        if after is not None and after != before:
            self._tell(f"version {after.version} is here to be rolled out", False)


def version_of(software: str) -> str | None:
    """`kinflow 1.2` -> `1.2`"""
    version = software.rpartition(" ")[2]
    return version if is_version(version) else None
