"""The routes of the modes: what holds, raising, lowering, and an operator's word on what is proposed."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.asking import actor
from edge_server.accounts.need import need
from edge_server.accounts.rows import Actor
from edge_server.signals.desk import SignalDesk
from edge_server.signals.modes.changing import lift, lower
from edge_server.signals.modes.mode import Mode, Setting
from edge_server.signals.shadow.report import HOUR_MS, ShadowReports, report
from protocol.errors import KinflowError
from protocol.ids import IntersectionId

Reason = Annotated[str, Field(min_length=1, max_length=300, pattern=r"\S")]


class ModeView(BaseModel):
    """by: who changed it last, "" while it is as it started. simulated: what the site file says of its controller."""

    intersection: str
    mode: Mode
    controller: str
    simulated: bool
    by: str
    reason: str
    at_ms: int


class Raise(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mode: Literal["shadow", "advise", "act"]
    reason: Reason


class Lower(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mode: Literal["off", "shadow", "advise"]
    reason: Annotated[str, Field(max_length=300)] = ""


class Decline(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=300)] = ""


def modes_api(desk: SignalDesk, accounts: Accounts) -> APIRouter:
    router = APIRouter(prefix="/api/v1/signals", tags=["signals"])
    book, service, audit = desk.modes, desk.service, accounts.audit

    def confirm(who: Actor, place: IntersectionId, advice: str) -> None:
        service.confirm(place, advice)
        try:
            audit.note(who, "advice-confirmed", place, advice)
        except KinflowError:
            service.decline(place, advice)
            raise

    def decline(who: Actor, place: IntersectionId, advice: str, reason: str) -> None:
        service.decline(place, advice)
        audit.note(who, "advice-declined", place, f"{advice}: {reason}")

    @router.get("/modes")
    @need("viewer")
    def modes() -> list[ModeView]:
        """How far each intersection is given into this edge server's hands."""
        return [_view(place, one) for place, one in book.all().items()]

    @router.get("/shadow")
    @need("viewer")
    def shadow(hours: Annotated[int, Query(ge=1, le=744)] = 24) -> ShadowReports:
        """What real controllers did while they were shadowed, beside what ours would have done."""
        to_ms = book.wall_ms()
        from_ms = to_ms - hours * HOUR_MS
        return report(desk.shadow.rows(from_ms), from_ms, to_ms)

    @router.post("/{intersection}/mode/raise")
    @need("admin")
    async def raise_mode(request: Request, intersection: str, wanted: Annotated[Raise, Body()]) -> ModeView:
        """To a higher mode, with a reason; it stands in the audit."""
        place = IntersectionId(intersection)
        who = actor(request)
        return _view(place, await run_in_threadpool(lift, book, audit, who, place, wanted.mode, wanted.reason))

    @router.post("/{intersection}/mode/lower")
    @need("operator")
    async def lower_mode(request: Request, intersection: str, wanted: Annotated[Lower, Body()]) -> ModeView:
        """To a lower mode, at once. What this edge server holds there lapses within the lease's 3 s."""
        place = IntersectionId(intersection)
        who = actor(request)
        return _view(place, await run_in_threadpool(lower, book, audit, who, place, wanted.mode, wanted.reason))

    @router.post("/{intersection}/advice/{advice}/confirm", status_code=204)
    @need("operator")
    async def confirm_advice(request: Request, intersection: str, advice: str) -> None:
        """Command what is proposed: through the safety check and the lease, for as long as the controller goes on to
        choose it, 60 s at most."""
        await run_in_threadpool(confirm, actor(request), IntersectionId(intersection), advice)

    @router.post("/{intersection}/advice/{advice}/decline", status_code=204)
    @need("operator")
    async def decline_advice(
        request: Request, intersection: str, advice: str, wanted: Annotated[Decline, Body()]
    ) -> None:
        """Do not propose it for a while; or end what was confirmed."""
        await run_in_threadpool(decline, actor(request), IntersectionId(intersection), advice, wanted.reason)

    return router


def _view(place: IntersectionId, one: Setting) -> ModeView:
    return ModeView(
        intersection=place,
        mode=one.mode,
        controller=one.controller,
        simulated=one.simulated,
        by=one.by,
        reason=one.reason,
        at_ms=one.at_ms,
    )
