"""Edge servers on the local network, by zeroconf (DNS-SD). It only finds: whoever is found must still be trusted by its
password, and later by its key."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from protocol import PROTOCOL_VERSION
from protocol.ids import DeviceId, is_slug

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, Zeroconf

SERVICE = "_kinflow._tcp.local."


@dataclass(frozen=True, order=True)
class EdgeFound:
    """What an edge server says of itself: where its broker and its HTTP server are, and what protocol it speaks. tls:
    both by TLS, for devices that have joined."""

    edge: DeviceId
    host: str
    mqtt_port: int
    http_port: int
    protocol: int
    tls: bool = False


def open_zeroconf(interfaces: list[str] | None = None) -> Zeroconf:
    """A zeroconf instance on these addresses (default: all). Imported here, so that a device with a fixed address pays
    nothing for it."""
    from zeroconf import InterfaceChoice, IPVersion, Zeroconf  # noqa: PLC0415

    return Zeroconf(interfaces=interfaces or InterfaceChoice.All, ip_version=IPVersion.V4Only)


class Advertisement:
    """Says that an edge server is here, until close(). Two edge servers may say so side by side."""

    def __init__(
        self,
        zeroconf: Zeroconf,
        edge: DeviceId,
        addresses: list[str],
        mqtt_port: int,
        http_port: int,
        *,
        tls: bool = False,
    ) -> None:
        from zeroconf import EventLoopBlocked, ServiceInfo  # noqa: PLC0415

        self._zeroconf = zeroconf
        self._info = ServiceInfo(
            SERVICE,
            f"{edge}.{SERVICE}",
            port=mqtt_port,
            properties={"edge": edge, "http": str(http_port), "v": str(PROTOCOL_VERSION), "tls": "1" if tls else "0"},
            server=f"{edge}.local.",
            addresses=[socket.inet_aton(address) for address in addresses],
        )
        # On a busy machine zeroconf gives up waiting for its own thread, which goes on registering all the same.
        with contextlib.suppress(EventLoopBlocked):
            zeroconf.register_service(self._info, allow_name_change=True)

    def close(self) -> None:
        from zeroconf import EventLoopBlocked  # noqa: PLC0415

        with contextlib.suppress(EventLoopBlocked):
            self._zeroconf.unregister_service(self._info)


def find_edges(zeroconf: Zeroconf, seconds: float = 3.0, enough: int | None = None) -> list[EdgeFound]:
    """Listen for `seconds`, or until `enough` edge servers have answered. Unreadable answers are left out. One that has
    several addresses is there with each of them, the likeliest first: somebody else of the same name may have added
    his."""
    from zeroconf import ServiceBrowser, ServiceStateChange  # noqa: PLC0415

    found: dict[str, tuple[EdgeFound, ...]] = {}
    changed = threading.Condition()

    def on_change(zeroconf: Zeroconf, service_type: str, name: str, state_change: Any) -> None:
        if state_change is ServiceStateChange.Removed:
            return
        info = zeroconf.get_service_info(service_type, name)
        edge = read_edge(info) if info is not None else None
        if info is not None and edge is not None:
            now = [replace(edge, host=host) for host in info.parsed_addresses()]
            with changed:
                found[name] = tuple(dict.fromkeys((*now, *found.get(name, ()))))
                changed.notify_all()

    browser = ServiceBrowser(zeroconf, SERVICE, handlers=[on_change])
    try:
        with changed:
            changed.wait_for(lambda: enough is not None and len(found) >= enough, seconds)
            return [one for each in sorted(found.values()) for one in each]
    finally:
        browser.cancel()


def read_edge(info: ServiceInfo) -> EdgeFound | None:
    """Read one answer, which anybody on the network may have made up."""
    properties = {key: value or b"" for key, value in info.properties.items()}
    try:
        edge = properties[b"edge"].decode("ascii")
        http_port, version = int(properties[b"http"]), int(properties[b"v"])
    except (KeyError, ValueError):
        return None
    addresses = info.parsed_addresses()
    if not (is_slug(edge) and addresses and info.port and 0 < http_port < 1 << 16):
        return None
    return EdgeFound(DeviceId(edge), addresses[0], info.port, http_port, version, properties.get(b"tls") == b"1")
