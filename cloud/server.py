"""The cloud's process: a plain door on loopback, and one by TLS for edge servers when they are to be let in."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from starlette.types import ASGIApp

from cloud.app import CloudContext, cloud_app
from cloud.store import FILE_NAME, CloudStore
from cloud.trust import CloudTrust
from cloud.trust_routes import trust_routes
from models.escalation.served import Served
from node.clock import Clock, SystemClock
from node.config.load import is_loopback
from node.door.doorman import Limits
from node.door.listener import Door
from node.door.server import DoorServer
from node.file_lock import hold_state
from node.ports import check_port_free
from node.ready_structs import ready_structs
from node.service.heart import Heart
from node.service.notify import find_manager
from node.token_file import load_or_make_token
from protocol.ids import DeviceId

TOKEN_FILE = "cloud-token"  # noqa: S105 (the name of a file)
STOP_WITHIN_S = 3.0
LOOPBACK = "127.0.0.1"
LOOK_S = 2.0
DOORS_LIMIT_S = 30.0
# uvicorn's loop comes round ten times a second.
TURNING_S = 5.0
RENEW_EVERY_LOOKS = 1800

log = logging.getLogger(__name__)


class Listener:
    """uvicorn in a thread. `start` returns once the door is open; port 0 takes a free one, and `port` tells which."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, tls: ssl.SSLContext | None = None, limits: Limits | None = None
    ) -> None:
        self._host, self.port = host, port
        # Its application has one life, whichever door is opened first or closed last.
        self._server = DoorServer(app, Door(limits), tls)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises OSError when the port is taken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Loopback and the network share one port: the kernel gives a connection to the more exact address.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((self._host, self.port))
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="cloud-http", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def answers(self) -> bool:
        """Whether the event loop behind the door still turns."""
        turning = time.monotonic() - self._server.ticked_s < TURNING_S
        return self._thread is not None and self._thread.is_alive() and turning

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)


@dataclass(frozen=True)
class CloudOptions:
    """host: where edge servers come in, by HTTPS; loopback for nobody but this machine, without. names: by which it is
    called besides its addresses. releases: signed releases for edges to mirror.
    serving: the member that answers `/v1`, None for none."""

    home: Path
    cloud: DeviceId
    version: str
    host: str = LOOPBACK
    port: int = 8802
    names: frozenset[str] = frozenset()
    releases: Path | None = None
    serving: Served | None = None


class CloudServer:
    """start() returns once the doors are open. Raises PortInUse (KF48), StateInUse (KF53), StoreNewer (KF51), or
    CredentialsUnusable (KF164)."""

    def __init__(self, options: CloudOptions, clock: Clock | None = None) -> None:
        self._heart = Heart({"doors": DOORS_LIMIT_S}, find_manager(), clock)
        clock = clock or SystemClock()
        check_port_free(options.host, options.port)
        options.home.mkdir(parents=True, exist_ok=True)
        self._options = options
        self._lock = hold_state(options.home / FILE_NAME)
        self._store = CloudStore(options.home / FILE_NAME)
        names = {*options.names, *own_names(options.host)}
        self._trust = CloudTrust(options.home, options.cloud, clock, self._store, names, options.port)
        app = cloud_app(
            CloudContext(
                version=options.version,
                clock=clock,
                store=self._store,
                edge_of=self._trust.edge_of,
                token=load_or_make_token(options.home / TOKEN_FILE),
                releases=options.releases,
                trust=trust_routes(self._trust, clock),
                serving=options.serving,
            )
        )
        self._doors = [Listener(app, LOOPBACK, options.port)]
        if not is_loopback(options.host):
            self._doors.append(Listener(app, options.host, options.port, self._trust.server_context()))

    @property
    def port(self) -> int:
        return self._doors[0].port

    def start(self) -> None:
        ready_structs()
        for door in self._doors:
            door.start()
        self._heart.start()
        log.info("the cloud runs at http://%s:%d", LOOPBACK, self.port)

    def stop(self) -> None:
        self._heart.stop()
        if self._options.serving is not None:
            self._options.serving.drain()
        for door in self._doors:
            door.stop()
        self._trust.close()
        self._store.close()
        self._lock.close()

    def run(self, stopping: threading.Event) -> None:
        """Serve until `stopping` is set; see to our own certificate meanwhile."""
        self.start()
        try:
            looked = 0
            while not stopping.wait(LOOK_S):
                # A door whose thread has ended, or that answers no more, is no door.
                if all(door.answers() for door in self._doors):
                    self._heart.beat("doors")
                looked += 1
                if looked % RENEW_EVERY_LOOKS == 0:
                    self._trust.renew_server()
        finally:
            self.stop()


def own_names(host: str) -> set[str]:
    """By which edge servers reach a machine that listens on `host`."""
    if is_loopback(host):
        return {LOOPBACK}
    addresses = lan_addresses() if host in ("0.0.0.0", "::") else [host]  # noqa: S104 (compared, not bound)
    return {socket.gethostname(), *addresses}


def lan_addresses() -> list[str]:
    """This machine's IPv4 addresses other than loopback."""
    found = [one.address for all_of in psutil.net_if_addrs().values() for one in all_of if one.family == socket.AF_INET]
    return [address for address in found if not address.startswith("127.")]
