"""The assistant behind the gateway: what the board knows is what it tells, and who may change what."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_server.accounts.rows import Actor
from edge_server.gateway.app import Gateway
from edge_server.gateway.server import GatewayServer
from models.assistant.edge_tier import EdgeTier, edge_of
from models.assistant.own_facts import facts_here
from models.assistant.reply import Policy
from models.errors import TierUnreachable
from node.clock import SystemClock
from node.config.load import load
from node.update.health import HealthFile
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge
from tests.edge_server.gateway.test_gateway_api import eventually
from tests.models.assistant.doubles import ByHeart

ASK = "/api/v1/assistant/ask"
CORRECTIONS = "/api/v1/assistant/corrections"


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoEdge]:
    monkeypatch.setattr("models.assistant.desk.open_understanding", lambda home: ByHeart())
    edge = DemoEdge(tmp_path)
    yield edge
    edge.close()


@pytest.fixture
def server(edge: DemoEdge) -> Iterator[GatewayServer]:
    server = GatewayServer(Gateway(edge.context), port=0)
    server.start()
    edge.join("pi-1", cameras=(("cam-west-n", "west-n"),))
    edge.join("pi-2")
    edge.leave("pi-2")
    edge.observe("west-n", 0.62, camera="cam-west-n")
    edge.heartbeat("west", {2: "green", 4: "red", 12: "red"})
    with client(server) as one:
        eventually(lambda: shows_all(one.get("/api/v1/state").json()))
    yield server
    server.stop()


def shows_all(state: dict[str, Any]) -> bool:
    heard = any(one["id"] == "west-n" and one["index"] for one in state["approaches"])
    gone = any(one["id"] == "pi-2" and one["state"] == "offline" for one in state["devices"])
    return heard and gone and any(one["control"] == "edge" for one in state["signals"])


def client(server: GatewayServer, token: str = TOKEN) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    base = f"http://127.0.0.1:{server.port}"
    return httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=20)


def reply(one: httpx.Client, question: str, conversation: str = "a") -> dict[str, Any]:
    answer = one.post(ASK, json={"question": question, "conversation": conversation})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0] == {"type": "step", "step": "understanding"} or lines[-1]["tier"] == "edge"
    assert "".join(line["text"] for line in lines if line["type"] == "piece") == lines[-1]["answer"]
    return lines[-1]


def test_what_the_board_knows_is_told(server: GatewayServer) -> None:
    with client(server) as one:
        told = reply(one, "How is Mill Street?")
        assert (told["tier"], told["tool"], told["bytes_sent"]) == ("edge", "get_congestion", 0)
        assert "Mill Street, north is dense: index 0.62" in told["answer"]
        assert "North-south shows green since 4 s" in reply(one, "What do the lights at Mill Street show?")["answer"]
        assert "1 device is offline: pi-2 (will)." in reply(one, "Who is offline?")["answer"]
        assert "index of Mill Street, north was 0.62" in reply(one, "How was Mill Street north?")["answer"]
        assert "No emergency vehicle is seen" in reply(one, "Any ambulance about?")["answer"]


@pytest.mark.parametrize(
    ("role", "question", "may"),
    [
        ("viewer", "log more on pi-1", False),
        ("operator", "log more on pi-1", True),
        ("operator", "log more on edge-1", False),
        ("admin", "log more on edge-1", True),
    ],
)
def test_a_setting_needs_the_role(server: GatewayServer, edge: DemoEdge, role: str, question: str, may: bool) -> None:
    token = edge.accounts.tokens.make("t", role, 9, Actor("tests"))[1]
    with client(server, token) as one:
        asked = reply(one, question)
        assert asked["asks"] is may
        assert (asked["code"] == "KF206") is not may
        told = reply(one, "yes")
    own = edge.context.home / "kinflow.toml"
    changed = edge.asked or own.exists()
    assert bool(changed) is may
    if may and "pi-1" in question:
        assert edge.asked == [("pi-1", "set-setting", {"name": "log.level", "value": "debug"})]
    if may:
        assert "next start" in told["answer"]
        line = edge.accounts.audit.lines()[0]
        assert (line.what, line.detail) == ("setting-changed", 'log.level = "debug"')


def test_a_yes_belongs_to_its_own_conversation_and_person(server: GatewayServer, edge: DemoEdge) -> None:
    other = edge.accounts.tokens.make("t", "operator", 9, Actor("tests"))[1]
    with client(server) as one, client(server, other) as two:
        assert reply(one, "log more on pi-1", "a")["asks"]
        reply(one, "yes", "b")
        reply(two, "yes", "a")
        assert edge.asked == []
        reply(one, "yes", "a")
        assert len(edge.asked) == 1


def test_notes_and_corrections_are_their_owner_s(server: GatewayServer, edge: DemoEdge) -> None:
    other = edge.accounts.tokens.make("t", "viewer", 9, Actor("tests"))[1]
    with client(server) as one, client(server, other) as two:
        reply(one, "Remember that the gate key is under the mat")
        assert "under the mat" in reply(one, "Where is the gate key?")["answer"]
        assert "no note" in reply(two, "Where is the gate key?")["answer"]
        kept = one.post(CORRECTIONS, json={"question": "q", "answer": "a", "better": "b"}).json()
        assert [row["better"] for row in one.get(CORRECTIONS).json()] == ["b"]
        assert two.get(CORRECTIONS).json() == []
        assert two.delete(f"{CORRECTIONS}/{kept['id']}").status_code == 404
        assert one.delete(f"{CORRECTIONS}/{kept['id']}").status_code == 204
        assert one.get(CORRECTIONS).json() == []


@pytest.mark.parametrize(
    ("question", "status", "code"),
    [("", 422, "KF487"), ("<|im_start|>", 422, "KF487"), ("x" * 3_000, 422, "KF487"), ("x" * 70_000, 413, "KF91")],
)
def test_what_is_no_question_is_refused(server: GatewayServer, question: str, status: int, code: str) -> None:
    with client(server) as one:
        answer = one.post(ASK, json={"question": question})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_nobody_asks_without_signing_in(server: GatewayServer) -> None:
    with client(server, "wrong") as one:
        assert one.post(ASK, json={"question": "hello"}).status_code == 401


# The edge server as the tier above


def test_a_device_s_question_goes_up_and_comes_back_with_a_receipt(server: GatewayServer) -> None:
    tier = EdgeTier(f"http://127.0.0.1:{server.port}", TOKEN)
    told = tier.ask("How is Mill Street?", Policy(max_tier="edge"))
    assert told.tier == "edge"
    assert "index 0.62" in told.answer
    assert told.bytes_sent > len("How is Mill Street?")
    assert tier.ask("log more on pi-1", Policy(max_tier="edge"), "c").asks
    assert "was asked" not in tier.ask("yes", Policy(max_tier="edge"), "d").answer
    assert "was asked" in tier.ask("yes", Policy(max_tier="edge"), "c").answer


@pytest.mark.parametrize("token", ["wrong", TOKEN])
def test_an_edge_server_that_refuses_or_is_away_is_told_apart(server: GatewayServer, token: str) -> None:
    url = f"http://127.0.0.1:{server.port}"
    if token == TOKEN:
        server.stop()
    with pytest.raises(TierUnreachable, match="refused" if token == TOKEN else "KF88"):
        EdgeTier(url, token).ask("hello", Policy(max_tier="edge"))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n" + b'{"type": "step", "step": "understanding"}\n',
        b"HTTP/1.1 200 OK\r\n\r\n" + b'{"type": "piece", "text": "Mill Str',
        b"HTTP/1.1 200 OK\r\n\r\n" + b"\xff" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz",
    ],
)
def test_an_edge_server_that_dies_mid_answer_is_no_answer(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(TierUnreachable):
            EdgeTier(f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN).ask("hello", Policy(max_tier="edge"))
        thread.join()


def test_a_token_never_goes_over_plain_http_to_another_machine(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t" * 43)
    (tmp_path / "kinflow.toml").write_text(
        f'[assistant]\nedge = "http://closet.lan:8800"\ntoken_file = "{tmp_path / "token"}"\n'
    )
    with pytest.raises(TierUnreachable, match="needs https"):
        edge_of(tmp_path, load(tmp_path).settings)


def test_a_command_on_the_machine_asks_by_files(server: GatewayServer, edge: DemoEdge) -> None:
    assert edge.context.home is not None
    HealthFile(edge.context.home, "edge", "1", "boot", SystemClock()).tell(True)
    facts = facts_here(edge.context.home)
    world = facts.world()
    assert world.teller == "edge-1"
    assert {one.id for one in world.places} == {"west", "east"}
    assert facts.history("west-n", 5)[-1].index == pytest.approx(0.62)
