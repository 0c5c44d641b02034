"""The routes about oneself: who am I, my sessions, my password."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.asking import actor, address_of, caller_of, is_secure
from edge_server.accounts.need import need
from edge_server.accounts.views import MeView, OwnPassword
from edge_server.errors import NotSignedIn
from edge_server.gateway import auth


def me_api(accounts: Accounts) -> APIRouter:
    router = APIRouter(prefix="/api/v1")

    @router.get("/me", tags=["me"])
    @need("viewer")
    def me(request: Request) -> MeView:
        """Who I am here, and what I may do."""
        caller = caller_of(request)
        return MeView.model_validate(
            {"name": caller.name, "role": caller.role, "way": caller.way, "accounts": accounts.exist()}
        )

    @router.post("/me/sign-out", tags=["me"], status_code=204)
    @need("viewer")
    def sign_out(request: Request, response: Response) -> None:
        """End this page's session."""
        caller = caller_of(request)
        if not caller.session:
            raise NotSignedIn
        accounts.sessions.end(caller.session)
        if caller.way == "session":
            accounts.audit.note(actor(request), "signed-out")
        response.headers["set-cookie"] = auth.clear_cookie(is_secure(request))

    @router.post("/me/sign-out-everywhere", tags=["me"], status_code=204)
    @need("viewer")
    def sign_out_everywhere(request: Request, response: Response) -> None:
        """End every session of mine, this one too."""
        caller = caller_of(request)
        if caller.way != "session":
            raise NotSignedIn
        ended = accounts.sessions.end_all(caller.name)
        accounts.audit.note(actor(request), "signed-out", detail=f"everywhere, {ended} sessions")
        response.headers["set-cookie"] = auth.clear_cookie(is_secure(request))

    @router.post("/me/password", tags=["me"], status_code=204)
    @need("viewer")
    def change_password(asked: OwnPassword, request: Request, response: Response) -> None:
        """Change my password. This page stays signed in, every other one is signed out."""
        caller = caller_of(request)
        if caller.way != "session":
            raise NotSignedIn
        session = accounts.change_password(caller, asked.old, asked.new, address_of(request))
        response.headers["set-cookie"] = auth.set_cookie(session, is_secure(request))

    return router
