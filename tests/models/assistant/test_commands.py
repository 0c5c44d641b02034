"""`kinflow ask`, `chat`, `mcp` and `assistant` in processes of their own, beside one that tells them the world."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from models.assistant.world import Point
from models.assistant.world_file import WorldTeller
from tests.models.assistant.doubles import NOW_MS, small_world
from tests.models.assistant.test_world_file import telling

CHILD = [sys.executable, "-m", "tests.models.assistant.child"]
POINTS = tuple(Point(NOW_MS - minute * 60_000, 0.5, "dense") for minute in range(30, 0, -1))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("KINFLOW_HOME", str(tmp_path))
    with telling(tmp_path, WorldTeller(tmp_path, "agent", small_world, lambda *_: POINTS)):
        yield tmp_path


def run(*arguments: str, given: bytes = b"", repository: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*CHILD, *arguments], input=given, cwd=repository, capture_output=True, timeout=50, check=False
    )


def test_local_only_opens_no_socket(home: Path, repository: Path) -> None:
    """Facts, history, a note and a setting, with an edge server configured that might be asked."""
    (home / "kinflow.toml").write_text('[assistant]\nedge = "https://closet.lan:8800"\ntoken_file = "x"\n')
    (home / "edge-token").write_text("t" * 43)
    for question, tool in (
        ("how is mill street", "get_congestion"),
        ("how was mill street north", "get_congestion"),
        ("remember that the gate key is under the mat", "remember"),
        ("log more on pi-1", "set_setting"),
        ("what is the capital of nowhere", "get_congestion"),
    ):
        done = run("--no-sockets", "ask", question, "--max-tier", "device", "--json", repository=repository)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["tier"], told["tool"], told["bytes_sent"]) == ("device", tool, 0)
        assert {"answer", "why", "seconds"} <= told.keys()


def test_the_watch_over_sockets_sees_one(home: Path, repository: Path) -> None:
    """The same question with a tier above: this one does connect, so that the test before can fail."""
    (home / "edge-token").write_text("t" * 43)
    done = run("--no-sockets", "ask", "what is the capital of nowhere", "--json", repository=repository)
    assert done.returncode == 99, done.stdout


def test_a_question_back_is_answered_by_the_next_command(home: Path, repository: Path) -> None:
    asked = json.loads(run("ask", "log more on pi-1", "--json", "--max-tier", "device", repository=repository).stdout)
    assert asked["asks"] is True
    assert not (home / "kinflow.toml").exists()
    done = run("ask", "yes", "--max-tier", "device", repository=repository)
    assert b"log level of pi-1 is set" in done.stdout
    assert b"nothing sent" in done.stderr
    assert 'level = "debug"' in (home / "kinflow.toml").read_text()


@pytest.mark.parametrize("given", [b"", b"\xff\xfe\x00\x01", b"x" * 1_000_000, b"<|im_start|>system"])
def test_what_is_no_question_is_a_clear_error(home: Path, repository: Path, given: bytes) -> None:
    done = run("ask", "-", "--json", given=given, repository=repository)
    assert done.returncode == 254
    assert done.stderr.startswith(b"KF487")
    assert done.stdout == b""


def test_notes_corrections_and_the_lock(home: Path, repository: Path, tmp_path: Path) -> None:
    run("ask", "remember that the gate key is under the mat", "--max-tier", "device", repository=repository)
    listed = json.loads(run("assistant", "notes", "--json", repository=repository).stdout)["notes"]
    assert [one["text"] for one in listed] == ["the gate key is under the mat"]
    key = tmp_path / "key"
    key.write_text("a long passphrase\n")
    assert run("assistant", "lock", "--passphrase-file", str(key), repository=repository).returncode == 0
    assert b"KF491" in run("assistant", "notes", repository=repository).stderr
    (home / "kinflow.toml").write_text(f'[assistant]\nkey_file = "{key}"\n')
    assert b"under the mat" in run("assistant", "notes", repository=repository).stdout
    assert run("assistant", "notes", "--delete", str(listed[0]["id"]), repository=repository).returncode == 0
    assert run("assistant", "notes", "--delete", "99", repository=repository).returncode == 254


class Terminal:
    """`kinflow chat` in a terminal, and what it has written so far."""

    def __init__(self, repository: Path) -> None:
        self._master, slave = pty.openpty()
        command = [*CHILD, "--own-terminal", "chat", "--max-tier", "device"]
        self.process = subprocess.Popen(command, cwd=repository, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self._seen, self._grown = b"", threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def write(self, text: bytes) -> None:
        os.write(self._master, text)

    def until(self, text: bytes) -> None:
        with self._grown:
            assert self._grown.wait_for(lambda: text in self._seen, 40), self._seen
            self._seen = self._seen.partition(text)[2]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 4096)
            except OSError:
                return
            if not part:
                return
            with self._grown:
                self._seen += part
                self._grown.notify_all()


def test_a_conversation_in_the_terminal(home: Path, repository: Path) -> None:
    terminal = Terminal(repository)
    try:
        terminal.until(b"> ")
        terminal.write(b"how is mill street\n")
        terminal.until(b"index 0.62")
        terminal.until(b"> ")
        terminal.write(b"/better it is quite full\n")
        terminal.until(b"Kept as correction 2")
        terminal.write(b"slowly\n")
        terminal.until(b"slowly")
        terminal.write(b"\x03")
        terminal.until(b"(stopped; Ctrl-C again leaves)")
        terminal.until(b"> ")
        # One that comes before the question was read stops the typing of it, and the next one the answer.
        for _ in range(20):
            terminal.write(b"\x03")
            with suppress(subprocess.TimeoutExpired):
                terminal.process.wait(2)
                break
        assert terminal.process.wait(20) == 0
    finally:
        terminal.close()
    listed = json.loads(run("assistant", "history", "--json", repository=repository).stdout)["history"]
    assert [one["question"] for one in listed] == ["how is mill street"]


# MCP


def talk(repository: Path, *messages: object) -> list[dict]:
    given = b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in messages)
    done = run("--no-sockets", "mcp", given=given, repository=repository)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def request(number: int, method: str, modern: bool = False, **params: object) -> dict[str, object]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": method,
        "params": {**params, **({"_meta": meta} if modern else {})},
    }


def test_mcp_with_a_handshake(home: Path, repository: Path) -> None:
    answers = talk(
        repository,
        request(
            1, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "t", "version": "1"}
        ),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request(2, "tools/list"),
        request(3, "tools/call", name="get_congestion", arguments={"intersection": "Mill Street"}),
        request(4, "tools/call", name="get_device", arguments={"device": "nobody"}),
        request(
            5, "tools/call", name="set_setting", arguments={"device": "pi-1", "name": "log level", "value": "debug"}
        ),
        request(6, "tools/call", name="confirm", arguments={"yes": True}),
    )
    assert [one["id"] for one in answers] == [1, 2, 3, 4, 5, 6]
    results = {one["id"]: one["result"] for one in answers}
    assert results[1]["protocolVersion"] == "2025-06-18"
    names = {one["name"] for one in results[2]["tools"]}
    assert {"get_congestion", "set_setting", "remember", "confirm"} <= names
    assert len(names) == 11
    assert "index 0.62" in results[3]["content"][0]["text"]
    assert (results[4]["isError"], results[4]["_meta"]) == (True, {"kinflow/code": "KF488"})
    assert "Shall I set" in results[5]["content"][0]["text"]
    assert 'level = "debug"' in (home / "kinflow.toml").read_text()


def test_mcp_without_a_handshake(home: Path, repository: Path) -> None:
    discovered, listed, called, old = talk(
        repository,
        request(1, "server/discover", modern=True),
        request(2, "tools/list", modern=True),
        request(3, "tools/call", modern=True, name="list_emergency", arguments={}),
        {
            "jsonrpc": "2.0",
            "id": 4,
            "method": "tools/list",
            "params": {"_meta": {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}},
        },
    )
    assert discovered["result"]["supportedVersions"] == ["2026-07-28"]
    assert discovered["result"]["capabilities"] == {"tools": {}}
    for one in (discovered, listed, called):
        assert one["result"]["resultType"] == "complete"
        assert one["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "kinflow"
    assert "An ambulance" in called["result"]["content"][0]["text"]
    assert old["error"]["code"] == -32022
    assert old["error"]["data"]["supported"] == ["2026-07-28"]


def test_mcp_answers_what_is_wrong_and_goes_on(home: Path, repository: Path) -> None:
    answers = talk(
        repository,
        b"no json",
        b'{"a":' + b" " * (1 << 20) + b"1}",
        [],
        {"jsonrpc": "2.0", "id": 1, "method": "resources/list"},
        request(2, "tools/call", name="rm", arguments={}),
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": 7},
        request(4, "ping"),
    )
    assert [one.get("error", {}).get("code") for one in answers] == [
        -32700,
        -32600,
        -32600,
        -32601,
        -32602,
        -32602,
        None,
    ]
