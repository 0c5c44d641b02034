"""The routes that devices use: what the root is, joining, renewing, the time. Public, or signed by the device's key."""

from __future__ import annotations

import threading
from typing import Annotated, TypeVar

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.types import Scope

from edge_server.accounts.need import need
from edge_server.errors import JoiningClosed, NotKnown, RequestInvalid, TooManyAttempts
from edge_server.trust.operator import Operator
from edge_server.trust.trust import EdgeTrust
from edge_server.trust.watch import TrustWatch
from node.errors import CsrRefused, DeviceIdTaken, JoinCodeRefused, JoinCodeUsed, SignatureRefused
from node.trust.attempts import PER_ADDRESS, Attempts
from node.trust.certificates import Facts
from node.trust.keys import fingerprint
from node.trust.records import RequestRow
from node.trust.signed_time import NONCE_PATTERN, sign_time
from node.trust.wire import ATTEMPT_PATTERN, JoinAnswer, JoinAsk, RenewAsk, Root
from protocol.ids import DeviceId

# At once: each costs some memory and a hundredth of a second of one core. The others wait where they take no thread: a
# crowd with wrong codes must not hold those that everybody else's requests need.
JOINS_AT_ONCE = 4
GUESSING = "join-codes-guessed"
FACTS = "kinflow_facts"

T = TypeVar("T", bound=msgspec.Struct)


class DeviceDesk:
    """The desk behind the routes, with a limit on how often somebody may try."""

    def __init__(self, trust: EdgeTrust, watch: TrustWatch) -> None:
        self.trust, self._watch = trust, watch
        self._attempts, self._lock = Attempts(), threading.Lock()
        self.places = CapacityLimiter(JOINS_AT_ONCE)

    def join(self, ask: JoinAsk, address: str) -> JoinAnswer:
        if not self.trust.is_open:
            raise JoiningClosed()
        self._check_pace(address)
        try:
            row = self.trust.desk.join(ask, address)
        except (CsrRefused, DeviceIdTaken, JoinCodeRefused, JoinCodeUsed):
            self._count_failure(address)
            raise
        return self.answer(row)

    def asked(self, attempt: str) -> JoinAnswer:
        row = self.trust.desk.request(attempt)
        if row is None:
            raise NotKnown(kind="request", name=attempt[:8])
        return self.answer(row)

    def answer(self, row: RequestRow) -> JoinAnswer:
        """A certificate is handed out once the broker lets it in."""
        if row.state == "issued":
            self._watch.apply()
        return JoinAnswer(
            attempt=row.id,
            state=row.state,
            fingerprint=fingerprint(bytes.fromhex(row.key_digest)),
            standing=self.trust.standing(row, row.certificate) if row.state == "issued" else None,
        )

    def renew(self, known: Facts, ask: RenewAsk) -> bytes:
        if ask.moved or ask.failed:
            Operator(self.trust, known.device).moved(known.device, ask.failed)
        certificate = self.trust.registry.renew(known, ask.csr) if ask.csr else ""
        return msgspec.json.encode(self.trust.standing(self.trust.registry.adopted(known), certificate))

    def _check_pace(self, address: str) -> None:
        with self._lock:
            wait_ms = self._attempts.wait_ms(address, self.trust.clock.monotonic_ms())
        if wait_ms:
            raise TooManyAttempts(wait_s=-(-wait_ms // 1000))

    def _count_failure(self, address: str) -> None:
        with self._lock:
            count = self._attempts.failed(address, self.trust.clock.monotonic_ms())
        if count == PER_ADDRESS:
            text = f"{PER_ADDRESS} attempts to join failed within a minute; more are not looked at"
            self.trust.registry.note("guessing", text, address=address, severity="critical", alarm=GUESSING)


def device_of(trust: EdgeTrust, scope: Scope, body: bytes) -> str | None:
    """The device that signed a request; for the guard. Raises SignatureRefused (KF169)."""
    known = trust.verifier.verify_scope(scope, body, trust.clock.wall_ms())
    scope.setdefault("state", {})[FACTS] = known
    return DeviceId(known.device)


def device_routes(desk: DeviceDesk) -> APIRouter:
    router = APIRouter(prefix="/api/v1/trust", tags=["joining"])
    trust = desk.trust

    @router.get("/ca")
    @need("public")
    async def ca() -> Response:
        """This site's root certificate. It is to be compared with a join code's pin, never believed as it comes."""
        return _json(
            Root(edge=trust.authority.edge, ca=trust.authority.ca, fingerprint=fingerprint(trust.authority.pin))
        )

    @router.get("/crl", response_class=Response, responses={200: {"content": {"application/pkix-crl": {}}}})
    @need("public")
    def crl() -> Response:
        """The list of revoked certificates, PEM."""
        return Response((trust.authority.folder / "crl.pem").read_bytes(), media_type="application/pkix-crl")

    @router.get("/time")
    @need("public")
    def time(nonce: Annotated[str, Query(pattern=NONCE_PATTERN)]) -> Response:
        """This server's time, signed together with the nonce."""
        return _json(sign_time(trust.authority, nonce, trust.clock.wall_ms()))

    @router.post("/join")
    @need("public")
    async def join(request: Request) -> Response:
        """Show a join code's secret and ask for a certificate: it comes at once, or once a person has agreed."""
        ask = _read(await request.body(), JoinAsk)
        address = request.client.host if request.client else ""
        answer = await run_sync(desk.join, ask, address, limiter=desk.places)
        return _json(answer, 202 if answer.state == "pending" else 200)

    @router.get("/join/{attempt}")
    @need("public")
    def asked(attempt: Annotated[str, Path(pattern=ATTEMPT_PATTERN.partition("$")[0] + "$")]) -> Response:
        """How a request stands; with its certificate once a person has agreed. Who chose its number knows it."""
        return _json(desk.asked(attempt))

    @router.post("/renew")
    @need("device")
    async def renew(request: Request) -> Response:
        """Ask how this device stands, and for a new certificate by the same key. Signed."""
        ask = _read(await request.body(), RenewAsk)
        known: Facts = getattr(request.state, FACTS)
        return Response(await run_in_threadpool(desk.renew, known, ask), media_type="application/json")

    @router.get("/members")
    @need("device")
    def members(request: Request) -> Response:
        """Who has joined and who was revoked, for the other edge server of a pair. Signed by its server's key."""
        known: Facts = getattr(request.state, FACTS)
        if known.role != "edge":
            raise SignatureRefused(detail="only an edge server of this site may ask that")
        return _json(trust.registry.members())

    return router


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # The path of what is wrong, never what was sent.
        raise RequestInvalid(detail=str(error).partition(":")[0][:200]) from error


def _json(value: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
