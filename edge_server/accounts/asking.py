"""Who sends a request, for the routes that want to know."""

from __future__ import annotations

from fastapi import Request

from edge_server.accounts.caller import Caller
from edge_server.accounts.rows import Actor


def caller_of(request: Request) -> Caller:
    """Who asks, on a route that is not public."""
    caller: Caller | None = request.scope["state"]["caller"]
    assert caller is not None
    return caller


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


def actor(request: Request) -> Actor:
    """Who asks, for the audit: `anna`, `token:reporter`, `root`, `local` or `device:pi-1`."""
    caller = caller_of(request)
    prefix = f"{caller.way}:" if caller.way in {"token", "device"} else ""
    return Actor(f"{prefix}{caller.name}", address_of(request))


def is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
