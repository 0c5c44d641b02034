"""The route by which a neighbouring site's edge server hands a vehicle's route over.

Two signatures are on it. The edge server's own, over the whole request, by a certificate below the root whose key the
site file pins: it opens the door, no more. The vehicle's is what the request is believed by, with this site's key file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography import x509
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from edge_server.accounts.need import need
from edge_server.errors import NotANeighbour, RequestInvalid
from edge_server.neighbours.wire import HAND_OVER, ROOT, HandedOver, Taken
from edge_server.signals.preemption.wave_desk import WaveDesk
from node.clock import Clock
from node.errors import SignatureRefused
from node.trust.asking import BASE
from node.trust.certificates import Facts
from node.trust.keys import spki_digest
from node.trust.signed_request import RequestVerifier
from protocol.errors import KinflowError
from protocol.ids import SiteId
from protocol.site import Neighbour

# A certificate takes about 700 bytes.
_LONGEST = 4096


class NeighbourDoor:
    """Thread-safe. own: our root, for which a request has to be meant."""

    def __init__(self, neighbours: tuple[Neighbour, ...], own: x509.Certificate, clock: Clock) -> None:
        self._sites = {one.pin: one.site for one in neighbours}
        self._own, self._clock = own, clock
        self._verifiers: dict[str, RequestVerifier] = {}

    def site_of(self, scope: Mapping[str, Any], body: bytes) -> SiteId:
        """Which neighbour sent a request (as ASGI describes it). Raises NotANeighbour (KF329)."""
        root = _root(scope)
        pin = spki_digest(root.public_key()).hex()  # type: ignore[arg-type]
        site = self._sites.get(pin)
        if site is None:
            raise NotANeighbour(detail="its root is pinned by no neighbour of the site file")
        verifier = self._verifiers.setdefault(pin, RequestVerifier(root, _is_edge, meant_for=self._own))
        try:
            verifier.verify_scope(scope, body, self._clock.wall_ms())
        except SignatureRefused as error:
            raise NotANeighbour(detail=error.cause_text.rstrip(".")) from error
        return site


def _root(scope: Mapping[str, Any]) -> x509.Certificate:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    given = headers.get(ROOT, "")
    try:
        if not given or len(given) > _LONGEST:
            raise ValueError
        root = x509.load_der_x509_certificate(base64.b64decode(given, validate=True))
        spki_digest(root.public_key())  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise NotANeighbour(detail="it brings no root certificate that can be read") from error
    return root


def _is_edge(known: Facts, now_ms: int) -> str:
    if known.role != "edge":
        return "it is no edge server's certificate"
    return "" if now_ms < known.expires_ms else "its certificate has ended"


def neighbour_routes(door: NeighbourDoor, wave: WaveDesk) -> APIRouter:
    router = APIRouter(prefix=BASE, tags=["pre-emption"])

    @router.post(HAND_OVER)
    @need("public")
    async def hand_over(request: Request) -> Response:
        """A neighbouring site's edge server hands over the route of a vehicle that drives on into this site. Signed by
        its key, and the route by the vehicle's."""
        body = await request.body()
        site = door.site_of(request.scope, body)
        try:
            handed = msgspec.json.decode(body, type=HandedOver)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RequestInvalid(detail=str(error)[:200]) from error
        return Response(
            msgspec.json.encode(await run_in_threadpool(_take, wave, handed, site)), media_type="application/json"
        )

    return router


def _take(wave: WaveDesk, handed: HandedOver, site: SiteId) -> Taken:
    try:
        return Taken(statuses=wave.ask(handed.route, by=site))
    except KinflowError as error:
        # The vehicle's fault, not the neighbour's: it is no failure of the hand-over.
        return Taken(statuses=(), refusal=error.code)
