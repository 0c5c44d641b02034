"""Telling agents on the network where this edge server's broker is, once it may be reached from there."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import structlog

from node.discovery import Advertisement, open_zeroconf
from protocol.ids import DeviceId

if TYPE_CHECKING:
    from zeroconf import Zeroconf

EVERYWHERE = "0.0.0.0"  # noqa: S104 (the address that a person asked for by allow_lan)

log = structlog.get_logger("edge.beacon")


class Beacon:
    """Advertises by zeroconf from start() to stop(). A network without multicast is no reason not to run."""

    def __init__(self, edge: DeviceId, host: str, mqtt_port: int, http_port: int) -> None:
        self._edge = edge
        self._addresses = [host] if host != EVERYWHERE else lan_addresses()
        self._ports = (mqtt_port, http_port)
        self._zeroconf: Zeroconf | None = None
        self._advertisement: Advertisement | None = None

    def start(self) -> None:
        try:
            self._zeroconf = open_zeroconf(self._addresses)
            self._advertisement = Advertisement(self._zeroconf, self._edge, self._addresses, *self._ports, tls=True)
        except OSError as error:
            log.warning("agents can't find this edge server by themselves: give them its address", detail=str(error))

    def stop(self) -> None:
        if self._zeroconf is None:
            return
        with suppress(OSError):
            if self._advertisement is not None:
                self._advertisement.close()
            self._zeroconf.close()


def lan_addresses() -> list[str]:
    """This machine's IPv4 addresses other than loopback."""
    found = [one.address for all_of in psutil.net_if_addrs().values() for one in all_of if one.family == socket.AF_INET]
    return [address for address in found if not address.startswith("127.")]
