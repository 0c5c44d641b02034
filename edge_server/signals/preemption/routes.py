"""The routes of pre-emption: requests, who holds what, and what people may end."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Body, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.asking import actor
from edge_server.accounts.need import need
from edge_server.errors import RequestInvalid
from edge_server.signals.j2735.codec import JsonCodec, Kind, Value
from edge_server.signals.preemption.desk import PreemptionDesk
from edge_server.signals.preemption.state import Claim, State
from edge_server.signals.preemption.wave_desk import WaveDesk
from protocol.codec import decode
from protocol.errors import MessageMalformed, MessageTooLarge, MessageVersionUnknown
from protocol.ids import IntersectionId
from protocol.messages import Message, PriorityRequest, PriorityRoute
from protocol.topics import PRIORITY_REQUEST, PRIORITY_ROUTE, Topic

T = TypeVar("T", bound=Message)
Reason = Annotated[str, Field(min_length=1, max_length=300)]


class ClaimView(BaseModel):
    """level: preempt takes the signals; priority extends or brings forward a green. left_ms: of the lease's cap."""

    vehicle: str
    request: int
    role: str | None
    level: Literal["preempt", "priority"]
    importance: int
    approach: str
    egress: str | None
    phases: list[int]
    arrives_in_ms: int
    renewed_ms_ago: int
    left_ms: int | None


class PreemptionView(BaseModel):
    """higher: what outranks this edge server now, by its source. recovering: the phase whose turn it is after a lease,
    0 while that is not known yet. cameras: approaches on which a camera alone sees a vehicle that asks."""

    intersection: str
    holder: ClaimView | None
    queue: list[ClaimView]
    higher: dict[str, Literal["railway", "bridge", "other-system"]]
    recovering: int | None
    cameras: list[str]
    camera_preempts: bool


class End(BaseModel):
    model_config = ConfigDict(extra="forbid")

    vehicle: Annotated[str, Field(min_length=1, max_length=80)]
    reason: Reason


class HigherPreemption(BaseModel):
    """source: who says so; it alone, or a person in its name, can end it."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    kind: Literal["railway", "bridge", "other-system"]
    active: bool


def preemption_api(desk: PreemptionDesk, wave: WaveDesk, accounts: Accounts) -> APIRouter:
    router = APIRouter(prefix="/api/v1/preemption", tags=["preemption"])

    @router.get("")
    @need("viewer")
    def preemption() -> list[PreemptionView]:
        """Who holds the signals of each intersection, who waits, and what outranks them."""
        now_ms = desk.now_ms()
        return [_view(state, now_ms) for state in desk.states.values()]

    @router.post("/requests", response_class=Response, openapi_extra=_body(PriorityRequest), responses=_REFUSALS)
    @need("operator")
    async def ask(request: Request) -> Response:
        """A vehicle's signed message (`priority-request`), passed on by a dispatch centre; its status is returned."""
        message = _read(PRIORITY_REQUEST, await request.body())
        status = await run_in_threadpool(desk.ask, message)
        return Response(msgspec.json.encode(status), media_type="application/json")

    @router.post("/routes", response_class=Response, openapi_extra=_body(PriorityRoute), responses=_REFUSALS)
    @need("operator")
    async def ask_route(request: Request) -> Response:
        """A vehicle's signed route (`priority-route`), passed on by a dispatch centre; its status at each intersection
        of this site is returned."""
        message = _read(PRIORITY_ROUTE, await request.body())
        statuses = await run_in_threadpool(wave.ask, message)
        return Response(msgspec.json.encode(statuses), media_type="application/json")

    @router.get("/ssm", response_class=JSONResponse)
    @need("viewer")
    async def ssm() -> Response:
        """SAE J2735 SignalStatusMessage (JSON profile): what became of the requests at every intersection."""
        return _j2735("SignalStatusMessage", await run_in_threadpool(desk.ssm))

    @router.get("/{intersection}/spat", response_class=JSONResponse)
    @need("viewer")
    async def spat(intersection: str) -> Response:
        """SAE J2735 SPAT (JSON profile): what the signals show, and until when at the earliest."""
        return _j2735("SPAT", await run_in_threadpool(desk.spat, IntersectionId(intersection)))

    @router.post("/{intersection}/end", status_code=204)
    @need("operator")
    async def end(request: Request, intersection: str, wanted: Annotated[End, Body()]) -> None:
        """End what a vehicle holds or waits for, with a reason; it is locked out for a while."""
        who = actor(request)
        place = IntersectionId(intersection)
        await run_in_threadpool(desk.end, place, wanted.vehicle, who.who, wanted.reason)
        note = f"{intersection}: {wanted.reason}"
        await run_in_threadpool(accounts.audit.note, who, "preemption-ended", wanted.vehicle, note)

    @router.post("/{intersection}/higher", status_code=204)
    @need("operator")
    async def higher(request: Request, intersection: str, said: Annotated[HigherPreemption, Body()]) -> None:
        """A railway, a bridge or another system takes the signals, or lets go: while it has them this edge server
        commands nothing here."""
        who = actor(request)
        place = IntersectionId(intersection)
        await run_in_threadpool(desk.higher, place, said.source, said.kind, said.active)
        note = f"{said.source}: {said.kind}"
        what = "preemption-outranked" if said.active else "preemption-released"
        await run_in_threadpool(accounts.audit.note, who, what, intersection, note)

    return router


_REFUSALS: dict[int | str, dict[str, Any]] = {429: {"description": "too many new requests within an hour (KF315)"}}


def _j2735(kind: Kind, value: Value) -> Response:
    return Response(JsonCodec().encode(kind, value), media_type="application/json")


def _read(topic: Topic[T], body: bytes) -> T:
    try:
        return decode(topic, body)
    except (MessageMalformed, MessageTooLarge, MessageVersionUnknown) as error:
        raise RequestInvalid(detail=error.cause_text.rstrip(".")) from error


def _body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The message's schema, for the description of the API."""
    (schema,), components = msgspec.json.schema_components([kind])
    name = schema["$ref"].rpartition("/")[2]
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": components[name]}}}}


def _view(state: State, now_ms: int) -> PreemptionView:
    recovery = state.recovery
    return PreemptionView(
        intersection=state.terms.intersection,
        holder=_claim(state.holder, now_ms) if state.holder is not None else None,
        queue=[_claim(claim, now_ms) for claim in state.queue],
        higher=dict(state.higher),
        recovering=None if recovery is None else (recovery.owed or 0),
        cameras=sorted(state.sightings),
        camera_preempts=state.terms.camera_preempts,
    )


def _claim(claim: Claim, now_ms: int) -> ClaimView:
    return ClaimView(
        vehicle=claim.vehicle,
        request=claim.request,
        role=claim.role,
        level=claim.level,
        importance=claim.rank,
        approach=claim.approach,
        egress=claim.egress,
        phases=list(claim.phases),
        arrives_in_ms=max(0, claim.arrival_ms - now_ms),
        renewed_ms_ago=max(0, now_ms - claim.renewed_ms),
        left_ms=max(0, claim.until_ms - now_ms) if claim.until_ms is not None else None,
    )
