"""What a caller must be to reach a route. Each route says it where it is declared; one that says nothing is shut.

@router.get("/devices")
@need("viewer")
async def devices() -> ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute

Role = Literal["viewer", "operator", "admin"]
Need = Literal["public", "device", "model", "viewer", "operator", "admin"]

ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
NEEDS: tuple[Need, ...] = ("public", "device", "model", *ROLES)
_MARK = "kinflow_need"

T = TypeVar("T")


def need(least: Need) -> Callable[[T], T]:
    """Mark an endpoint, or an application that is mounted.

    public: nobody is asked who they are. device: a joined device that proves its identity. model: whoever reads, or a
    program with a key for the member. viewer reads; operator also corrects, steers and lets devices join; admin also
    keeps accounts, updates and backups.
    """
    if least not in NEEDS:
        raise ValueError(f"{least!r} is none of {NEEDS}")

    def mark(endpoint: T) -> T:
        setattr(endpoint, _MARK, least)
        return endpoint

    return mark


def marked(router: APIRouter, least: Need) -> APIRouter:
    """A router from below, each of its routes with the same need."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            need(least)(route.endpoint)
    return router


def need_of(endpoint: object) -> Need | None:
    """What an endpoint needs, None when it does not say."""
    found: Need | None = getattr(endpoint, _MARK, None)
    return found


def suffices(role: Role, least: Role) -> bool:
    """Each role may do what those before it may."""
    return ROLES.index(role) >= ROLES.index(least)
