"""TCP ports of this machine: is one free, and which one is."""

from __future__ import annotations

import socket

from node.errors import PortInUse

LOOPBACK = "127.0.0.1"
LOOK_AHEAD = 50


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


def accepts(host: str, port: int) -> bool:
    """True when something accepts a connection there now."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
