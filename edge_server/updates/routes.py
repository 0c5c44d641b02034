"""The routes of updates: what devices fetch (public, it is signed), and what people see and decide."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from edge_server.accounts.need import need
from edge_server.updates.rollout import Rollout, chosen
from edge_server.updates.service import UpdateService
from edge_server.updates.serving import Throttle, serve
from protocol.ids import DeviceId


class DeviceUpdate(BaseModel):
    """state: of the device in the rollout: waiting (not asked yet), asked, successful or failed; none without one."""

    device: str
    present: bool
    version: str | None
    state: Literal["none", "waiting", "later", "asked", "successful", "failed"]
    code: str = ""
    reason: str = ""


class RolloutView(BaseModel):
    id: str
    version: str
    status: str
    stage: int
    stages_percent: list[int]
    why: str
    started_ms: int


class UpdatesView(BaseModel):
    """available: what the mirror holds. fault: why the mirror is not fresh."""

    available: str | None
    archs: list[str]
    fault: str | None
    rollout: RolloutView | None
    devices: list[DeviceUpdate]


class Begin(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Annotated[str | None, Field(max_length=40)] = None


class Act(BaseModel):
    model_config = ConfigDict(extra="forbid")

    action: Literal["pause", "resume", "abort"]


def updates_api(service: UpdateService, throttle: Throttle) -> APIRouter:
    router = APIRouter()

    @router.get("/updates/metadata/{name}", tags=["updates"], response_class=Response)
    @need("public")
    async def metadata(name: str, request: Request) -> Response:
        """Signed metadata (The Update Framework), as the maintainers signed it."""
        return serve(service.mirror.folder / "metadata", name, request, throttle)

    @router.get("/updates/targets/{path:path}", tags=["updates"], response_class=Response)
    @need("public")
    async def target(path: str, request: Request) -> Response:
        """A signed file; understands Range."""
        return serve(service.mirror.folder / "targets", path, request, throttle)

    @router.get("/api/v1/updates", tags=["updates"])
    @need("viewer")
    def updates() -> UpdatesView:
        """What is here to be rolled out, how far a rollout is, and each device's version and state."""
        return view(service)

    @router.post("/api/v1/updates/rollout", tags=["updates"], status_code=201)
    @need("admin")
    async def begin(request: Request, wanted: Annotated[Begin, Body()]) -> UpdatesView:
        """Begin to roll out what the mirror holds: 1, then 10, then 100 % of the devices."""
        await run_in_threadpool(service.begin, wanted.version, _who(request))
        return await run_in_threadpool(view, service)

    @router.post("/api/v1/updates/rollout/action", tags=["updates"])
    @need("operator")
    async def act(request: Request, said: Act) -> UpdatesView:
        """Pause, resume or abort the rollout."""
        await run_in_threadpool(service.act, said.action, _who(request))
        return await run_in_threadpool(view, service)

    @router.post("/api/v1/updates/sync", tags=["updates"], status_code=202)
    @need("operator")
    async def sync() -> None:
        """Look at the source now instead of in a quarter of an hour."""
        service.sync_soon()

    return router


def view(service: UpdateService) -> UpdatesView:
    rollout, channel = service.rollout, service.mirror.channel()
    seen = service.versions()
    inside = chosen(rollout, seen) if rollout else frozenset()
    devices = []
    for device in sorted(seen):
        member = rollout.members.get(device) if rollout else None
        state = member.state if member else _unasked(rollout, device, inside)
        devices.append(
            DeviceUpdate(
                device=device,
                present=seen[device].present,
                version=seen[device].version,
                state=state,
                code=member.code if member else "",
                reason=member.reason if member else "",
            )
        )
    return UpdatesView(
        available=channel.version if channel else None,
        archs=list(service.mirror.archs(channel.version)) if channel else [],
        fault=service.sync_fault,
        rollout=None
        if rollout is None
        else RolloutView(
            id=rollout.id,
            version=rollout.version,
            status=rollout.status,
            stage=rollout.stage,
            stages_percent=list(rollout.stages_percent),
            why=rollout.why,
            started_ms=rollout.started_ms,
        ),
        devices=devices,
    )


def _unasked(
    rollout: Rollout | None, device: DeviceId, inside: frozenset[DeviceId]
) -> Literal["none", "waiting", "later"]:
    if rollout is None or rollout.status in {"done", "aborted"}:
        return "none"
    return "waiting" if device in inside else "later"


def _who(request: Request) -> str:
    caller = getattr(request.state, "caller", None)
    return str(getattr(caller, "name", "somebody"))[:60]
