"""The supervisor, with real processes that are really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from node import supervisor as module
from node.errors import ProcessNotReady
from node.supervisor import Child, Supervisor

# Writes its pid to a file and sleeps; "stubborn" ignores SIGTERM.
SLEEPER = """
import os, pathlib, signal, sys, time
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
with pathlib.Path(sys.argv[1]).open("a") as file: file.write(f"{os.getpid()}\\n")
print("awake", flush=True)
time.sleep(60)
"""


def sleeper(folder: Path, name: str, *words: str, restart: bool = False) -> Child:
    path = folder / f"{name}.pid"
    command = (sys.executable, "-c", SLEEPER, str(path), *words)
    return Child(name, command, ready=lambda: path.exists() and path.read_text().endswith("\n"), restart=restart)


def pids(folder: Path, name: str) -> list[int]:
    path = folder / f"{name}.pid"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def in_background(step: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=step)
    thread.start()
    return thread


def test_children_start_in_order_and_end_on_a_signal(tmp_path: Path) -> None:
    group = Supervisor([sleeper(tmp_path, "a"), sleeper(tmp_path, "b")], logs=tmp_path / "logs")
    seen: list[int] = []

    def on_ready() -> None:
        seen.extend([*pids(tmp_path, "a"), *pids(tmp_path, "b")])
        assert all(alive(pid) for pid in seen)
        os.kill(os.getpid(), signal.SIGTERM)

    assert group.run(on_ready) == 0
    assert len(seen) == 2
    assert not any(alive(pid) for pid in seen)
    assert (tmp_path / "logs" / "a.log").read_text() == "awake\n"


def test_a_stubborn_child_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TERM_PATIENCE_S", 0.3)
    group = Supervisor([sleeper(tmp_path, "a", "stubborn")], logs=tmp_path)
    assert group.run(group.stop) == 0
    assert not alive(pids(tmp_path, "a")[0])


def test_the_end_of_a_child_that_may_not_end_ends_the_group(tmp_path: Path) -> None:
    group = Supervisor([sleeper(tmp_path, "a"), sleeper(tmp_path, "b")], logs=tmp_path)
    assert group.run(lambda: os.kill(pids(tmp_path, "b")[0], signal.SIGKILL)) == 1
    assert not alive(pids(tmp_path, "a")[0])


def test_a_killed_child_is_restarted(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    group = Supervisor([sleeper(tmp_path, "a", restart=True)], logs=tmp_path)

    def kill_and_wait() -> None:
        os.kill(pids(tmp_path, "a")[0], signal.SIGKILL)
        wait_until(lambda: len(pids(tmp_path, "a")) == 2)
        group.stop()

    background: list[threading.Thread] = []
    assert group.run(lambda: background.append(in_background(kill_and_wait))) == 0
    background[0].join()
    first, second = pids(tmp_path, "a")
    assert not alive(first)
    assert not alive(second)


def test_a_child_that_ends_before_it_is_ready_is_a_clear_error(tmp_path: Path) -> None:
    broken = Child("broken", (sys.executable, "-c", "raise SystemExit(3)"), ready=lambda: False)
    with pytest.raises(ProcessNotReady, match="status 3"):
        Supervisor([sleeper(tmp_path, "a"), broken], logs=tmp_path).run()
    assert not alive(pids(tmp_path, "a")[0])


def test_a_child_that_is_never_ready_is_a_clear_error(tmp_path: Path) -> None:
    never = Child("never", (sys.executable, "-c", "import time; time.sleep(60)"), lambda: False, ready_timeout_s=0.2)
    with pytest.raises(ProcessNotReady, match="not ready within"):
        Supervisor([never], logs=tmp_path).run()


def test_what_a_child_leaves_behind_ends_too(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    parent = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]]).wait()"
    path = tmp_path / "grandchild.pid"
    child = Child("parent", (sys.executable, "-c", parent, str(path), SLEEPER), lambda: bool(pids(tmp_path, path.stem)))
    group = Supervisor([child], logs=tmp_path)

    def kill_the_parent() -> None:
        os.kill(psutil.Process(pids(tmp_path, "grandchild")[0]).ppid(), signal.SIGKILL)

    assert group.run(kill_the_parent) == 1
    wait_until(lambda: not alive(pids(tmp_path, "grandchild")[0]))


def test_no_orphan_when_the_supervisor_is_killed(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    source = (
        "import sys; from pathlib import Path; from node.supervisor import Child, Supervisor\n"
        "folder, code = Path(sys.argv[1]), sys.argv[2]\n"
        "children = [Child(n, (sys.executable, '-c', code, str(folder / f'{n}.pid'))) for n in ('a', 'b')]\n"
        "Supervisor(children, logs=folder).run()\n"
    )
    supervising = subprocess.Popen(
        [sys.executable, "-c", source, str(tmp_path), SLEEPER], cwd=Path(module.__file__).parent.parent
    )
    wait_until(lambda: pids(tmp_path, "a") and pids(tmp_path, "b"))
    children = pids(tmp_path, "a") + pids(tmp_path, "b")
    assert all(alive(pid) for pid in children)
    supervising.kill()
    supervising.wait()
    wait_until(lambda: not any(alive(pid) for pid in children))


def test_a_log_is_kept_below_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_LIMIT_BYTES", 1_000)
    begin = tmp_path / "begin"
    code = f"""
import time
from pathlib import Path
while not Path({str(begin)!r}).exists():
    time.sleep(0.01)
for n in range(500):
    print(f"line {{n:04}}")
"""

    def ready() -> bool:
        begin.touch()  # it says all at once, and ends
        return True

    chatty = Child("chatty", (sys.executable, "-c", code), ready)
    assert Supervisor([chatty], logs=tmp_path).run() == 1
    log, older = tmp_path / "chatty.log", tmp_path / "chatty.log.1"
    assert log.stat().st_size <= 1_000
    assert older.stat().st_size <= 1_000
    assert log.read_text().endswith("line 0499\n")
