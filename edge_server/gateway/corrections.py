"""What people say was wrong: kept, listed, deleted. Nothing learns from it yet."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool

from edge_server.accounts.need import need
from edge_server.context import EdgeContext
from edge_server.errors import NotKnown
from edge_server.gateway.feed import Feed
from edge_server.gateway.requests import CorrectionRequest, FalseAlarm, WrongClass
from edge_server.gateway.rows import correction_view
from edge_server.gateway.views import AlarmView, ApproachView, CorrectionView
from edge_server.store.rows import Correction

Limit = Annotated[int, Query(ge=1, le=1_000)]


def corrections_api(edge: EdgeContext, feed: Feed) -> APIRouter:
    router = APIRouter(prefix="/api/v1/corrections", tags=["corrections"])

    @router.get("")
    @need("viewer")
    def corrections(limit: Limit = 1_000) -> list[CorrectionView]:
        """What people said was wrong, newest first."""
        return [correction_view(row) for row in edge.read.corrections(limit)]

    @router.post("", status_code=201)
    @need("operator")
    async def correct(said: CorrectionRequest) -> CorrectionView:
        """Keep that an alarm was false, or that a class was wrong. Nothing learns from it yet."""
        row = await run_in_threadpool(edge.write.add_correction, _correction(said, edge, feed))
        feed.put(correction_view(row))
        await feed.refresh_alarms()
        return correction_view(row)

    @router.delete("/{number}", status_code=204)
    @need("operator")
    async def withdraw(number: Annotated[int, Path(ge=1, lt=1 << 62)]) -> None:
        """Delete a correction for good."""
        if not await run_in_threadpool(edge.write.delete_correction, number):
            raise NotKnown(kind="correction", name=str(number))
        feed.remove(CorrectionView, str(number))
        await feed.refresh_alarms()

    return router


def _correction(said: FalseAlarm | WrongClass, edge: EdgeContext, feed: Feed) -> Correction:
    """Add to what a person said what the server knows of it. Raises NotKnown (KF92)."""
    now_ms = edge.clock.wall_ms()
    if isinstance(said, FalseAlarm):
        alarm = feed.board.get(AlarmView, str(said.alarm))
        if alarm is None:
            raise NotKnown(kind="alarm", name=str(said.alarm))
        return Correction(
            made_ms=now_ms, mistake=said.mistake, alarm=alarm.id, source=alarm.source, at_ms=alarm.at_ms, note=said.note
        )
    approach = feed.board.get(ApproachView, said.approach)
    if approach is None:
        raise NotKnown(kind="approach", name=said.approach)
    return Correction(
        made_ms=now_ms,
        mistake=said.mistake,
        source=approach.source or "",
        camera=approach.camera or "",
        approach=approach.id,
        at_ms=now_ms if said.at_ms is None else said.at_ms,
        said=said.said,
        congestion=said.congestion,
        note=said.note,
    )
