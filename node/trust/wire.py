"""What a device and its authority say to each other over HTTPS, as JSON. docs/joining.md shows it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from node.trust.credentials import Host, Port, Slug
from node.trust.records import CertificateRow, DeviceRow, RequestState
from protocol.messages.presence import Role

ATTEMPT_PATTERN = r"^[0-9a-f]{32}$(?!\n)"
Pem = Annotated[str, Meta(max_length=8192)]
Attempt = Annotated[str, Meta(pattern=ATTEMPT_PATTERN)]


class Root(Struct, frozen=True, kw_only=True):
    """GET ca. Believed by nobody for having been sent: a code's pin, or a comparison by people, judges it."""

    edge: Slug
    ca: Pem
    fingerprint: str = ""


class JoinAsk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST join. attempt: chosen by the device at random; the same one with the same request is answered alike, so that
    a lost answer can be asked for again."""

    attempt: Attempt
    secret: Annotated[str, Meta(pattern=r"^[0-9a-f]{14}$(?!\n)")]
    csr: Annotated[str, Meta(max_length=4096)]


class Standing(Struct, frozen=True, kw_only=True):
    """How a device stands with its edge server. certificate: a new one, "" for none. now_ms: the edge server's time.
    life_ms: how long a certificate lasts. move_to, move_code: another edge server that it is to join, "" for none."""

    device: Slug
    edge: Slug
    role: Role
    hosts: Annotated[tuple[Host, ...], Meta(max_length=16)]
    http_port: Port
    mqtts_port: Port
    life_ms: int
    now_ms: int
    name: Annotated[str, Meta(max_length=100)] = ""
    certificate: Pem = ""
    move_to: Annotated[str, Meta(max_length=260)] = ""
    move_code: Annotated[str, Meta(max_length=80)] = ""


class JoinAnswer(Struct, frozen=True, kw_only=True):
    """standing: with the certificate, once the state is `issued`. fingerprint: of the device's key, for people."""

    attempt: Attempt
    state: RequestState
    fingerprint: str
    standing: Standing | None = None


class Members(Struct, frozen=True, kw_only=True):
    """GET members, signed by the other edge server of a pair: who has joined, and every certificate that was revoked.
    Without codes, and without where anybody is to move."""

    devices: tuple[DeviceRow, ...]
    revoked: tuple[CertificateRow, ...]


class RenewAsk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST renew, signed. csr: "" to ask only how the device stands. moved: it has joined the edge server that it was
    sent to, or could not: then failed says why."""

    csr: Annotated[str, Meta(max_length=4096)] = ""
    moved: bool = False
    failed: Annotated[str, Meta(max_length=200)] = ""
