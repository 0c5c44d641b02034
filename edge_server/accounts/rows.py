"""What the accounts hand out. Times are Unix milliseconds of the edge server's clock."""

from __future__ import annotations

from dataclasses import dataclass

from edge_server.accounts.need import Role


@dataclass(frozen=True)
class User:
    name: str
    role: Role
    made_ms: int
    password_ms: int
    signed_in_ms: int | None


@dataclass(frozen=True)
class ProgramToken:
    """made_by: an account, or who else made it."""

    id: int
    name: str
    role: Role
    made_by: str
    made_ms: int
    expires_ms: int
    used_ms: int | None


@dataclass(frozen=True)
class AuditLine:
    """who did what to subject, from which address ("" on the machine's command line)."""

    id: int
    at_ms: int
    who: str
    what: str
    subject: str
    address: str
    detail: str


@dataclass(frozen=True)
class Actor:
    """Who makes a change, for the audit. address: "" on the machine's command line."""

    who: str
    address: str = ""
