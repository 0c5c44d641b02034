"""Ports for servers that a test starts: free now, and nobody else's a moment later."""

from __future__ import annotations

import random
from pathlib import Path

from node.errors import PortInUse
from node.ports import LOOPBACK, check_port_free

# Outgoing connections take theirs from this range up, and keep them for a minute after their end. A port that the
# system hands out is from the same range: one that was free on 127.0.0.2 may be such a connection's on 127.0.0.1.
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_RANGE = "32768 60999"
LOWEST = 10_000
TRIES = 200


def free_port(*hosts: str) -> int:
    """A port that is free on every one of `hosts` and on loopback; by chance, since tests run side by side."""
    end = int((RANGE.read_text() if RANGE.exists() else USUAL_RANGE).split()[0])
    if end <= LOWEST + TRIES:  # a machine that gives outgoing connections every port
        end = 65_536
    for _ in range(TRIES):
        port = random.randrange(LOWEST, end)
        try:
            for host in {LOOPBACK, *hosts}:
                check_port_free(host, port)
        except PortInUse:
            continue
        return port
    raise AssertionError(f"no free port in {TRIES} tries between {LOWEST} and {end}")
