"""The routes under /api/v1. Those that read the board run on the event loop, those that ask the store on threads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse

from edge_server.accounts.asking import caller_of
from edge_server.accounts.need import need
from edge_server.context import EdgeContext
from edge_server.errors import NotKnown
from edge_server.gateway.feed import Feed
from edge_server.gateway.rows import decision_view, event_view, history_point
from edge_server.gateway.site import GeoJson, geojson, site_view
from edge_server.gateway.views import (
    AlarmView,
    ApproachView,
    CameraView,
    CommandView,
    DecisionView,
    DeviceView,
    EventView,
    HistoryPoint,
    SignalView,
    SiteView,
    StateView,
)
from protocol.ids import ApproachId, DeviceId, IntersectionId

DAY_S = 86_400
Limit = Annotated[int, Query(ge=1, le=1_000)]
Before = Annotated[int | None, Query(ge=1, lt=1 << 62, description="cursor: the smallest id of the page before")]


def api(edge: EdgeContext, feed: Feed) -> APIRouter:
    router = APIRouter(prefix="/api/v1")

    @router.get("/site", tags=["site"])
    @need("viewer")
    async def site() -> SiteView:
        """Roads, lanes and intersections, as they are drawn."""
        return site_view(edge.site, edge.device)

    @router.get("/site.geojson", tags=["site"], response_class=JSONResponse)
    @need("viewer")
    async def site_geojson() -> GeoJson:
        """The same as GeoJSON (RFC 7946)."""
        return geojson(site_view(edge.site, edge.device))

    @router.get("/state", tags=["state"])
    @need("viewer")
    async def state() -> StateView:
        """Everything that the dashboard shows, at this instant."""
        return feed.state()

    @router.get("/events", tags=["state"], response_class=StreamingResponse)
    @need("viewer")
    async def events(
        request: Request, last_event_id: Annotated[str | None, Header()] = None, after: str | None = None
    ) -> StreamingResponse:
        """Server-sent events: `snapshot`, then one event for each object that changes. docs/api.md tells the rest."""
        caller = caller_of(request)
        reader = f"{caller.way} {caller.name}"
        feed.check_room(reader)
        stream = feed.stream(last_event_id or after, reader)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @router.get("/approaches", tags=["state"])
    @need("viewer")
    async def approaches() -> tuple[ApproachView, ...]:
        """The latest of each approach: index, interval, class, queue, status."""
        return feed.board.all(ApproachView)

    @router.get("/approaches/{approach}/history", tags=["history"])
    @need("viewer")
    def history(
        approach: str,
        seconds: Annotated[int, Query(ge=1, le=31 * DAY_S, description="how far back")] = 900,
        bucket_s: Annotated[float, Query(ge=0.1, le=DAY_S, description="at most one point, the last, in each")] = 1.0,
    ) -> list[HistoryPoint]:
        """The index of an approach, oldest first, at most 20,000 points."""
        since_ms = edge.clock.wall_ms() - seconds * 1000
        rows = edge.read.history(ApproachId(approach), since_ms, step_ms=round(bucket_s * 1000))
        if not rows and feed.board.get(ApproachView, approach) is None:
            raise NotKnown(kind="approach", name=approach[:63])
        return [history_point(row) for row in rows]

    @router.get("/events-log", tags=["history"])
    @need("viewer")
    def events_log(limit: Limit = 200, before: Before = None) -> list[EventView]:
        """The event log, newest first."""
        return [event_view(entry) for entry in edge.read.events(limit, before)]

    @router.get("/alarms", tags=["alarms"])
    @need("viewer")
    async def alarms(standing: Annotated[bool, Query(description="only those not cleared")] = False) -> list[AlarmView]:
        """The standing alarms and the latest 200, newest first. Both can be marked as false by a correction."""
        await feed.refresh_alarms()
        found = sorted(feed.board.all(AlarmView), key=lambda alarm: -alarm.id)
        return [alarm for alarm in found if alarm.active or not standing]

    @router.get("/devices", tags=["devices"])
    @need("viewer")
    async def devices() -> tuple[DeviceView, ...]:
        """The fleet, and how each device is."""
        return feed.board.all(DeviceView)

    @router.get("/cameras", tags=["devices"])
    @need("viewer")
    async def cameras() -> tuple[CameraView, ...]:
        """The cameras, and how each is."""
        return feed.board.all(CameraView)

    @router.post("/cameras/{camera}/relearn-road", tags=["devices"], status_code=202)
    @need("operator")
    async def relearn_road(camera: str) -> CommandView:
        """Ask a camera's device to learn its empty road anew; how it went comes as a line of the event log."""
        known = feed.board.get(CameraView, camera)
        if known is None:
            raise NotKnown(kind="camera", name=camera[:63])
        command = await run_in_threadpool(edge.configure, DeviceId(known.device), "relearn-road", {"camera": camera})
        return CommandView(command=command, device=known.device)

    @router.delete("/devices/{device}", tags=["devices"], status_code=204)
    @need("operator")
    async def remove_device(device: str) -> None:
        """Forget a device: its registration goes, what it said stays."""
        if feed.board.get(DeviceView, device) is None:
            raise NotKnown(kind="device", name=device[:63])
        await run_in_threadpool(edge.remove_device, DeviceId(device))

    @router.get("/signals/{intersection}/decisions", tags=["signals"])
    @need("viewer")
    def decisions(intersection: str, limit: Limit = 200) -> list[DecisionView]:
        """What this server decided about an intersection, newest first."""
        rows = edge.read.signal_log(IntersectionId(intersection), limit)
        if not rows and feed.board.get(SignalView, intersection) is None:
            raise NotKnown(kind="intersection", name=intersection[:63])
        return [decision_view(row) for row in rows]

    return router
