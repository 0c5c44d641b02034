"""Asking everybody who may know the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from node.config.schema import Time
from node.errors import EdgeNotReached
from node.time import gpsd, kernel, receiver
from node.time.choose import Reading
from node.trust import credentials as stored
from node.trust.asking import ask_time, asker_of
from protocol.errors import KinflowError

# The edge server's own clock may be off by this much and more; that it can't tell.
EDGE_ERROR_MS = 1_000


@dataclass(frozen=True)
class Heard:
    """faults: why a source that was to be asked told nothing."""

    readings: tuple[Reading, ...] = ()
    faults: tuple[KinflowError, ...] = ()


def gather(
    home: Path,
    settings: Time,
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ntp_error_ms: Callable[[], int | None] | None = None,
) -> Heard:
    """Takes as long as `gps_wait_s` where a receiver is set up and sees nothing."""
    readings, faults = [], []
    error_ms = (ntp_error_ms or kernel.ntp_error_ms)()
    if error_ms is not None:
        readings.append(Reading("ntp", 0, error_ms))
    for ask in (_ask_gps, _ask_edge):
        try:
            reading = ask(home, settings, wall_ms)
        except KinflowError as error:
            faults.append(error)
        else:
            readings += [reading] if reading is not None else []
    return Heard(tuple(readings), tuple(faults))


def _ask_gps(_: Path, settings: Time, wall_ms: Callable[[], int]) -> Reading | None:
    """The moment that it tells of has passed by: what our clock said then is reckoned back."""
    if not settings.gps:
        return None
    parts = urlsplit(settings.gps)
    if parts.scheme == "gpsd":
        fix, at_mono_ms = gpsd.read(parts.hostname or "127.0.0.1", parts.port or gpsd.PORT, settings.gps_wait_s)
        utc_ms, error_ms = fix.utc_ms, fix.error_ms
    else:
        utc_ms, at_mono_ms = receiver.read(settings.gps, settings.gps_speed, settings.gps_wait_s)
        error_ms = receiver.ERROR_MS
    passed_ms = time.monotonic_ns() // 1_000_000 - at_mono_ms
    return Reading("gps", utc_ms + passed_ms - wall_ms(), error_ms)


def _ask_edge(home: Path, _: Time, wall_ms: Callable[[], int]) -> Reading | None:
    """By a nonce of ours, so that nobody can play an old answer."""
    credentials = stored.load(home)
    if credentials is None:
        return None
    root = x509.load_pem_x509_certificate(credentials.ca.encode())
    fault: KinflowError | None = None
    for host in credentials.hosts:
        began_ms = time.monotonic_ns() // 1_000_000
        try:
            edge_ms = ask_time(asker_of(host, credentials.http_port, credentials.ca), root)
        except EdgeNotReached as error:
            fault = error
            continue
        half_ms = (time.monotonic_ns() // 1_000_000 - began_ms) // 2
        credentials.time.learn(edge_ms + half_ms)
        return Reading("edge", edge_ms + half_ms - wall_ms(), half_ms + EDGE_ERROR_MS)
    if fault is not None:
        raise fault
    return None
