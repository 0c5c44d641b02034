"""The process behind an address of this machine, and the memory that it holds."""

from __future__ import annotations

from contextlib import suppress

import psutil

from benchmarks.serving.wire import Server

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def listener(server: Server) -> int | None:
    """Who listens there; None where it is another machine's, or nobody that we may see."""
    if server.host not in LOOPBACK:
        return None
    with suppress(psutil.AccessDenied):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == server.port and one.pid:
                return int(one.pid)
    return None


def resident_bytes(pid: int) -> int | None:
    """RSS of a process and of all that it started; None once it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    total = 0
    for one in family:
        with suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return total or None
