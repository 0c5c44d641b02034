"""Run pip and compilers: quiet while they work, their last words when they fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

KEPT_CHARACTERS = 600


class ToolFailed(Exception):
    """str() of it is the end of what the tool said."""


def run(command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Raises ToolFailed."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except OSError as error:
        raise ToolFailed(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        said = " ".join(line.strip() for line in done.stdout.splitlines() if line.strip())
        raise ToolFailed(said[-KEPT_CHARACTERS:] or f"{command[0]} ended with status {done.returncode}")


def pip(*arguments: str) -> list[str]:
    """A pip command of this environment's pip."""
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
