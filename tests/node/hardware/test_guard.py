"""A library for another processor is told of, and ends no process but the child that tried it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node.doctor.loading import load_in_child
from node.errors import LibraryIllegal, ProcessorLacks
from node.hardware import guard
from node.hardware.builds import find_builds
from node.hardware.found import Builds, Processor
from node.hardware.guard import Library, ensure_loads, lacking, libraries

ROOT = Path(__file__).resolve().parents[3]
OLD = Processor(architecture="x86_64", model="Core 2", features=frozenset({"sse", "sse2", "ssse3", "cx16", "sse4_1"}))
NEW = Processor(architecture="x86_64", model="New", features=frozenset(libraries()["numpy"].x86_64))


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that counts its loads, and whose load ends by SIGILL as the wrong wheel's does."""
    count = tmp_path / "loads"
    (tmp_path / "dying_wheel.py").write_text(
        f"import os, signal\nopen({str(count)!r}, 'a').write('x')\nos.kill(os.getpid(), signal.SIGILL)\n"
    )
    (tmp_path / "sound_wheel.py").write_text(f"open({str(count)!r}, 'a').write('x')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    table = {
        "dying": Library(module="dying_wheel", distribution="none"),
        "sound": Library(module="sound_wheel", distribution="none"),
    }
    monkeypatch.setattr(guard, "libraries", lambda: table)
    return count


def test_a_processor_that_lacks_something_is_told_before_anything_is_loaded() -> None:
    assert lacking(libraries()["numpy"], OLD) == ("sse4_2", "popcnt")
    with pytest.raises(ProcessorLacks, match="numpy can't be loaded here: it needs sse4_2, popcnt, which Core 2"):
        ensure_loads(["numpy"], OLD)
    assert lacking(libraries()["numpy"], NEW) == ()


def test_a_processor_that_tells_nothing_lacks_nothing() -> None:
    assert lacking(libraries()["llama"], Processor(architecture="x86_64")) == ()


def test_a_child_that_dies_by_sigill_is_told_by_a_code(dying: Path) -> None:
    with pytest.raises(LibraryIllegal, match="Loading dying"):
        ensure_loads(["dying"], NEW)
    assert dying.read_text() == "x"


def test_a_good_verdict_is_kept_for_that_processor_and_a_bad_one_is_not(dying: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for _ in range(3):
        assert ensure_loads(["sound"], NEW, home) == ["sound"]
    assert dying.read_text() == "x"
    ensure_loads(["sound"], OLD, home)
    assert dying.read_text() == "xx"
    for _ in range(2):
        with pytest.raises(LibraryIllegal):
            ensure_loads(["dying"], NEW, home)
    assert dying.read_text() == "xxxx"


def test_a_damaged_verdict_is_no_verdict(dying: Path, tmp_path: Path) -> None:
    (tmp_path / "hardware").mkdir()
    (tmp_path / guard.VERDICTS).write_text('{"not": "a list"}')
    ensure_loads(["sound"], NEW, tmp_path)
    assert dying.read_text() == "x"


def test_what_is_not_installed_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "libraries", lambda: {"none": Library(module="no_such_module", distribution="none")})
    assert ensure_loads(["none"], NEW) == []


def test_the_doctor_tells_an_illegal_instruction_from_a_missing_library(dying: Path) -> None:
    with pytest.raises(LibraryIllegal):
        load_in_child("dying", "import dying_wheel", "")


def test_the_command_is_spared(dying: Path, tmp_path: Path) -> None:
    """As a user would meet it: numpy dies, and `kinflow agent` ends with a code instead of a signal."""
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    done = subprocess.run(
        [sys.executable, "-m", "kinflow", "agent", "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == LibraryIllegal.number
    assert done.stderr.startswith("KF189: Loading numpy")


def test_libraries_are_asked_in_children(dying: Path, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text(
        "print('hello')\ndef get_available_providers(): return ['CUDAExecutionProvider']\n"
    )
    (tmp_path / "llama_cpp.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    assert find_builds() == Builds(onnxruntime=("CUDAExecutionProvider",), llama_gpu=None)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_table_of_needs_is_what_a_processor_meets() -> None:
    """Real wheels on emulated processors: one that lacks what the table says dies by SIGILL, another does not."""
    qemu = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
    if qemu is None or os.uname().machine != "x86_64":
        pytest.skip("needs an x86-64 machine with qemu-user")
    for module in ("numpy", "cv2"):
        for cpu, well in (("core2duo", False), ("Nehalem", True)):
            done = subprocess.run(
                [qemu, "-cpu", cpu, sys.executable, "-c", f"import {module}"],
                capture_output=True,
                timeout=300,
                check=False,
            )
            assert (done.returncode == 0) is well, (module, cpu, done.stderr)
            assert guard.is_illegal(done.returncode) is not well
