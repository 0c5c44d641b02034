"""Every route says what it needs, the guard holds it to that, and docs/routes.md says the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.caller import Caller
from edge_server.accounts.need import NEEDS, ROLES, need, suffices
from edge_server.gateway.bare import bare_gateway
from edge_server.gateway.guard import Door, Guard
from edge_server.gateway.route_table import RouteTable, markdown
from node.clock import SystemClock

TOKEN = "a-token-for-tests-only-and-long-enough"


def test_every_route_declares_its_need() -> None:
    lines = bare_gateway().routes.lines()
    assert len(lines) > 20
    assert [line for line in lines if line.needs is None] == []
    assert [line for line in lines if not line.what] == []


def test_the_page_of_routes_is_what_the_application_says(repository: Path) -> None:
    page = (repository / "docs" / "routes.md").read_text("utf-8")
    assert page == markdown(bare_gateway().routes), "write it anew: kinflow edge routes --markdown > docs/routes.md"


def test_roles_hold_one_another() -> None:
    assert [suffices(role, "operator") for role in ROLES] == [False, True, True]
    admin, device = Caller("a", "session", "admin"), Caller("pi-1", "device")
    assert [admin.may(one) for one in NEEDS] == [True, False, True, True, True, True]
    assert [device.may(one) for one in NEEDS] == [True, True, False, False, False, False]


def small_app() -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    router = APIRouter(prefix="/in")

    @router.get("/open")
    @need("public")
    async def open_() -> str:
        return "open"

    @router.post("/open")
    @need("public")
    async def post() -> str:
        return "posted"

    @router.get("/forgotten")
    async def forgotten() -> str:
        return "open by mistake"

    @router.post("/device/{name}")
    @need("device")
    async def device(name: str) -> str:
        return name

    app.include_router(router)
    app.mount("/files", PlainTextResponse("a file"))
    app.mount("/marked", need("public")(PlainTextResponse("a file")))
    return app


def ask(method: str, path: str, **headers: str) -> httpx.Response:
    app = small_app()

    def device_of(scope: dict[str, object], body: bytes) -> str | None:
        return "pi-1" if body == b"signed" else None

    guard = Guard(app, Door(Accounts(None, SystemClock(), TOKEN), device_of=device_of), RouteTable(app))

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=guard)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            content = headers.pop("body", "").encode()
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(call())


@pytest.mark.parametrize("path", ["/in/forgotten", "/files/x"])
def test_what_declares_nothing_is_shut_even_for_the_root_key(path: str) -> None:
    answer = ask("GET", path, Authorization=f"Bearer {TOKEN}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "KF205")


def test_the_public_is_let_in_where_a_route_says_so() -> None:
    assert ask("GET", "/in/open").text == '"open"'
    assert ask("POST", "/in/open").text == '"posted"'
    assert ask("GET", "/marked/x").text == "a file"
    assert ask("GET", "/in/nothing").status_code == 401
    assert ask("PUT", "/in/open").status_code == 405
    assert ask("POST", "/in/open", Origin="http://evil.example").status_code == 403


def test_a_device_proves_itself_and_a_person_is_none() -> None:
    assert ask("POST", "/in/device/x", body="signed").text == '"x"'
    assert ask("POST", "/in/device/x", body="unsigned").status_code == 401
    assert ask("POST", "/in/device/x", body="unsigned", Authorization=f"Bearer {TOKEN}").status_code == 401


def test_a_mount_without_a_mark_is_seen_in_the_table() -> None:
    app = small_app()
    lines = {line.path: line.needs for line in RouteTable(app).lines()}
    assert lines["/files/{path}"] is None
    assert lines["/in/forgotten"] is None
    assert any(isinstance(route, Mount) for route in app.routes)
