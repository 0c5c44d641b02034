"""What the trust routes take and give."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_server.trust.trust import EdgeTrust
from node.trust.keys import fingerprint
from node.trust.records import AuditRow, CodeRow, DeviceRow, RequestRow

Minutes = Annotated[float, Field(gt=0, le=43_200)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class CodeRequest(BaseModel):
    """minutes: how long it is good; null for the usual. device: the only id that it is good for. approved: no person
    has to agree again."""

    model_config = ConfigDict(extra="forbid")

    minutes: Minutes | None = None
    device: Slug | None = None
    approved: bool = False
    role: Literal["device", "edge"] = "device"


class ReplaceRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    minutes: Minutes | None = None


class NameRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=100)]


class MoveRequest(BaseModel):
    """code: made by the other edge server. address: HOST or HOST:PORT of it."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(max_length=80)]
    address: Annotated[str, Field(min_length=1, max_length=260)]


class CodeView(BaseModel):
    """code, qr, link, command: shown once, when it is made; "" in a list. qr: SVG."""

    id: str
    expires_ms: int
    device: str
    role: str
    approved: bool
    replaces: bool
    made_by: str
    code: str = ""
    link: str = ""
    command: str = ""
    qr: str = ""


class RequestView(BaseModel):
    """fingerprint: of the device's key; `kinflow join` prints the same on the device."""

    id: str
    device: str
    role: str
    address: str
    made_ms: int
    replaces: bool
    fingerprint: str


class JoinedView(BaseModel):
    """state: joined or revoked. renewed_ms: when it last got a certificate, by the edge server's clock."""

    device: str
    role: str
    name: str
    state: str
    fingerprint: str
    joined_ms: int
    renewed_ms: int
    expires_ms: int
    moving_to: str


class AuditView(BaseModel):
    id: int
    at_ms: int
    actor: str
    kind: str
    severity: str
    device: str
    address: str
    text: str


class TrustView(BaseModel):
    """open: whether devices can reach this server at all. fingerprint: of this site's root."""

    open: bool
    edge: str
    address: str
    fingerprint: str
    codes: list[CodeView]
    requests: list[RequestView]
    devices: list[JoinedView]
    audit: list[AuditView]


def code_view(row: CodeRow) -> CodeView:
    return CodeView(
        id=row.id,
        expires_ms=row.expires_ms,
        device=row.device,
        role=row.role,
        approved=row.approved,
        replaces=row.replaces,
        made_by=row.made_by,
    )


def request_view(row: RequestRow) -> RequestView:
    return RequestView(
        id=row.id,
        device=row.device,
        role=row.role,
        address=row.address,
        made_ms=row.made_ms,
        replaces=row.replaces,
        fingerprint=fingerprint(bytes.fromhex(row.key_digest)),
    )


def joined_view(row: DeviceRow) -> JoinedView:
    return JoinedView(
        device=row.device,
        role=row.role,
        name=row.name,
        state=row.state,
        fingerprint=fingerprint(bytes.fromhex(row.key_digest)),
        joined_ms=row.joined_ms,
        renewed_ms=row.renewed_ms,
        expires_ms=row.expires_ms,
        moving_to=row.move_to,
    )


def audit_view(row: AuditRow) -> AuditView:
    return AuditView(
        id=row.id,
        at_ms=row.at_ms,
        actor=row.actor,
        kind=row.kind,
        severity=row.severity,
        device=row.device,
        address=row.address,
        text=row.text,
    )


def trust_view(trust: EdgeTrust, audit: list[AuditRow]) -> TrustView:
    return TrustView(
        open=trust.is_open,
        edge=trust.authority.edge,
        address=trust.address(),
        fingerprint=fingerprint(trust.authority.pin),
        codes=[code_view(row) for row in trust.desk.codes()],
        requests=[request_view(row) for row in trust.desk.requests()],
        devices=[joined_view(row) for row in trust.registry.devices()],
        audit=[audit_view(row) for row in audit],
    )
