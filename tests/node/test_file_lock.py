"""A lock beside a file keeps a second process out, and ends with its holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from node.errors import StateInUse
from node.file_lock import hold_state

ROOT = Path(__file__).parent.parent.parent
HOLDER = (
    "import sys, time; from pathlib import Path; from node.file_lock import hold_state\n"
    "lock = hold_state(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)\n"
)


def test_it_is_held_by_one_and_free_again_when_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "edge.db"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StateInUse, match="KF53"):
            hold_state(path)
        holder.kill()
        holder.wait()
        hold_state(path).close()


def test_two_paths_are_two_locks(tmp_path: Path) -> None:
    with hold_state(tmp_path / "a"), hold_state(tmp_path / "b"):
        pass
    hold_state(tmp_path / "a").close()
