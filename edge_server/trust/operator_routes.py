"""The routes behind the page's "Devices joining": codes, requests, joined devices, and what happened."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from edge_server.accounts.caller import Caller
from edge_server.accounts.need import need
from edge_server.errors import NotKnown
from edge_server.trust.operator import Operator
from edge_server.trust.qr import qr_svg
from edge_server.trust.trust import EdgeTrust
from edge_server.trust.views import (
    CodeRequest,
    CodeView,
    JoinedView,
    MoveRequest,
    NameRequest,
    ReplaceRequest,
    RequestView,
    TrustView,
    code_view,
    joined_view,
    request_view,
    trust_view,
)
from edge_server.trust.watch import TrustWatch
from node.trust.join_code import decode, link
from node.trust.records import CodeRow

Device = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Number = Annotated[str, Path(pattern=r"^[0-9a-f]{1,32}$")]


def operator_routes(trust: EdgeTrust, watch: TrustWatch) -> APIRouter:
    router = APIRouter(prefix="/api/v1/trust", tags=["joining"])

    def operator(request: Request) -> Operator:
        return Operator(trust, actor(request))

    def actor(request: Request) -> str:
        caller: Caller | None = getattr(request.state, "caller", None)
        return caller.name if caller is not None else "root"

    def shown(made: tuple[str, CodeRow]) -> CodeView:
        text, row = made
        whole = link(decode(text), trust.address())
        command = f"kinflow join {text} --edge {trust.address()}"
        if row.device:
            command += f" --id {row.device}"
        return code_view(row).model_copy(update={"code": text, "link": whole, "command": command, "qr": qr_svg(whole)})

    @router.get("")
    @need("operator")
    def overview(request: Request) -> TrustView:
        """Codes, requests and joined devices, and what happened lately."""
        return trust_view(trust, operator(request).audit(50))

    @router.post("/codes", status_code=201)
    @need("operator")
    def make_code(said: CodeRequest, request: Request) -> CodeView:
        """Make a join code. It is shown once, here."""
        minutes = said.minutes or trust.options.code_minutes
        return shown(
            trust.desk.make_code(
                minutes, device=said.device or "", role=said.role, approved=said.approved, actor=actor(request)
            )
        )

    @router.delete("/codes/{number}", status_code=204)
    @need("operator")
    def cancel_code(number: Number, request: Request) -> None:
        """Cancel a code that was not used yet."""
        if not trust.desk.cancel_code(number, actor(request)):
            raise NotKnown(kind="unused code", name=number)

    @router.post("/requests/{number}/approve")
    @need("operator")
    def approve(number: Number, request: Request) -> RequestView:
        """Let a device in."""
        row = trust.desk.approve(number, actor(request))
        if row is None:
            raise NotKnown(kind="request", name=number)
        watch.apply()
        return request_view(row)

    @router.post("/requests/{number}/refuse")
    @need("operator")
    def refuse(number: Number, request: Request) -> RequestView:
        """Keep a device out; its code is spent."""
        row = trust.desk.refuse(number, actor(request))
        if row is None:
            raise NotKnown(kind="request", name=number)
        return request_view(row)

    @router.post("/devices/{device}/revoke", status_code=204)
    @need("operator")
    def revoke(device: Device, request: Request) -> None:
        """Put a device out: its certificates are worth nothing any more, and its connection ends."""
        operator(request).revoke(device)
        watch.apply()

    @router.post("/devices/{device}/rename")
    @need("operator")
    def rename(device: Device, said: NameRequest, request: Request) -> JoinedView:
        """What people call a device. Its id stays."""
        return joined_view(operator(request).rename(device, said.name))

    @router.post("/devices/{device}/replace", status_code=201)
    @need("operator")
    def replace(device: Device, said: ReplaceRequest, request: Request) -> CodeView:
        """Make a code with which another board takes a device's place."""
        return shown(operator(request).replace(device, said.minutes))

    @router.post("/devices/{device}/move", status_code=202)
    @need("admin")
    def move(device: Device, said: MoveRequest, request: Request) -> JoinedView:
        """Send a device to another edge server, by a code that was made there."""
        return joined_view(operator(request).move(device, said.code, said.address))

    @router.post("/seen", status_code=204)
    @need("operator")
    def seen(request: Request) -> None:
        """Say that the alarms about joining were looked into; they are cleared."""
        operator(request).seen()

    return router
