"""The routes by which an admin keeps accounts and tokens, and reads the audit."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.asking import actor, caller_of
from edge_server.accounts.need import need
from edge_server.accounts.views import (
    AuditView,
    NewPassword,
    NewRole,
    NewToken,
    NewTokenView,
    NewUser,
    TokenView,
    UserView,
)
from edge_server.errors import FirstAccountRefused

Limit = Annotated[int, Query(ge=1, le=1_000)]
Before = Annotated[int | None, Query(ge=1, lt=1 << 62, description="cursor: the smallest id of the page before")]
Name = Annotated[str, Path(max_length=63)]


def accounts_api(accounts: Accounts) -> APIRouter:
    router = APIRouter(prefix="/api/v1")

    @router.get("/users", tags=["users"])
    @need("admin")
    def users() -> list[UserView]:
        """The accounts, by name."""
        return [UserView.model_validate(user) for user in accounts.users.all()]

    @router.post("/users", tags=["users"], status_code=201)
    @need("admin")
    def add_user(asked: NewUser, request: Request) -> UserView:
        """Make an account. The first one is made on the machine, or with its key."""
        if not accounts.exist() and caller_of(request).way != "root":
            raise FirstAccountRefused
        made = accounts.users.add(asked.name, asked.role, asked.password, actor(request))
        return UserView.model_validate(made)

    @router.put("/users/{name}/role", tags=["users"], status_code=204)
    @need("admin")
    def set_role(name: Name, asked: NewRole, request: Request) -> None:
        """Give an account another role; it is signed out everywhere."""
        accounts.users.set_role(name, asked.role, actor(request))

    @router.put("/users/{name}/password", tags=["users"], status_code=204)
    @need("admin")
    def set_password(name: Name, asked: NewPassword, request: Request) -> None:
        """Set somebody's password; they are signed out everywhere."""
        accounts.users.set_password(name, asked.password, actor(request))

    @router.delete("/users/{name}", tags=["users"], status_code=204)
    @need("admin")
    def remove_user(name: Name, request: Request) -> None:
        """Remove an account, with its sessions and the tokens that it made."""
        accounts.users.remove(name, actor(request))

    @router.get("/tokens", tags=["tokens"])
    @need("admin")
    def tokens() -> list[TokenView]:
        """The tokens of programs, by name, without the tokens themselves."""
        return [TokenView.model_validate(token) for token in accounts.tokens.all()]

    @router.post("/tokens", tags=["tokens"], status_code=201)
    @need("admin")
    def make_token(asked: NewToken, request: Request) -> NewTokenView:
        """Make a token for a program; the answer is the only place that shows it."""
        made, secret = accounts.tokens.make(asked.name, asked.role, asked.days, actor(request))
        return NewTokenView(**TokenView.model_validate(made).model_dump(), token=secret)

    @router.delete("/tokens/{name}", tags=["tokens"], status_code=204)
    @need("admin")
    def revoke_token(name: Name, request: Request) -> None:
        """Revoke a token at once."""
        accounts.tokens.revoke(name, actor(request))

    @router.get("/audit", tags=["audit"])
    @need("admin")
    def audit(limit: Limit = 200, before: Before = None) -> list[AuditView]:
        """Who did what, when and from where, newest first."""
        return [AuditView.model_validate(line) for line in accounts.audit.lines(limit, before)]

    return router
