"""The routes by which edge servers join the cloud, in the words of a device and its edge (node/trust/wire.py)."""

from __future__ import annotations

import threading
from typing import Annotated, TypeVar

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from cloud.errors import CloudRequestInvalid
from cloud.trust import CloudTrust
from node.clock import Clock
from node.errors import CsrRefused, DeviceIdTaken, JoinCodeRefused, JoinCodeUsed
from node.trust.attempts import Attempts
from node.trust.keys import fingerprint
from node.trust.signed_time import NONCE_PATTERN, sign_time
from node.trust.wire import JoinAnswer, JoinAsk, RenewAsk, Root
from protocol.edge_status import LIMIT_BYTES

PREFIX = "/api/v1/trust"
# Each costs some memory and a hundredth of a second of one core. The others wait where they take no thread.
JOINS_AT_ONCE = 4

T = TypeVar("T", bound=msgspec.Struct)


class JoinDesk:
    """The desk behind the routes, with a limit on how often somebody may try."""

    def __init__(self, trust: CloudTrust, clock: Clock) -> None:
        self._trust, self._clock = trust, clock
        self._attempts, self._lock = Attempts(), threading.Lock()
        self.places = CapacityLimiter(JOINS_AT_ONCE)

    def join(self, ask: JoinAsk, address: str) -> JoinAnswer:
        with self._lock:
            wait_ms = self._attempts.wait_ms(address, self._clock.monotonic_ms())
        if wait_ms:
            raise CloudRequestInvalid(detail=f"too many attempts failed; try again in {-(-wait_ms // 1000)} s")
        try:
            row = self._trust.join(ask, address)
        except (CsrRefused, DeviceIdTaken, JoinCodeRefused, JoinCodeUsed):
            with self._lock:
                self._attempts.failed(address, self._clock.monotonic_ms())
            raise
        return JoinAnswer(
            attempt=row.id,
            state=row.state,
            fingerprint=fingerprint(bytes.fromhex(row.key_digest)),
            standing=self._trust.standing(row, row.certificate) if row.state == "issued" else None,
        )


def trust_routes(trust: CloudTrust, clock: Clock) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["joining"])
    desk = JoinDesk(trust, clock)

    @router.get("/ca")
    async def ca() -> Response:
        """The cloud's root certificate: to be compared with a join code's pin, never believed as it comes."""
        authority = trust.authority
        return _json(Root(edge=authority.edge, ca=authority.ca, fingerprint=fingerprint(authority.pin)))

    @router.get("/time")
    def time(nonce: Annotated[str, Query(pattern=NONCE_PATTERN)]) -> Response:
        """The cloud's time, signed together with the nonce."""
        return _json(sign_time(trust.authority, nonce, clock.wall_ms()))

    @router.post("/join")
    async def join(request: Request) -> Response:
        """Show a join code's secret and ask for a certificate."""
        ask = _read(await _body(request), JoinAsk)
        address = request.client.host if request.client else ""
        return _json(await run_sync(desk.join, ask, address, limiter=desk.places))

    @router.post("/renew")
    async def renew(request: Request) -> Response:
        """Ask how this edge stands, and for a new certificate by the same key. Signed."""
        body = await _body(request)
        return _json(await run_in_threadpool(trust.renew, request.scope, body, _read(body, RenewAsk)))

    return router


async def _body(request: Request) -> bytes:
    whole = bytearray()
    async for part in request.stream():
        whole += part
        if len(whole) > LIMIT_BYTES:
            raise CloudRequestInvalid(detail="it is too long")
    return bytes(whole)


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # What is wrong, never what was sent.
        raise CloudRequestInvalid(detail=str(error).partition(":")[0][:200]) from error


def _json(value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
