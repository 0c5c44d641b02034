"""From a site file's cabinet to what speaks to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_server.cabinet.ntcip.cabinet import NtcipCabinet
from edge_server.cabinet.ntcip.security import security_of, user_of
from edge_server.cabinet.ntcip.snmp import UdpSnmp
from edge_server.cabinet.port import Cabinet
from edge_server.cabinet.recorder import Recorder
from edge_server.events import HeartbeatReceived
from edge_server.signals.hires_files import HiresFiles
from node.broker.paho_client import PahoClient
from node.broker.password import USERNAME, broker_password, has_broker_password
from node.broker.port import BrokerAddress, BrokerClient
from node.clock import Clock
from node.config.schema import Broker
from node.errors import CredentialsUnusable
from node.identity import Identity
from node.link import death_will
from node.trust.credentials import load as load_credentials
from protocol.cabinet import Cabinet as Described
from protocol.messages import Heartbeat
from protocol.site import Intersection, Site

RECORDED = "recorded"


def reached(intersection: Intersection, described: Described, home: Path) -> UdpSnmp:
    """Raises CabinetSecurityWeak (KF470), CabinetKeysUnusable (KF473), and CabinetUnreachable (KF324) where its name is
    not known. Nothing is sent yet."""
    security = security_of(intersection.id, described)
    user = user_of(intersection.id, described, security, home)
    return UdpSnmp(described.host, described.port, security, user)


def cabinet_of(intersection: Intersection, described: Described, home: Path, clock: Clock) -> Cabinet:
    cabinet = NtcipCabinet(intersection, described, reached(intersection, described, home), clock)
    return cabinet if described.acts else Recorder(cabinet)


def connection(home: Path, broker: Broker, address: BrokerAddress | None) -> Callable[[Identity], BrokerClient]:
    """How a gateway enters the broker: with what its state folder got by joining as that controller, else as the edge
    server whose state folder it is. Raises CredentialsUnusable (KF164) when it is neither's."""
    credentials = load_credentials(home)

    def connect(identity: Identity) -> BrokerClient:
        will = death_will(identity, broker.prefix)
        if address is not None:
            return PahoClient(address, identity.device, will)
        if credentials is not None:
            if credentials.device != identity.device:
                detail = f"it joined as {credentials.device}, and the site file's controller is {identity.device}"
                raise CredentialsUnusable(path=home / "trust", detail=detail)
            return PahoClient(credentials.brokers(), identity.device, will, tls=credentials.tls)
        if not has_broker_password(home):
            raise CredentialsUnusable(path=home, detail="no edge server has run from here, and nothing has joined")
        return PahoClient(
            BrokerAddress(port=broker.port, username=USERNAME, password=broker_password(home)), identity.device, will
        )

    return connect


def recording(home: Path, site: Site, clock: Clock) -> Callable[[Heartbeat], None]:
    """Writes each heartbeat's news into `recorded/YYYY-MM-DD.csv`, in the high-resolution log's form."""
    files = HiresFiles(home / RECORDED, site)
    return lambda heartbeat: files.handle(
        HeartbeatReceived(heartbeat=heartbeat, received_ms=clock.wall_ms(), received_mono_ms=clock.monotonic_ms())
    )
