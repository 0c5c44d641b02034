"""Accounts over HTTP: what each role may reach, how a person gets in and out, and what ends at once."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from edge_server.accounts.need import ROLES
from edge_server.accounts.rows import Actor
from edge_server.cli import app as edge_command
from edge_server.gateway import guard
from edge_server.gateway.app import Gateway
from edge_server.gateway.auth import COOKIE, cookie, cookie_name, set_cookie
from edge_server.gateway.guard import Door, Guard
from edge_server.gateway.server import GatewayServer
from protocol.errors import KinflowError
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge

BY = Actor("tests")
GOOD, OTHER = "four words nobody joins", "another four such words"
ROOT = {"Authorization": f"Bearer {TOKEN}"}
DEADLINE_S = 20.0


class House:
    """A gateway with an account for each role, and a way to speak to it as one of them."""

    def __init__(self, folder: Path) -> None:
        self.edge = DemoEdge(folder)
        self.accounts = self.edge.accounts
        for role in reversed(ROLES):
            self.accounts.users.add(f"the-{role}", role, GOOD, BY)
        self.gateway = Gateway(self.edge.context)
        self.server = GatewayServer(self.gateway, port=0)
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}"
        self._clients: list[httpx.Client] = []

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.server.stop()
        self.edge.close()

    def client(self, **headers: str) -> httpx.Client:
        client = httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=DEADLINE_S)
        self._clients.append(client)
        return client

    def sign_in(self, name: str, password: str = GOOD) -> httpx.Client:
        """As the page does it: by its form, then by its cookie."""
        client = self.client(Origin=self.url)
        answer = client.post("/login", data={"name": name, "password": password})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        return client


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def test_each_role_reaches_what_it_may_and_nothing_else(house: House) -> None:
    """Every route of the table, asked as every role, by session and by token: 403 exactly where the role is too low."""
    for role in ROLES:
        _, secret = house.accounts.tokens.make(f"of-{role}", role, 1, BY)
        for client in (house.sign_in(f"the-{role}"), house.client(Authorization=f"Bearer {secret}")):
            for line in house.gateway.routes.lines():
                if line.needs in {"public", "device"} or line.path.startswith("/api/v1/me/"):
                    continue
                path = re.sub(r"\{\w+\}", "main.js" if "static" in line.path else "none", line.path)
                with client.stream(line.method, path) as answer:
                    refused = answer.status_code == 403
                assert answer.status_code != 401, line
                # Who may look may ask the model, too; programs' keys are tested at the serving door.
                least = "viewer" if line.needs == "model" else line.needs
                assert refused == (ROLES.index(role) < ROLES.index(least)), (role, line, answer.status_code)
            client.close()


def test_once_there_is_an_account_everybody_signs_in(house: House) -> None:
    with house.client() as client:
        page = client.get("/")
        assert (page.status_code, page.headers["location"]) == (303, "/login")
        assert "set-cookie" not in page.headers
        form = client.get("/login").text
        assert 'name="password"' in form
        assert 'name="token"' in form
        assert client.get("/api/v1/state").status_code == 401
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/v1/state", headers=ROOT).status_code == 200


def test_a_session_is_new_at_each_sign_in_and_gone_after_signing_out(house: House) -> None:
    client = house.sign_in("the-viewer")
    first = client.cookies[COOKIE]
    assert client.get("/api/v1/me").json() == {
        "name": "the-viewer",
        "role": "viewer",
        "way": "session",
        "accounts": True,
    }
    client.post("/login", data={"name": "the-viewer", "password": GOOD})
    second = client.cookies[COOKIE]
    assert second != first
    assert house.accounts.by_cookie(first) is None
    assert client.post("/api/v1/me/sign-out").status_code == 204
    assert COOKIE not in client.cookies
    assert house.accounts.by_cookie(second) is None


def test_nobody_plants_a_session(house: House) -> None:
    """A cookie that was there before signing in is never the one that lets in."""
    with house.client(Origin=house.url) as client:
        client.cookies.set(COOKIE, "planted-by-somebody-else")
        answer = client.post("/login", data={"name": "the-admin", "password": GOOD})
        assert "planted-by-somebody-else" not in answer.headers["set-cookie"]
        assert house.accounts.by_cookie("planted-by-somebody-else") is None


def test_a_wrong_password_is_said_in_the_page_and_the_sixth_try_waits(house: House) -> None:
    with house.client(Origin=house.url) as client:
        for _ in range(5):
            answer = client.post("/login", data={"name": "<b>the-admin", "password": "wrong"})
            assert answer.status_code == 401
            assert "do not belong together" in answer.text
            assert "<b>" not in answer.text
        answer = client.post("/login", data={"name": "<b>the-admin", "password": "wrong"})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert client.post("/login", data={"name": "the-admin", "password": GOOD}).status_code == 303


@pytest.mark.parametrize(
    "body", [b"", b"name=%ff&password=%00", b"&" * 60_000, b"a=1&" * 9_000, b"\xff\xfe", b"token="]
)
def test_any_form_is_answered(house: House, body: bytes) -> None:
    with house.client(Origin=house.url) as client:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/login", content=body, headers=kind).status_code in {401, 413}


def test_one_changes_ones_password(house: House) -> None:
    client, elsewhere = house.sign_in("the-viewer"), house.sign_in("the-viewer")
    wrong = client.post("/api/v1/me/password", json={"old": "not it", "new": OTHER})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "KF207")
    weak = client.post("/api/v1/me/password", json={"old": GOOD, "new": "password123"})
    assert (weak.status_code, weak.json()["error"]["code"]) == (422, "KF209")
    assert client.post("/api/v1/me/password", json={"old": GOOD, "new": OTHER}).status_code == 204
    assert client.get("/api/v1/me").status_code == 200
    assert elsewhere.get("/api/v1/me").status_code == 401
    assert house.sign_in("the-viewer", OTHER).post("/api/v1/me/sign-out-everywhere").status_code == 204
    assert client.get("/api/v1/me").status_code == 401
    # A token and the machine's key have neither password nor session.
    with house.client(**ROOT) as root:
        for path, body in (("sign-out", None), ("sign-out-everywhere", None), ("password", {"old": "x", "new": OTHER})):
            assert root.post(f"/api/v1/me/{path}", json=body).json()["error"]["code"] == "KF210"


def test_an_admin_keeps_accounts_tokens_and_reads_the_audit(house: House) -> None:
    client = house.sign_in("the-admin")
    made = client.post("/api/v1/users", json={"name": "bert", "role": "viewer", "password": OTHER})
    assert (made.status_code, made.json()["name"]) == (201, "bert")
    assert "password" not in {key for user in client.get("/api/v1/users").json() for key in user}
    assert client.put("/api/v1/users/bert/role", json={"role": "operator"}).status_code == 204
    assert client.put("/api/v1/users/bert/password", json={"password": GOOD}).status_code == 204
    assert client.post("/api/v1/users", json={"name": "bert", "role": "viewer", "password": OTHER}).status_code == 409
    assert client.post("/api/v1/users", json={"name": "B B", "role": "viewer", "password": OTHER}).status_code == 422
    assert client.delete("/api/v1/users/the-admin").json()["error"]["code"] == "KF212"
    assert client.delete("/api/v1/users/bert").status_code == 204
    assert client.delete("/api/v1/users/bert").status_code == 404
    token = client.post("/api/v1/tokens", json={"name": "reporter", "role": "viewer", "days": 3}).json()["token"]
    listed = client.get("/api/v1/tokens")
    assert token not in listed.text
    with house.client(Authorization=f"Bearer {token}") as program:
        assert program.get("/api/v1/state").status_code == 200
        assert client.delete("/api/v1/tokens/reporter").status_code == 204
        assert program.get("/api/v1/state").status_code == 401
    told = client.get("/api/v1/audit").json()
    assert (told[0]["who"], told[0]["what"], told[0]["address"]) == ("the-admin", "token-revoked", "127.0.0.1")
    assert GOOD not in json.dumps(told)


def test_the_first_account_is_not_made_by_whoever_opens_the_page(tmp_path: Path) -> None:
    edge = DemoEdge(tmp_path)
    server = GatewayServer(Gateway(edge.context), port=0)
    server.start()
    url = f"http://127.0.0.1:{server.port}"
    wanted = {"name": "anna", "role": "admin", "password": GOOD}
    with httpx.Client(base_url=url, headers={"Origin": url}, trust_env=False, timeout=DEADLINE_S) as client:
        assert client.get("/").status_code == 200
        assert client.post("/api/v1/users", json=wanted).status_code == 403
        assert client.get("/api/v1/state").status_code == 200
        assert client.post("/api/v1/users", json=wanted, headers=ROOT).status_code == 201
        assert client.get("/api/v1/state").status_code == 401
    server.stop()
    edge.close()


def test_an_open_stream_ends_when_its_reader_is_removed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_LOOK_AGAIN_S", 0.0)
    client = house.sign_in("the-viewer")
    ended, begun = threading.Event(), threading.Event()

    def read() -> None:
        with client.stream("GET", "/api/v1/events") as answer:
            for _ in answer.iter_lines():
                begun.set()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    assert begun.wait(DEADLINE_S)
    house.edge.observe("west-n", 0.2)
    assert not ended.is_set()
    house.accounts.users.remove("the-viewer", BY)
    house.edge.observe("west-n", 0.9)
    assert ended.wait(DEADLINE_S)
    client.close()


def test_the_door_stays_shut_when_the_accounts_cannot_be_read(house: House, tmp_path: Path) -> None:
    client = house.sign_in("the-admin")
    house.accounts.close()
    assert client.get("/api/v1/state").status_code == 503
    assert client.get("/login").status_code == 200
    assert client.post("/login", data={"name": "the-admin", "password": GOOD}).status_code == 503
    with house.client() as local:
        assert local.get("/").status_code == 303
    with house.client(**ROOT) as root:
        assert root.get("/api/v1/state").status_code == 200


def test_a_full_disk_keeps_nobody_out_who_is_in(house: House, tmp_path: Path) -> None:
    client = house.sign_in("the-viewer")
    with sqlite3.connect(tmp_path / "accounts.db") as other:
        other.execute("UPDATE sessions SET used_ms = used_ms - 3600000")
    other.close()
    house.accounts._file._connection.execute("PRAGMA query_only = 1")  # every write fails from here on
    assert client.get("/api/v1/state").status_code == 200
    assert client.post("/login", data={"name": "the-viewer", "password": GOOD}).status_code == 503


def test_under_https_the_cookie_is_secure_and_bound_to_the_host() -> None:
    told = set_cookie("x", secure=True)
    assert told.startswith(f"__Host-{COOKIE}=x; Path=/;")
    assert "; Secure" in told
    assert "Domain" not in told
    assert cookie([f"{COOKIE}=planted; {cookie_name(True)}=own"], secure=True) == "own"
    assert cookie([f"{COOKIE}=planted"], secure=True) is None
    assert "Secure" not in set_cookie("x", secure=False)


@pytest.mark.asyncio
async def test_over_https_a_person_signs_in_by_that_cookie(tmp_path: Path) -> None:
    edge = DemoEdge(tmp_path)
    edge.accounts.users.add("anna", "admin", GOOD, BY)
    gateway = Gateway(edge.context)
    app = Guard(gateway.inner, Door(edge.accounts), gateway.routes)
    base = "https://localhost"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base) as client:
        client.headers["Origin"] = base
        answer = await client.post("/login", data={"name": "anna", "password": GOOD})
        assert "; Secure" in answer.headers["set-cookie"]
        # A certificate of one's own authority is no reason to pin browsers to https for a year: docs/accounts.md.
        assert "strict-transport-security" not in answer.headers
        assert (await client.get("/api/v1/me")).json()["name"] == "anna"
        assert (await client.get("/api/v1/me", headers={"Origin": "http://localhost"})).status_code == 403
    edge.close()


# The command line


def command(home: Path, *arguments: str, password: str = "") -> str:
    result = CliRunner().invoke(edge_command, [*arguments, "--home", str(home)], input=password)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_accounts_are_kept_on_the_command_line(tmp_path: Path) -> None:
    assert "everybody signs in" in command(tmp_path, "user", "add", "anna", "--role", "admin", password=f"{GOOD}\n")
    command(tmp_path, "user", "add", "bert", password=f"{OTHER}\n")
    command(tmp_path, "user", "set-role", "bert", "--role", "operator")
    command(tmp_path, "user", "password", "bert", password=f"{GOOD}\n")
    users = json.loads(command(tmp_path, "user", "list", "--json"))["users"]
    assert [(user["name"], user["role"]) for user in users] == [("anna", "admin"), ("bert", "operator")]
    command(tmp_path, "user", "remove", "bert")
    with pytest.raises(KinflowError, match="KF212"):
        command(tmp_path, "user", "remove", "anna")
    with pytest.raises(KinflowError, match="KF209"):
        command(tmp_path, "user", "password", "anna", password="short\n")


def test_a_password_is_no_argument() -> None:
    """Arguments can be read by every user of the machine."""
    for name in ("add", "password"):
        help_text = CliRunner().invoke(edge_command, ["user", name, "--help"]).output
        assert "--password" not in help_text
    assert CliRunner().invoke(edge_command, ["user", "add", "anna", GOOD]).exit_code == 2


def test_tokens_are_kept_on_the_command_line(tmp_path: Path) -> None:
    root = command(tmp_path, "token").strip()
    assert root == (tmp_path / "edge-token").read_text().strip()
    secret = command(tmp_path, "token", "make", "reporter", "--role", "viewer", "--days", "7").strip()
    assert secret.startswith("kinflow_")
    listed = command(tmp_path, "token", "list")
    assert "reporter" in listed
    assert secret not in listed
    command(tmp_path, "token", "revoke", "reporter")
    assert json.loads(command(tmp_path, "token", "list", "--json"))["tokens"] == []


def test_stdin_is_read_to_the_first_line_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{GOOD}\r\nrest"))
    command(tmp_path, "user", "add", "anna", "--role", "admin", password=f"{GOOD}\r\nrest")
    edge = DemoEdge(tmp_path)
    assert edge.accounts.sign_in("anna", GOOD, "192.0.2.1")
    edge.close()
