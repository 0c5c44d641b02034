"""Who may ask the gateway what: every route there is, with and without a token, under foreign names and from foreign
pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from edge_server.errors import TokenFileUnusable
from edge_server.gateway.app import DASHBOARD, Gateway
from edge_server.gateway.auth import COOKIE, load_or_make_token
from edge_server.gateway.guard import LIMIT_BYTES, LOGIN, SAFETY_HEADERS, host_name
from edge_server.gateway.server import GatewayServer
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FAR = {"Host": "edge.example"}
# Each one is public for a reason; docs/accounts.md gives it.
SIGNED = {"/updates/metadata/1", "/updates/targets/1"}
JOINING = {f"/api/v1/trust/{name}" for name in ("ca", "crl", "time", "join", "join/1")}
PUBLIC = {LOGIN, "/healthz", "/install", "/bundles/1", *SIGNED, *JOINING}


class Door:
    """A running gateway. `ask` speaks plain HTTP with just the headers that it is given."""

    def __init__(self, folder: Path) -> None:
        self.edge = DemoEdge(folder)
        self.gateway = Gateway(self.edge.context, hosts=frozenset({"Edge.example"}))
        self.server = GatewayServer(self.gateway, port=0)
        self.server.start()
        self.port = self.server.port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False)

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        self.client.cookies.clear()
        return self.client.request(method, path, **more)

    def cookie(self) -> dict[str, str]:
        """Of a page on this machine."""
        return {"Cookie": self.ask("GET", "/").headers["set-cookie"].partition(";")[0]}

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self.edge.close()

    def routes(self) -> list[tuple[str, str]]:
        """Every method and path that the application answers, parameters filled in, each static file included."""
        found = []
        for route in flat(self.gateway.inner.routes):
            if isinstance(route, Mount):
                files = (file for file in DASHBOARD.rglob("*") if file.is_file())
                found += [("GET", f"{route.path}/{file.relative_to(DASHBOARD)}") for file in files]
            elif isinstance(route, Route | APIRoute):
                path = "/".join("1" if part.startswith("{") else part for part in route.path.split("/"))
                found += [(method, path) for method in sorted(route.methods or ())]
        return found


def flat(routes: list[object]) -> Iterator[object]:
    """Routes of included routers, too, in whatever form the framework keeps them."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from flat(inner.routes)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    door = Door(tmp_path_factory.mktemp("edge"))
    yield door
    door.close()


def code_of(answer: httpx.Response) -> str:
    return answer.json()["error"]["code"]


def test_the_list_of_routes_holds_what_must_be_guarded(door: Door) -> None:
    paths = {path for _, path in door.routes()}
    wanted = {"/", "/api/v1/state", "/api/v1/events", "/metrics", "/healthz", "/openapi.json", "/static/main.js", LOGIN}
    assert wanted <= paths
    assert set(door.gateway.inner.openapi()["paths"]) <= {path.replace("/1", "/{x}") for path in paths} | {
        path for path in door.gateway.inner.openapi()["paths"] if "{" in path or path in paths
    }


def test_no_route_answers_without_a_token(door: Door) -> None:
    for method, path in door.routes():
        if path in PUBLIC:
            continue
        answer = door.ask(method, path, headers=FAR)
        if path == "/":
            assert (answer.status_code, answer.headers["location"]) == (303, LOGIN), method
            continue
        assert answer.status_code in {401, 403}, (method, path, answer.status_code)
        assert method == "HEAD" or code_of(answer) in {"KF88", "KF90"}


def test_no_route_answers_with_a_wrong_token(door: Door) -> None:
    for method, path in door.routes():
        if path in {*PUBLIC, "/"}:
            continue
        for headers in (
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Cookie": f"{COOKIE}=x", "Origin": f"http://127.0.0.1:{door.port}"},
        ):
            assert door.ask(method, path, headers=headers).status_code == 401, (method, path, headers)


def test_no_route_answers_under_a_foreign_name_even_with_the_token(door: Door) -> None:
    for method, path in door.routes():
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.", ""):
            answer = door.ask(method, path, headers={**BEARER, "Host": host})
            assert answer.status_code in {400, 421}, (method, path, host)


def test_no_route_answers_a_foreign_page_even_with_the_token(door: Door) -> None:
    for method, path in door.routes():
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{door.port + 1}", "https://127.0.0.1"):
            answer = door.ask(method, path, headers={**BEARER, "Origin": origin})
            assert answer.status_code == 403, (method, path, origin)
            assert method == "HEAD" or code_of(answer) == "KF90"


def test_another_site_may_link_here_but_not_fetch(door: Door) -> None:
    cookie = door.cookie()
    fetched = door.ask(
        "GET", "/api/v1/state", headers={**cookie, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
    )
    assert fetched.status_code == 403
    linked = door.ask("GET", "/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert linked.status_code == 200


def test_a_change_by_cookie_must_come_from_our_own_page(door: Door) -> None:
    cookie = door.cookie()
    assert door.ask("DELETE", "/api/v1/corrections/1", headers=cookie).status_code == 403
    own = {**cookie, "Origin": f"http://127.0.0.1:{door.port}"}
    assert door.ask("DELETE", "/api/v1/corrections/1", headers=own).status_code == 404
    assert door.ask("DELETE", "/api/v1/corrections/1", headers=BEARER).status_code == 404


def test_a_page_on_this_machine_is_let_in_by_itself_and_never_gets_the_key(door: Door) -> None:
    answer = door.ask("GET", "/")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    mine = {"Cookie": cookie.partition(";")[0]}
    assert door.ask("GET", "/api/v1/me", headers=mine).json() == {
        "name": "local",
        "role": "operator",
        "way": "local",
        "accounts": False,
    }
    # The key itself is no cookie.
    assert door.ask("GET", "/api/v1/me", headers={"Cookie": f"{COOKIE}={TOKEN}"}).status_code == 401


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_what_a_proxy_forwards_is_not_local(door: Door, header: str) -> None:
    answer = door.ask("GET", "/", headers={header: "for=192.0.2.1"})
    assert answer.status_code == 303
    assert "set-cookie" not in answer.headers


def test_elsewhere_a_person_types_the_token_once(door: Door) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://edge.example", **FAR}
    assert door.ask("GET", LOGIN, headers=FAR).status_code == 200
    assert "set-cookie" not in door.ask("GET", LOGIN).headers
    wrong = door.ask("POST", LOGIN, headers=form, content="token=wrong")
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    right = door.ask("POST", LOGIN, headers=form, content=f"token={TOKEN}")
    assert (right.status_code, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"].partition(";")[0]
    assert door.ask("GET", "/api/v1/state", headers={"Cookie": cookie, **FAR}).status_code == 200


def test_every_answer_carries_the_safety_headers(door: Door) -> None:
    asked = [("/", {}), ("/api/v1/state", {}), ("/api/v1/state", BEARER), ("/static/main.js", BEARER), ("/x", BEARER)]
    for path, headers in asked:
        answer = door.ask("GET", path, headers=headers)
        for name, value in SAFETY_HEADERS:
            assert answer.headers[name.decode()] == value.decode(), path
    login = door.ask("GET", LOGIN)
    assert "default-src 'none'" in login.headers["content-security-policy"]
    assert "unsafe" not in login.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in login.headers["content-security-policy"]


def test_a_body_is_bounded_with_and_without_a_length(door: Door) -> None:
    path, headers = "/api/v1/corrections", {**BEARER, "Content-Type": "application/json"}
    assert door.ask("POST", path, headers=headers, content=b"x" * (LIMIT_BYTES + 1)).status_code == 413
    chunks = (b"x" * 8192 for _ in range(LIMIT_BYTES // 8192 + 1))
    assert door.ask("POST", path, headers=headers, content=chunks).status_code == 413
    assert door.ask("POST", path, headers=headers, content=b"x" * LIMIT_BYTES).status_code == 422


def test_the_documentation_pages_that_load_from_elsewhere_are_off(door: Door) -> None:
    for path in ("/docs", "/redoc"):
        assert door.ask("GET", path, headers=BEARER).status_code == 404
    assert door.ask("GET", "/openapi.json", headers=BEARER).json()["openapi"].startswith("3.")


def test_static_files_do_not_lead_out_of_their_folder(door: Door) -> None:
    for path in ("/static/../errors.py", "/static/%2e%2e/errors.py", "/static/..%2ferrors.py", "/static//etc/passwd"):
        assert door.ask("GET", path, headers=BEARER).status_code == 404


@pytest.mark.parametrize(
    ("header", "name"),
    [("Edge.local:8800", "edge.local"), ("[::1]:8800", "::1"), ("127.0.0.1", "127.0.0.1"), ("[::1]evil", "::1evil")],
)
def test_a_host_header_names(header: str, name: str) -> None:
    assert host_name(header) == name


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    token = load_or_make_token(home)
    assert len(token) >= 43
    assert load_or_make_token(home) == token
    file = home / "edge-token"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(TokenFileUnusable, match="KF94"):
        load_or_make_token(home)
    file.chmod(0o600)
    file.write_text("")
    with pytest.raises(TokenFileUnusable):
        load_or_make_token(home)
