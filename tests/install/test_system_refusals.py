"""What install.sh says to machines that can't do it, or not yet: before anything is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.install.tiny_bundle import make_bundle

UBUNTU_22 = 'ID=ubuntu\nVERSION_ID="22.04"\n'
DEBIAN_11 = 'ID=debian\nVERSION_ID="11"\n'
DEBIAN_12 = 'ID=debian\nVERSION_ID="12"\n'


class Machine:
    """A system with tools of ours in front of its own, and a bundle."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.root, self._tools, self._release = folder / "root", folder / "tools", folder / "os-release"
        self.root.mkdir()
        self._tools.mkdir()
        self._script = make_bundle(folder / "usb", repository, python="3.11") / "install.sh"
        self.tool("apt-cache", "exit 0")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("KINFLOW", "PYTHON"))},
            "PATH": f"{self._tools}:{os.environ['PATH']}",
            "KINFLOW_PREFIX": str(self.root),
            "KINFLOW_OS_RELEASE": str(self._release),
        }

    def tool(self, name: str, body: str) -> Path:
        path = self._tools / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def old_python(self) -> None:
        """Reads a bundle, as Python 3.10 does, and is too old for all else."""
        body = f'case "$*" in *"(3, 11)"*) exit 0 ;; *) exec {sys.executable} "$@" ;; esac'
        self.environment["KINFLOW_PYTHON"] = str(self.tool("python3.10", body))

    def install(self, *arguments: str, release: str = DEBIAN_12) -> subprocess.CompletedProcess[str]:
        self._release.write_text(release)
        done = subprocess.run(
            [self._script, "--dry-run", *arguments, "agent"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=25,
            check=False,
        )
        assert not [one for one in self.root.rglob("*") if one.name != "nv_tegra_release" and not one.is_dir()]
        return done


@pytest.fixture
def machine(tmp_path: Path, repository: Path) -> Machine:
    return Machine(tmp_path, repository)


def test_ubuntu_22_is_offered_a_newer_python_beside_its_own(machine: Machine) -> None:
    machine.old_python()
    done = machine.install(release=UBUNTU_22)
    assert done.returncode == 0, done.stderr
    assert "beside it from the deadsnakes archive, which is not Ubuntu's own" in done.stdout
    assert "+ add-apt-repository --yes ppa:deadsnakes/ppa" in done.stdout
    assert "python3.11 python3.11-venv" in done.stdout


def test_the_systems_own_archive_comes_first(machine: Machine) -> None:
    machine.old_python()
    machine.tool("apt-cache", "echo '  Candidate: 3.11.0~rc1-1~22.04'")
    done = machine.install(release=UBUNTU_22)
    assert done.returncode == 0, done.stderr
    assert "deadsnakes" not in done.stdout
    assert "/usr/bin/python3.11 -I -m venv" in done.stdout


@pytest.mark.parametrize(("arguments", "release"), [(("--no-apt",), UBUNTU_22), ((), DEBIAN_11)])
def test_where_no_newer_python_can_come_from_it_says_what_is_needed(
    machine: Machine, arguments: tuple[str, ...], release: str
) -> None:
    machine.old_python()
    done = machine.install(*arguments, release=release)
    assert done.returncode == 34
    assert "python3.11-venv" in done.stderr
    assert ".deb" in done.stderr


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the bundle of this test is for 3.11")
def test_a_jetson_is_told_that_it_runs_on_its_cpu(machine: Machine) -> None:
    (machine.root / "etc").mkdir()
    (machine.root / "etc" / "nv_tegra_release").write_text("# R36 (release), REVISION: 3.0\n")
    machine.environment["KINFLOW_PYTHON"] = sys.executable
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert "runs on its CPU" in done.stdout


@pytest.mark.parametrize(("tool", "body"), [("getconf", "echo 32"), ("uname", "echo riscv64")])
def test_processors_and_systems_that_it_does_not_run_on(machine: Machine, tool: str, body: str) -> None:
    machine.tool(tool, body)
    done = machine.install()
    assert done.returncode == 243
    assert "KF243" in done.stderr


def test_too_little_room_is_told_before_anything_is_changed(machine: Machine) -> None:
    machine.environment["KINFLOW_PYTHON"] = sys.executable
    machine.tool("df", "printf 'Filesystem\\n/dev/x 1000000 900000 100000 90%% /\\n'")
    done = machine.install()
    assert done.returncode == (35 if sys.version_info[:2] == (3, 11) else 244)


def test_who_is_not_root_and_has_no_sudo(repository: Path) -> None:
    """As another user than root, without a prefix: refused, and nothing is looked at before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        script = make_bundle(folder, repository) / "install.sh"
        tools = folder / "tools"
        tools.mkdir()
        for tool in ("bash", "readlink", "dirname", "cat", "env"):
            (tools / tool).symlink_to(str(shutil.which(tool)))
        setpriv = str(shutil.which("setpriv"))
        as_nobody = [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*as_nobody, tools / "bash", script, "agent"],
            env={"PATH": str(tools)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=25,
            check=False,
        )
    assert done.returncode == 240, done.stdout
    assert "sudo ./install.sh agent" in done.stderr
