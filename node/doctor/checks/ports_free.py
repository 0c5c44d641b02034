from __future__ import annotations

from collections.abc import Callable

import psutil

from node.doctor.check import Context
from node.errors import PortInUse
from node.ports import check_port_free


def listener_of(port: int) -> psutil.Process | None:
    """The process that listens on `port`, when this user may know."""
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid is not None:
                return psutil.Process(one.pid)
    except psutil.Error:
        return None
    return None


def is_kinflow(process: psutil.Process) -> bool:
    """Whether it is Kinflow itself, or a broker that Kinflow started."""
    return any(
        "kinflow" in part.rpartition("/")[2] for one in (process, *process.parents()) for part in one.cmdline()[:3]
    )


class PortsFree:
    title = "The ports are free"
    error = PortInUse

    def __init__(self, listener: Callable[[int], psutil.Process | None] = listener_of) -> None:
        self._listener = listener

    def run(self, context: Context) -> str:
        settings = context.settings().settings
        wanted = {settings.edge.port: settings.edge.host, settings.agent.port: "127.0.0.1"}
        if not settings.broker.url:
            wanted[settings.broker.port] = "127.0.0.1"
        ours = [port for port, host in wanted.items() if self._is_ours(port, host)]
        if ours:
            return f"Kinflow itself, running now, uses {', '.join(map(str, sorted(ours)))}."
        return f"{', '.join(map(str, sorted(wanted)))} are free."

    def _is_ours(self, port: int, host: str) -> bool:
        """False for a free port, True for one that Kinflow holds. Raises PortInUse (KF48) for any other."""
        try:
            check_port_free(host, port)
        except PortInUse as error:
            process = self._listener(port)
            try:
                if process is not None and is_kinflow(process):
                    return True
                user = f"{process.name()} (process {process.pid})" if process is not None else "another program"
            except psutil.Error:
                user = "another program"
            raise PortInUse(port=port, host=host, user=user) from error
        return False
