"""docs/users/agent.md: every command on it is run as it stands there. What would serve until it is stopped is only
taken, with its arguments, as it stands there."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from kinflow.main import run as kinflow
from node.trust.join_code import JoinCode, encode
from tests.docs.user_page import commands, take

COMMANDS = commands("agent.md")
# These serve, or speak to a server: what they do is tested beside their code, here that they take these arguments.
SERVE = ("kinflow agent run", "kinflow calibrate", "kinflow edge", "kinflow join")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """A line of the page as arguments, with files of this test where it names a person's own."""
    (tmp_path / "id_ed25519.pub").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP5qjefi4fAR2fCoJwOqubqlbX1 me\n")
    clip = tmp_path / "road.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 90))
    for number in range(12):
        writer.write(np.full((90, 160, 3), 80 + number, np.uint8))
    writer.release()
    bootfs = tmp_path / "bootfs"
    bootfs.mkdir()
    (bootfs / "cmdline.txt").write_text("console=tty1\n")
    (bootfs / "config.txt").touch()
    monkeypatch.setenv("KINFLOW_WIFI_PASSWORD", "long enough")
    monkeypatch.chdir(tmp_path)
    own = {
        "CODE": encode(JoinCode(bytes(10), bytes(7))),
        "FILE": str(clip),
        "SOURCE": str(clip),
        "/media/you/bootfs": str(bootfs),
        "~/.ssh/id_ed25519.pub": str(tmp_path / "id_ed25519.pub"),
    }
    return lambda line: [own.get(word, word) for word in shlex.split(line)[1:]]


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("line", [one for one in COMMANDS if not one.startswith(SERVE)])
def test_it_runs(place: Callable[[str], list[str]], line: str) -> None:
    assert kinflow(place(line)) == 0


@pytest.mark.parametrize("line", [one for one in COMMANDS if one.startswith(SERVE)])
def test_it_is_taken(place: Callable[[str], list[str]], line: str) -> None:
    take(shlex.join(["kinflow", *place(line)]))
