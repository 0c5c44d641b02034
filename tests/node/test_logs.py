from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.logs import KEPT_BYTES, configure_logs

MARK = "s3cr3t"


@pytest.fixture(autouse=True)
def _quiet_again() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    configure_logs("edge", stream=stream)
    structlog.get_logger("gate").info("opened", port=8800)
    logging.getLogger("other").warning("slow by %d ms", 5, extra={"camera": "north"})
    one, other = map(json.loads, stream.getvalue().splitlines())
    assert (one["event"], one["port"], one["level"], one["process"]) == ("opened", 8800, "info", "edge")
    assert (other["event"], other["logger"], other["camera"]) == ("slow by 5 ms", "other", "north")


def test_human_lines_on_a_terminal() -> None:
    stream = Terminal()
    configure_logs("edge", stream=stream)
    structlog.get_logger().info("opened", port=8800)
    (line,) = stream.getvalue().splitlines()
    assert "opened" in line
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)


def test_level() -> None:
    stream = io.StringIO()
    configure_logs("edge", level="error", stream=stream)
    structlog.get_logger().warning("no")
    logging.getLogger("x").error("yes")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["yes"]


def test_a_second_call_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logs("edge", stream=first)
    configure_logs("edge", stream=second)
    logging.getLogger("x").error("once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_warnings_are_kept_and_the_file_stays_small(tmp_path: Path) -> None:
    configure_logs("agent", tmp_path, stream=io.StringIO())
    log = structlog.get_logger()
    log.info("quiet")
    for number in range(KEPT_BYTES // 500):
        log.warning("x" * 1000, number=number)
    files = sorted((tmp_path / "log").iterdir())
    assert [one.name for one in files] == ["agent.jsonl", "agent.jsonl.1"]
    assert all(one.stat().st_size <= KEPT_BYTES for one in files)
    text = "".join(one.read_text() for one in files)
    assert "quiet" not in text
    assert f'"number": {KEPT_BYTES // 500 - 1}' in text


def test_a_state_folder_that_cannot_be_written_stops_no_process(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stream = io.StringIO()
    configure_logs("agent", tmp_path / "file", stream=stream)
    structlog.get_logger().warning("still here")
    assert "still here" in stream.getvalue()


secret = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="\"'<>"), max_size=8).map(
    lambda one: f"{one}{MARK}"
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    secret=secret,
    key=st.sampled_from(["password", "token", "client_secret", "authorization"]),
    terminal=st.booleans(),
)
def test_no_secret_reaches_a_line(tmp_path: Path, secret: str, key: str, terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    configure_logs("agent", tmp_path, stream=stream)
    url = f"rtsp://admin:{secret}@camera/stream"
    log = structlog.get_logger().bind(bound=url)
    log.warning(f"cannot open {url}", source=url, **{key: secret}, nested={"deep": [{key: secret}, url]})
    log.warning("cannot open %s", url)
    plain = logging.getLogger("third.party")
    plain.warning("cannot open %s", url, extra={key: secret})
    try:
        raise ConnectionError(url)
    except ConnectionError:
        log.exception("failed")
        plain.exception("failed")
    kept = (tmp_path / "log" / "agent.jsonl").read_text()
    assert MARK not in stream.getvalue()
    assert MARK not in kept
    assert stream.getvalue().count("camera/stream") >= 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_costs_the_kept_copy_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "edge.jsonl").symlink_to("/dev/full")
    stream = io.StringIO()
    configure_logs("edge", tmp_path, stream=stream)
    logging.getLogger("x").error("the store can't be written")
    assert "the store can't be written" in stream.getvalue()
    assert "Traceback" not in capfd.readouterr().err
    for handler in logging.getLogger().handlers:
        with contextlib.suppress(OSError):
            handler.close()


def test_what_others_write_forges_no_line_and_steers_no_terminal() -> None:
    stream = Terminal()
    configure_logs("edge", stream=stream)
    structlog.get_logger().warning("alarm of \x1b]0;owned\x07 cam", text="a\n2026-11-25 all is well\r\x1b[2Jb\x9b1mc")
    logging.getLogger("other").warning("%s", "one\ntwo\u202e")
    try:
        raise ValueError("three\nlines")
    except ValueError:
        structlog.get_logger().exception("bad")
    lines = stream.getvalue().split("\n")
    assert "all is well" in lines[0]
    assert "one\\ntwo\\u202e" in lines[1]
    assert "Traceback" in stream.getvalue()
    assert not {"\x07", "\r", "\x9b", "\u202e"} & set(stream.getvalue())
    assert "\x1b]" not in stream.getvalue()
