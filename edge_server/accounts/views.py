"""What the accounts' routes take and show. Times are Unix milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_server.accounts.need import Role

Name = Annotated[str, Field(min_length=1, max_length=63, description="lower-case letters, digits and hyphens")]
Password = Annotated[str, Field(min_length=1, max_length=256, json_schema_extra={"format": "password"})]


class View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeView(View):
    """Who asks. way: by the machine's key, as a page on this machine before there is any account, by signing in, by a
    program's token. accounts: whether there are any."""

    name: str
    role: Role
    way: Literal["root", "local", "session", "token"]
    accounts: bool


class UserView(View):
    name: str
    role: Role
    made_ms: int
    password_ms: int
    signed_in_ms: int | None


class TokenView(View):
    name: str
    role: Role
    made_by: str
    made_ms: int
    expires_ms: int
    used_ms: int | None


class NewTokenView(TokenView):
    """token: shown this once."""

    token: str


class AuditView(View):
    id: int
    at_ms: int
    who: str
    what: str
    subject: str
    address: str
    detail: str


class NewUser(Asked):
    name: Name
    role: Role
    password: Password


class NewRole(Asked):
    role: Role


class NewPassword(Asked):
    password: Password


class OwnPassword(Asked):
    old: Password
    new: Password


class NewToken(Asked):
    name: Name
    role: Role
    days: Annotated[int, Field(ge=1, le=3_650)] = 365
