"""install.sh agent|edge|cloud from a bundle, for real, below a folder that stands for the root of a machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.config.load import load
from node.update.bundle import pack
from tests.install.tiny_bundle import HERE, PYTHON, make_bundle

pytestmark = pytest.mark.timeout(120)


@dataclass
class Ground:
    """root: where everything is installed below. bundle: what is installed."""

    root: Path
    bundle: Path

    def environment(self, **more: str) -> dict[str, str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("KINFLOW", "PIP_", "PYTHON"))
        }
        return {**clean, "KINFLOW_PREFIX": str(self.root), "KINFLOW_PYTHON": sys.executable, **more}

    def run(self, *arguments: str, script: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script or self.bundle / "install.sh", *arguments],
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    @property
    def prefix(self) -> Path:
        return self.root / "opt" / "kinflow"

    @property
    def launcher(self) -> Path:
        return self.prefix / "bin" / "kinflow"

    @property
    def state(self) -> Path:
        return self.root / "var" / "lib" / "kinflow"

    def call(self, *arguments: str) -> str:
        """By the launcher; a person's PYTHONPATH is set, and must not count."""
        environment = self.environment(PYTHONPATH=str(Path(__file__).parent.parent.parent))
        command = [self.launcher, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def version(self) -> str:
        return self.call("--version").strip()

    def files(self) -> dict[str, int]:
        return {str(one): one.lstat().st_mtime_ns for one in self.root.rglob("*") if not one.is_dir()}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    return make_bundle(tmp_path_factory.mktemp("usb"), repository)


@pytest.fixture
def ground(tmp_path: Path, bundle: Path) -> Ground:
    (tmp_path / "root").mkdir()
    return Ground(tmp_path / "root", bundle)


def test_an_agent_from_first_to_last(ground: Ground) -> None:
    """Installed, installed again, a second tier beside it, then one after the other uninstalled: only data is left."""
    done = ground.run("agent", "--camera", '/dev/"odd', "--edge", "closet.lan", "--join", "AB12")
    assert done.returncode == 0, done.stderr
    assert re.search(r"MB of the \d+ MB that are free", done.stdout)
    assert "joined AB12 --edge closet.lan --wait" in done.stdout
    assert ground.version() == "kinflow 9.8.7"
    assert os.readlink(ground.prefix / "current") == "versions/9.8.7"
    assert ground.call("agent", "run").split() == [str(ground.state), "agent", "run"]
    settings = ground.state / "kinflow.toml"
    assert 'source = "/dev/\\"odd"' in settings.read_text()
    assert settings.stat().st_mode & 0o077 == 0
    units = {one.name: one.read_text() for one in (ground.root / "etc/systemd/system").iterdir()}
    assert "kinflow-agent.service" in units
    assert "kinflow-edge.service" not in units
    assert not [name for name, text in units.items() if re.search(r"@[A-Z]+@", text)]
    assert f"ExecStart={ground.launcher} agent run" in units["kinflow-agent.service"]

    before = ground.files()
    again = ground.run("agent")
    assert again.returncode == 0, again.stderr
    assert "It is there." in again.stdout
    changed = {one for one, at in ground.files().items() if before.get(one) != at}
    assert not changed

    assert ground.run("edge").returncode == 0
    assert "edge controller run" in (ground.root / "etc/systemd/system/kinflow-controllers.service").read_text()
    text = settings.read_text()
    assert text.count("[[agent.cameras]]") == 1
    settled = load(ground.state, environment={}).settings
    assert (settled.edge.host, settled.edge.allow_lan) == ("0.0.0.0", True)
    assert settled.agent.cameras[0].source == '/dev/"odd'

    installed = ground.prefix / "bin" / "install.sh"
    first = ground.run("uninstall", "agent", script=installed)
    assert "kinflow-edge stays" in first.stdout
    assert ground.version() == "kinflow 9.8.7"
    last = ground.run("uninstall", script=installed)
    assert last.returncode == 0, last.stderr
    assert f"Your data stays in {ground.state}" in last.stdout
    assert {one.parent for one in ground.root.rglob("*") if not one.is_dir()} == {ground.state}
    # Without a person to ask, data is removed only where --yes says so.
    assert ground.run("uninstall", "all", "--purge").returncode == 0
    assert ground.state.is_dir()
    assert ground.run("--yes", "uninstall", "all", "--purge").returncode == 0
    assert not [one for one in ground.root.rglob("*") if not one.is_dir()]


def test_ctrl_c_at_several_moments_and_the_same_command_goes_on(ground: Ground) -> None:
    """Each run is interrupted a little later than the one before it, the last one not at all."""
    for moment in ("[1/6", "[4/6", "Installing collected"):
        process = subprocess.Popen(
            [ground.bundle / "install.sh", "agent"],
            env=ground.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        with process:
            assert process.stdout is not None
            assert any(moment in line for line in process.stdout)
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode == 130
        assert not (ground.prefix / "current").exists()
    done = ground.run("agent")
    assert done.returncode == 0, done.stderr
    assert "begun anew" in done.stdout
    assert ground.version() == "kinflow 9.8.7"


def test_a_newer_bundle_is_switched_to_and_one_older_version_is_kept(ground: Ground) -> None:
    """Below a prefix of one's own, which the installer that lies in it knows by itself."""
    prefix = ground.root / "srv" / "kinflow"
    for version in ("1.0.0", "2.0.0"):
        (prefix / "versions" / version / "bin").mkdir(parents=True)
    (prefix / "current").symlink_to("versions/2.0.0")
    done = ground.run("agent", "--prefix", "/srv/kinflow")
    assert done.returncode == 0, done.stderr
    assert os.readlink(prefix / "current") == "versions/9.8.7"
    assert sorted(one.name for one in (prefix / "versions").iterdir()) == ["2.0.0", "9.8.7"]
    assert not ground.prefix.exists()
    assert ground.run("uninstall", script=prefix / "bin" / "install.sh").returncode == 0
    assert not prefix.exists()


def test_a_usb_folder_with_several_bundles(ground: Ground, tmp_path: Path, repository: Path) -> None:
    """The newest for this machine is taken, here from its tar."""
    usb = tmp_path / "usb"
    for version in ("9.9.0", "9.10.0"):
        made = make_bundle(usb, repository, version)
        pack(made, usb / f"{made.name}.tar")
        shutil.rmtree(made)
    make_bundle(usb, repository, "11.0.0", arch="x86_64" if HERE == "arm64" else "arm64")
    done = ground.run("--dry-run", "agent", "--from", str(usb))
    assert done.returncode == 0, done.stderr
    assert "Kinflow 9.10.0 from" in done.stdout
    # An edge server takes those of its own version along for its devices, and nothing is left half copied.
    assert ground.run("edge", "--from", str(usb)).returncode == 0
    kept = [one.name for one in (ground.state / "bundles").iterdir()]
    assert kept == [f"kinflow-9.10.0-{HERE}.tar"]


@pytest.mark.parametrize("command", [("agent",), ("edge",), ("cloud",), ("uninstall", "all")])
def test_dry_run_changes_nothing(ground: Ground, command: tuple[str, ...]) -> None:
    done = ground.run("--dry-run", *command)
    assert done.returncode == 0, done.stderr
    assert not list(ground.root.iterdir())


def spoil_byte(bundle: Path) -> None:
    wheel = next(bundle.glob("wheels/kinflow-*"))
    data = bytearray(wheel.read_bytes())
    data[len(data) // 2] ^= 1
    wheel.write_bytes(data)


def spoil_missing(bundle: Path) -> None:
    next(bundle.glob("wheels/kinflow-*")).unlink()


def spoil_extra(bundle: Path) -> None:
    (bundle / "wheels" / "kinflow-99-py3-none-any.whl").write_bytes(b"")


def spoil_link(bundle: Path) -> None:
    wheel = next(bundle.glob("wheels/kinflow-*"))
    wheel.rename(bundle.parent / "elsewhere.whl")
    wheel.symlink_to(bundle.parent / "elsewhere.whl")


def spoil_path(bundle: Path) -> None:
    listed = json.loads((bundle / "bundle.json").read_text())
    listed["files"][0]["path"] = "../outside"
    (bundle / "bundle.json").write_text(json.dumps(listed))


def spoil_version(bundle: Path) -> None:
    listed = json.loads((bundle / "bundle.json").read_text())
    listed["version"] = "../../etc"
    (bundle / "bundle.json").write_text(json.dumps(listed))


def spoil_json(bundle: Path) -> None:
    (bundle / "bundle.json").write_text("[1, 2")


@pytest.mark.parametrize(
    "spoil", [spoil_byte, spoil_missing, spoil_extra, spoil_link, spoil_path, spoil_version, spoil_json]
)
def test_a_damaged_bundle_installs_nothing(
    ground: Ground, tmp_path: Path, repository: Path, spoil: Callable[[Path], None]
) -> None:
    ground.bundle = make_bundle(tmp_path / "usb", repository)
    spoil(ground.bundle)
    done = ground.run("agent")
    assert done.returncode == 242
    assert "KF242" in done.stderr
    assert not list(ground.root.iterdir())


def test_bundles_for_another_machine(ground: Ground, tmp_path: Path, repository: Path) -> None:
    other = make_bundle(tmp_path / "other", repository, arch="x86_64" if HERE == "arm64" else "arm64")
    wrong_machine = ground.run("agent", script=other / "install.sh")
    assert (wrong_machine.returncode, "KF243" in wrong_machine.stderr) == (243, True)
    old = make_bundle(tmp_path / "old", repository, python="3.99")
    wrong_python = ground.run("agent", script=old / "install.sh")
    assert (wrong_python.returncode, "KF244" in wrong_python.stderr) == (244, True)
    assert f"--python {PYTHON}" in wrong_python.stderr
    nothing = ground.run("agent", "--from", str(tmp_path))
    assert (nothing.returncode, "KF241" in nothing.stderr) == (241, True)
    alone = shutil.copy(ground.bundle / "install.sh", tmp_path / "install.sh")
    assert ground.run("agent", script=alone).returncode == 241
    assert not list(ground.root.iterdir())


def test_a_bundle_without_the_tier_is_told_before_anything_points_at_it(
    ground: Ground, tmp_path: Path, repository: Path
) -> None:
    ground.bundle = make_bundle(tmp_path / "usb", repository, tiers=("agent",))
    done = ground.run("edge")
    assert done.returncode == 242
    assert "--tier edge" in done.stderr
    assert not (ground.prefix / "current").exists()


PI_4 = "Features\t: fp asimd evtstrm crc32 cpuid\n"
PI_5 = "Features\t: fp asimd evtstrm aes pmull asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
OLD_PC = "flags\t\t: fpu sse4_1 sse4_2 popcnt avx\n"
NEW_PC = "flags\t\t: fpu sse4_1 sse4_2 avx avx2 fma f16c bmi2\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "chosen"),
    [
        ("aarch64", PI_4, "armv8-a"),
        ("aarch64", PI_5, "armv8.2-a+dotprod"),
        ("aarch64", "", "armv8-a"),
        ("x86_64", OLD_PC, "x86-64-v2"),
        ("x86_64", NEW_PC, "x86-64-v3"),
        ("x86_64", "flags\t\t: fpu sse2\n", None),
    ],
)
def test_the_build_of_llama_that_this_processor_can_run(  # noqa: PLR0917
    ground: Ground, tmp_path: Path, repository: Path, machine: str, cpuinfo: str, chosen: str | None
) -> None:
    arch, variants = {
        "aarch64": ("arm64", ("armv8-a", "armv8.2-a+dotprod")),
        "x86_64": ("x86_64", ("x86-64-v2", "x86-64-v3")),
    }[machine]
    ground.bundle = make_bundle(tmp_path / "usb", repository, arch=arch, variants=variants)
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    uname = tmp_path / "bin" / "uname"
    uname.parent.mkdir()
    uname.write_text(f"#!/bin/sh\necho {machine}\n")
    uname.chmod(0o755)
    done = ground.run(
        *("--dry-run", "agent"),
        PATH=f"{uname.parent}:{os.environ['PATH']}",
        KINFLOW_CPUINFO=str(tmp_path / "cpuinfo"),
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"llama\.cpp for (\S+)", done.stdout)
    assert found == ([] if chosen is None else [chosen])


@pytest.mark.parametrize(
    "arguments",
    [
        ("agent", "now"),
        ("agent", "--from"),
        ("agent", "--join"),
        ("agent", "--prefix", "relative"),
        ("agent", "--prefix", "/"),
        ("edge", "--prefix", "/opt/$(id)"),
        ("uninstall", "everything"),
    ],
)
def test_a_wrong_call_ends_with_2(ground: Ground, arguments: tuple[str, ...]) -> None:
    done = ground.run(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert not list(ground.root.iterdir())
