"""Every route of an application with what it needs: the guard asks it, and docs/routes.md shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import Match, Mount
from starlette.types import Scope

from edge_server.accounts.need import Need, need_of

_HEAD = """# Routes

What each route of the edge server needs, and what it is for. Made by `kinflow edge routes --markdown`; a test compares
it with the application. A route that declares no need is refused. docs/accounts.md says who is what.

| method | route | needs | what |
|---|---|---|---|
"""


@dataclass(frozen=True, order=True)
class RouteLine:
    """needs: None where a route does not say, which is a fault."""

    path: str
    method: str
    needs: Need | None
    what: str


class RouteTable:
    """Of an application whose routes are all there."""

    def __init__(self, app: FastAPI) -> None:
        self._contexts = [(context, need_of(_marked(context))) for context in iter_route_contexts(app.routes)]

    def need_of(self, scope: Scope) -> Need | None:
        """What a request needs; None where its route does not say. What is not there is told to viewers only."""
        partial: list[Need | None] = []
        for context, needs in self._contexts:
            match, _ = context.matches(scope)
            if match is Match.FULL:
                return needs
            if match is Match.PARTIAL:
                partial.append(needs)
        # The path is there and the method is not: as whoever may see the path.
        return partial[0] if partial else "viewer"

    def lines(self) -> list[RouteLine]:
        return sorted(line for context, needs in self._contexts for line in _lines(context, needs))


def markdown(table: RouteTable) -> str:
    rows = (
        f"| {line.method} | `{line.path}` | {line.needs or '**undeclared**'} | {line.what} |" for line in table.lines()
    )
    return _HEAD + "\n".join(rows) + "\n"


def _lines(context: RouteContext, needs: Need | None) -> Iterator[RouteLine]:
    if isinstance(context.original_route, Mount):
        yield RouteLine(f"{context.path}/{{path}}", "GET", needs, "Files of the dashboard.")
        return
    words = (getattr(context.endpoint, "__doc__", None) or "").strip().partition("\n\n")[0]
    for method in sorted((context.methods or set()) - {"HEAD"}):
        yield RouteLine(context.path or "", method, needs, " ".join(words.split()))


def _marked(context: RouteContext) -> object:
    original = context.original_route
    return original.app if isinstance(original, Mount) else context.endpoint
