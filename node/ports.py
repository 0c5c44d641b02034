"""TCP ports of this machine: is one free, and which one is."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from node.errors import PortInUse

LOOPBACK = "127.0.0.1"
LOOK_AHEAD = 50
# Outgoing connections take theirs from this range up, and keep them for a minute after their end. A port that the
# system hands out is from the same range: one that was free on 127.0.0.2 may be such a connection's on 127.0.0.1.
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_OUTGOING = "32768 60999"
LOWEST, MOST, TRIES = 10_000, 65_535, 200


def check_port_free(host: str, port: int) -> None:
    """Raise PortInUse (KF48) when something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(host=host, port=port, user="another program") from error


def first_free_port(preferred: int, host: str = LOOPBACK) -> int:
    """`preferred`, or the next one above it that is free. Raises PortInUse (KF48) when none of many is."""
    for port in range(preferred, preferred + LOOK_AHEAD):
        try:
            check_port_free(host, port)
        except PortInUse:
            continue
        return port
    raise PortInUse(host=host, port=f"{preferred} to {preferred + LOOK_AHEAD - 1}", user="other programs")


def any_free_port(*hosts: str) -> int:
    """A port that is free on every one of `hosts` and on loopback, by chance: who asks at the same time gets another.
    Raises PortInUse (KF48) when none is found."""
    end = int((OUTGOING.read_text() if OUTGOING.exists() else USUAL_OUTGOING).split()[0])
    if end <= LOWEST + TRIES:  # a machine that gives outgoing connections every port
        end = MOST
    for _ in range(TRIES):
        port = LOWEST + secrets.randbelow(end - LOWEST)
        try:
            for host in {LOOPBACK, *hosts}:
                check_port_free(host, port)
        except PortInUse:
            continue
        return port
    raise PortInUse(host=LOOPBACK, port=f"{LOWEST} to {end - 1}", user="other programs")


def accepts(host: str, port: int) -> bool:
    """True when something accepts a connection there now."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
