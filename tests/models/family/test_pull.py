"""Weights come over a network that breaks, from a stick, and sometimes as something else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from models.engine.trust import fingerprint
from models.errors import PullFailed, PullForeign
from models.family.pull import pull
from tests.models.engine import tiny


class Server(BaseHTTPRequestHandler):
    content: ClassVar[bytes] = b""
    tag: ClassVar[str] = '"one"'
    breaks_after: ClassVar[int] = 0
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.asked.append(asked)
        if self.path != "/one.gguf":
            self.send_error(404)
            return
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if self.headers.get("If-Range", self.tag) != self.tag:
            begin = 0
        body = self.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.tag)
        self.end_headers()
        self.wfile.write(body[: self.breaks_after] if self.breaks_after else body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is for its own words."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    Server.content = tiny.dense(tmp_path / "made.gguf").read_bytes()
    Server.tag, Server.breaks_after, Server.asked = '"one"', 0, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_a_file_comes_whole_and_is_fetched_once(tmp_path: Path, server: str) -> None:
    seen: list[tuple[int, int]] = []
    pulled = pull(f"{server}/one.gguf", tmp_path / "models", progress=lambda done, total: seen.append((done, total)))
    assert pulled.path == tmp_path / "models" / "one.gguf"
    assert pulled.path.read_bytes() == Server.content
    assert pulled.sha256 == fingerprint(tmp_path / "made.gguf")
    assert seen[-1] == (len(Server.content), len(Server.content))
    assert [one.name for one in pulled.path.parent.iterdir()] == ["one.gguf"]
    assert pull(f"{server}/one.gguf", tmp_path / "models").fetched_bytes == 0
    assert len(Server.asked) == 1


def test_what_was_cut_off_goes_on(tmp_path: Path, server: str) -> None:
    Server.breaks_after = len(Server.content) // 3
    for _ in range(2):
        with pytest.raises(PullFailed, match="ended after"):
            pull(f"{server}/one.gguf", tmp_path / "models")
    Server.breaks_after = 0
    pulled = pull(f"{server}/one.gguf", tmp_path / "models")
    assert pulled.path.read_bytes() == Server.content
    third = len(Server.content) // 3
    assert Server.asked == ["", f"bytes={third}-", f"bytes={2 * third}-"]
    assert pulled.fetched_bytes == len(Server.content) - 2 * third


def test_another_file_under_the_same_address_is_begun_anew(tmp_path: Path, server: str) -> None:
    Server.breaks_after = 5000
    with pytest.raises(PullFailed):
        pull(f"{server}/one.gguf", tmp_path / "models")
    Server.content = tiny.dense(tmp_path / "newer.gguf", seed=8).read_bytes()
    Server.tag, Server.breaks_after = '"two"', 0
    assert pull(f"{server}/one.gguf", tmp_path / "models").path.read_bytes() == Server.content


def test_what_is_not_what_was_asked_for_is_not_kept(tmp_path: Path, server: str) -> None:
    with pytest.raises(PullForeign, match="SHA-256"):
        pull(f"{server}/one.gguf", tmp_path / "models", sha256="0" * 64)
    Server.content = b"<html>Please sign in</html>"
    with pytest.raises(PullForeign, match="GGUF"):
        pull(f"{server}/one.gguf", tmp_path / "models")
    Server.content = b"GGUF" + bytes(100)
    with pytest.raises(PullForeign):
        pull(f"{server}/one.gguf", tmp_path / "models")
    assert not (tmp_path / "models" / "one.gguf").exists()


@pytest.mark.parametrize(
    "source", ["{}/none.gguf", "{}/one.zip", "ftp://host/one.gguf", "http://127.0.0.1:1/one.gguf", "/nowhere/one.gguf"]
)
def test_what_can_not_be_fetched_is_said(tmp_path: Path, server: str, source: str) -> None:
    with pytest.raises(PullFailed):
        pull(source.format(server), tmp_path / "models")
    with pytest.raises(PullFailed, match="SHA-256"):
        pull(f"{server}/one.gguf", tmp_path / "models", sha256="abc")


def test_a_stick_is_a_source_as_well(tmp_path: Path, files_made: Path) -> None:
    pulled = pull(str(files_made), tmp_path / "models", sha256=fingerprint(files_made))
    assert pulled.path.read_bytes() == files_made.read_bytes()
    assert pulled.fetched_bytes == files_made.stat().st_size


@pytest.fixture
def files_made(tmp_path: Path) -> Path:
    return tiny.dense(tmp_path / "stick.gguf")
