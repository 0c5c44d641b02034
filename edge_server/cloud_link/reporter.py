"""The thread that tells the cloud, every half minute, how this edge server is doing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from random import Random
from typing import Protocol

import structlog

from edge_server.cloud_link.status import alarm_counts, device_statuses
from edge_server.context import EdgeContext
from node.backoff import backoff_s
from node.clock import Clock
from protocol.edge_status import EVERY_S, EdgeStatus, encode_status
from protocol.ids import DeviceId, new_boot_id

SLOWEST_S = 600.0
ALARMS_LIMIT = 10_000

log = structlog.get_logger("cloud-link")


class Sender(Protocol):
    """edge: the id by which this edge server has joined the cloud."""

    edge: DeviceId

    def send(self, body: bytes) -> None:
        """Sends one status, signed. Raises OSError or KinflowError when it did not arrive."""


class CloudReporter:
    """Runs until stop(). What goes wrong here is logged once, until it goes well again, and reaches nobody else.

    connect: None while no cloud has been joined; it is asked again until one has.
    """

    def __init__(
        self,
        edge: EdgeContext,
        connect: Callable[[], Sender | None],
        clock: Clock,
        random: Random | None = None,
    ) -> None:
        self._edge, self._connect, self._clock = edge, connect, clock
        self._sender: Sender | None = None
        self._random = random or Random()  # noqa: S311 (jitter)
        self._boot, self._seq = new_boot_id(), 0
        self._began_ms = clock.monotonic_ms()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cloud-link", daemon=True)
        self.failures = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """At once: a report that is on its way is not waited for."""
        self._stopping.set()

    def report(self) -> bool:
        """One report; whether it arrived, or there is nobody to report to."""
        try:
            self._sender = self._sender or self._connect()
            if self._sender is None:
                return True
            self._sender.send(encode_status(self.status(self._sender.edge)))
        except Exception as error:
            # Whatever it is, a busy store or a full disk as well: reporting does not end by it. Credentials are read
            # anew, as somebody may have joined another cloud.
            self._sender = None
            self._failed(error)
            return False
        if self.failures:
            log.info("the cloud hears this edge server again")
        self.failures = 0
        return True

    def status(self, name: DeviceId) -> EdgeStatus:
        self._seq += 1
        devices, left_out = device_statuses(self._edge.devices().values())
        return EdgeStatus(
            edge=name,
            boot=self._boot,
            seq=self._seq,
            at_ms=self._clock.wall_ms(),
            software=_software(),
            site=self._edge.site.id,
            uptime_s=(self._clock.monotonic_ms() - self._began_ms) / 1000,
            broker_connected=self._edge.broker_connected(),
            alarms=alarm_counts(self._edge.read.alarms(limit=ALARMS_LIMIT, active=True)),
            devices=devices,
            devices_left_out=left_out,
        )

    def wait_s(self) -> float:
        """Until the next report: half a minute with some jitter, longer and longer while none arrives."""
        if not self.failures:
            return EVERY_S * (0.9 + 0.2 * self._random.random())
        return max(EVERY_S, backoff_s(self.failures, self._random, EVERY_S, SLOWEST_S))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.report()
            self._stopping.wait(self.wait_s())

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:
            log.warning("the cloud can't be told how this edge server is doing", error=str(error)[:300])


def _software() -> str:
    try:
        return f"kinflow {version('kinflow')}"
    except PackageNotFoundError:
        return "kinflow"
