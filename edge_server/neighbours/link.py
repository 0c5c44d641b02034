"""Hands routes on to neighbouring sites. Now or never: a vehicle says the same again a second later."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterable

import msgspec
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge_server.errors import NeighbourUnreached
from edge_server.neighbours.wire import HAND_OVER, ROOT, HandedOver, Taken
from node.clock import Clock
from node.errors import EdgeNotPinned
from node.trust.asking import BASE, PLAIN_HOSTS, Asker, asker_of
from node.trust.authority import Authority
from node.trust.keys import read_key, spki_digest
from node.trust.signed_request import sign_request
from node.trust.tls import unverified_context
from node.trust.wire import Root
from protocol.errors import KinflowError
from protocol.ids import DeviceId, SiteId
from protocol.messages import PriorityRoute, PriorityStatus
from protocol.site import Neighbour

# Later than this a route says nothing any more: the vehicle has said something newer.
TIMEOUT_S = 3.0
# It is told once a neighbour has been out of reach for so long.
LOST_AFTER_MS = 10_000

log = structlog.get_logger("edge.neighbours")

Ask = Callable[[str, PriorityRoute], tuple[PriorityStatus, ...]]


class NeighbourLink:
    """One neighbour: both edge servers of its pair are told. send: a status to a vehicle; alarm: raise or clear one of
    ours. A thread of its own, and of each vehicle only the newest route waits."""

    def __init__(
        self,
        neighbour: Neighbour,
        authority: Authority,
        clock: Clock,
        send: Callable[[DeviceId, PriorityStatus], object],
        alarm: Callable[[str, KinflowError, bool], None],
    ) -> None:
        self.site = neighbour.site
        self._neighbour, self._authority, self._clock = neighbour, authority, clock
        self._send, self._alarm = send, alarm
        self._roots: dict[str, str] = {}
        self._waiting: dict[str, PriorityRoute] = {}
        self._news = threading.Condition()
        self._stopping = False
        self._failing_since_ms: int | None = None
        self._told: NeighbourUnreached | None = None
        self._thread = threading.Thread(target=self._run, name=f"neighbour-{neighbour.site}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT_S)

    def put(self, route: PriorityRoute) -> None:
        """To be handed on; what waits of the same vehicle is older, and goes."""
        with self._news:
            self._waiting[route.source] = route
            self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                route = self._waiting.pop(next(iter(self._waiting)))
            self.step(route)

    def step(self, route: PriorityRoute) -> None:
        """Hand one over, to each host; the first that answers speaks for the site."""
        failure: Exception | None = None
        taken: Taken | None = None
        for host in self._neighbour.hosts:
            try:
                answer = self._ask(host, route)
                taken = taken or answer
            except (KinflowError, OSError, ValueError) as error:
                failure = error
        self._judge(None if taken is not None else failure)
        if taken is None:
            return
        if taken.refusal:
            log.info("a neighbour refused a route", site=self.site, vehicle=route.source, code=taken.refusal)
        for status in taken.statuses:
            self._send(route.source, status)

    def _ask(self, host: str, route: PriorityRoute) -> Taken:
        port = self._neighbour.http_port
        root = self._roots.get(host) or self._find_root(host, port)
        asker = asker_of(host, port, root)
        asker.timeout_s = TIMEOUT_S
        body = msgspec.json.encode(HandedOver(route=route))
        key = read_key(self._authority.folder / "server.key")
        certificate = (self._authority.folder / "server.pem").read_text("ascii")
        headers = sign_request(key, certificate, root, "POST", BASE + HAND_OVER, body, self._clock.wall_ms())
        own = base64.b64encode(self._authority.root.public_bytes(Encoding.DER)).decode("ascii")
        try:
            taken = asker.post_raw(HAND_OVER, body, Taken, {**headers, ROOT: own})
        except KinflowError:
            self._roots.pop(host, None)  # it may have another one now
            raise
        self._roots[host] = root
        return taken

    def _find_root(self, host: str, port: int) -> str:
        """Asked without trust, and believed if the site file pins its key. Raises EdgeNotPinned (KF161)."""
        asker = Asker(host, port, None if host in PLAIN_HOSTS else unverified_context())
        asker.timeout_s = TIMEOUT_S
        root = asker.get("/ca", Root).ca
        try:
            digest = spki_digest(x509.load_pem_x509_certificate(root.encode()).public_key())  # type: ignore[arg-type]
        except (ValueError, TypeError, AttributeError) as error:
            raise EdgeNotPinned(host=host) from error
        if digest.hex() != self._neighbour.pin:
            raise EdgeNotPinned(host=host)
        return root

    def _judge(self, failure: Exception | None) -> None:
        now_ms = self._clock.monotonic_ms()
        if failure is None:
            self._failing_since_ms = None
            if self._told is not None:
                self._alarm(f"neighbour-unreached-{self.site}"[:63], self._told, False)
                self._told = None
            return
        if self._failing_since_ms is None:
            self._failing_since_ms = now_ms
        if self._told is None and now_ms - self._failing_since_ms >= LOST_AFTER_MS:
            self._told = NeighbourUnreached(site=self.site, detail=str(failure)[:200])
            self._alarm(f"neighbour-unreached-{self.site}"[:63], self._told, True)


class NeighbourLinks:
    """All of a site."""

    def __init__(self, links: Iterable[NeighbourLink]) -> None:
        self._links = {one.site: one for one in links}

    def put(self, site: SiteId, route: PriorityRoute) -> None:
        link = self._links.get(site)
        if link is not None:
            link.put(route)

    def start(self) -> None:
        for link in self._links.values():
            link.start()

    def stop(self) -> None:
        for link in self._links.values():
            link.stop()
