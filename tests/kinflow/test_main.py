from __future__ import annotations

import importlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from kinflow import main as command
from kinflow.mounts import MOUNTS, Mount
from kinflow.outcome import guarded
from node.errors import EdgeRefused
from protocol.errors import InvalidId

TOOL = """
import os, sys, time
import typer
from protocol.errors import InvalidId

app = typer.Typer()

@app.command()
def alone(count: int = 1):
    print("alone", count)

def single(word: str = "x"):
    print("single", word)

def refuse():
    raise InvalidId(text="A B", kind="camera")

def break_down():
    raise RuntimeError("rtsp://admin:hunter2@camera went away")

def status():
    return 16

def wait():
    print("waiting", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A part with a command of every kind, mounted under names of its own."""
    (tmp_path / "a_tool.py").write_text(TOOL)
    monkeypatch.syspath_prepend(tmp_path)
    attributes = ["app", "single", "refuse", "break_down", "status"]
    monkeypatch.setattr(command, "MOUNTS", {name: Mount("a_tool", name, f"Does {name}.") for name in attributes})


BUSY_TOOL = """
import threading
import cv2
import numpy

picture = numpy.zeros((2000, 2000, 3), numpy.uint8)
looked = threading.Event()

def look():
    while True:
        cv2.GaussianBlur(picture, (31, 31), 3.0)
        looked.set()

def blur():
    for _ in range(3):
        threading.Thread(target=look, daemon=True).start()
    looked.wait(30)
    print("said before the end")
    return 7
"""


def test_help_lists_each_command_once_in_one_line(tool: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("app", "single", "refuse"):
        assert [line for line in lines if line.strip().startswith(name)] == [f"  {name:<16}Does {name}."]


def test_what_is_not_installed_is_not_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mounts = {"here": Mount("json", "x", "Here."), "gone": Mount("no_such_package.cli", "x", "Gone.")}
    monkeypatch.setattr(command, "MOUNTS", mounts)
    command.run([])
    out = capsys.readouterr().out
    assert "here" in out
    assert "gone" not in out


def test_every_mount_leads_to_a_command() -> None:
    for name, mount in MOUNTS.items():
        assert callable(getattr(importlib.import_module(mount.module), mount.attribute)), name


def test_a_group_of_one_command_stays_a_group(tool: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["app", "alone", "--count", "3"]) == 0
    assert capsys.readouterr().out == "alone 3\n"


def test_a_function_is_a_command(tool: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["single", "--word", "y"]) == 0
    assert capsys.readouterr().out == "single y\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["singel"], "Did you mean 'single'?"),
        (["--verbose"], "no option '--verbose'"),
        (["single", "--wrod", "y"], "--wrod"),
    ],
)
def test_a_wrong_call_ends_with_2(
    tool: None, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert command.run(arguments) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.out == ""


def test_an_error_of_the_catalogue_is_told_in_two_lines(tool: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["refuse"]) == InvalidId.number
    first, second = capsys.readouterr().err.splitlines()
    assert first == "KF10: 'A B' is not a valid camera."
    assert second.startswith("What to do: Use 1 to 63")


def test_a_returned_number_is_the_exit_status(tool: None) -> None:
    assert command.run(["status"]) == 16


def test_a_fault_is_kept_without_its_secrets(tool: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["break_down"]) == 1
    err = capsys.readouterr().err
    log = Path(os.environ["KINFLOW_HOME"]) / "log" / "faults.log"
    assert "Traceback" not in err
    assert "RuntimeError" in err
    assert str(log) in err
    assert "Traceback" in log.read_text()
    assert "hunter2" not in err + log.read_text()


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_debug_shows_the_traceback(
    tool: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "variable":
        monkeypatch.setenv("KINFLOW_DEBUG", "1")
    assert command.run(["--debug", "break_down"] if by == "flag" else ["break_down"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert guarded(interrupted) == 130


def test_ctrl_c_ends_a_real_process_with_130_and_no_traceback(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "a_tool.py").write_text(TOOL)
    code = (
        "from kinflow import main as command; from kinflow.mounts import Mount\n"
        "command.MOUNTS = {'wait': Mount('a_tool', 'wait', 'Waits.')}\n"
        "command.main(['wait'])"
    )
    environment = {**os.environ, "PYTHONPATH": f"{repository}:{tmp_path}"}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_command_ends_with_its_status_while_a_thread_is_in_a_library(tmp_path: Path, repository: Path) -> None:
    """As a camera's thread is: Python's own end of a thread inside OpenCV is an abort."""
    (tmp_path / "a_tool.py").write_text(BUSY_TOOL)
    code = (
        "import sys; from kinflow import main as command; from kinflow.mounts import Mount\n"
        "command.MOUNTS = {'blur': Mount('a_tool', 'blur', 'Blurs.')}\n"
        "sys.argv = ['kinflow', 'blur']; command.main()"
    )
    environment = {**os.environ, "PYTHONPATH": f"{repository}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (7, "said before the end\n"), done.stderr


def test_help_imports_no_tier(repository: Path) -> None:
    code = (
        "import sys; from kinflow.main import run; run(['--help'])\n"
        "heavy = {'typer', 'cv2', 'fastapi', 'numpy', 'paho', 'msgspec'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away_is_no_fault(repository: Path) -> None:
    code = "from kinflow.outcome import guarded\nguarded(lambda: print('x' * 1_000_000))"
    done = subprocess.run(
        f"{sys.executable!s} -c \"{code}\" | head -c 1",
        shell=True, cwd=repository, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_by_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        Path("/dev/full").write_bytes(b"x")

    def store() -> None:
        connection = sqlite3.connect(":memory:")
        try:
            connection.execute("PRAGMA max_page_count = 1")
            connection.execute("CREATE TABLE t (a)")
        finally:
            connection.close()

    for fill in (write, store):
        assert guarded(fill) == 50
        told = capsys.readouterr().err
        assert told.startswith("KF50: ")
        assert "fault of its own" not in told


def test_an_error_of_the_other_sides_words_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever answers in an edge server's place chooses these words."""

    def refused() -> None:
        raise EdgeRefused(refusal="KF1", detail="\x1b[2J\x1b]0;x\x07no", remedy="a\nKF0: all is well")

    guarded(refused)
    said = capsys.readouterr().err
    assert "\\x1b[2J" in said
    assert "\x1b" not in said
    assert len(said.splitlines()) == 2
