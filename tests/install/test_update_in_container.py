"""The updater under its own unit's sandbox, in a Debian that boots its systemd in a container: on, and back twice.

The first version is installed by install.sh as root; from then on it is kinflow-update.service that works, started by
its path unit, as an edge server's wish starts it. The libraries are lent by this very environment, read-only, so that
nothing is fetched. See tests/install/roots.py for the command.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.update_world import PACKAGES, Maintainer
from firmware_configs.bundle.make import lay_out_installer
from node.update import bundle
from node.update.cli import machine_arch
from tests.install.roots import base_root, overlay, require

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PYTHON = "3.11"
CRASH = {"agent/run.py": "def run_agent(options):\n    raise SystemExit(3)"}
# What the kernel says of the updater while it works.
BOUNDS = {"CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Uid"}

SCRIPT = """
exec > /proof/out.log 2>&1
set -x
home=/var/lib/kinflow
as_kinflow() { setpriv --reuid kinflow --regid kinflow --init-groups -- "$@"; }
python() { as_kinflow env KINFLOW_HOME=$home /opt/kinflow/current/bin/python "$@"; }
say() { printf '%s\\n' "$2" > "/proof/said-$1"; }
# Asked as an edge server asks: a wish in a file, which the path unit sees.
ask() {
    python -c "from pathlib import Path; from node.update import request
request.ask(Path('$home/update/wanted'), request.Request($1))"
}
reports() {
    python -c "import json; from pathlib import Path; from node.update.health import read_reports
print(json.dumps({tier: one.version for tier, one in read_reports(Path('$home'), this_boot=False).items()}))"
}
until_over() {
    for _ in $(seq 400); do
        pid=$(systemctl show -P MainPID kinflow-update.service)
        if [ "$pid" != 0 ]; then
            grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp|Uid):' /proc/$pid/status > /proof/status.new &&
                mv /proof/status.new "/proof/status-$1"
            # What it may write to, by its own mounts.
            nsenter --target "$pid" --mount sh -c 'for one in /usr /etc /var/lib/kinflow /opt/kinflow/versions; do
                touch -c $one 2> /dev/null && echo "$one rw" || echo "$one ro"; done' > "/proof/mounts-$1"
        elif [ ! -e $home/update/wanted ] && kinflow update status --json > "/proof/status-$1.json" &&
            grep -q '"phase": "idle"' "/proof/status-$1.json"; then
            break
        fi
        sleep 0.5
    done
    version=$(basename "$(readlink /opt/kinflow/current)")
    for _ in $(seq 90); do
        reports > "/proof/reports-$1" && [ "$(grep -o "\"$version\"" "/proof/reports-$1" | wc -l)" = 2 ] && break
        sleep 1
    done
    readlink /opt/kinflow/current > "/proof/current-$1"
    ls /opt/kinflow/versions > "/proof/versions-$1"
}
bash /usb/install.sh --yes edge; say edge $?
bash /usb/install.sh --yes agent --camera $home/clip.avi; say agent $?
install -o kinflow -g kinflow -m 600 /proof/clip.avi $home/clip.avi
printf '\\n[update]\\ngate_s = 3.0\\ntrial_s = 150.0\\nkeep_previous = true\\n' >> $home/kinflow.toml
for _ in $(seq 120); do
    kinflow edge devices --json | grep -q '"online"' && { say online yes; break; }
    sleep 1
done
cat $home/kinflow.toml
ask "source='/releases/good'"; until_over good
ask "source='/releases/bad'"; until_over bad
ask "action='rollback'"; until_over back
systemctl is-failed 'kinflow-*' > /proof/failed
journalctl -u kinflow-update -u kinflow-restart --no-pager > /proof/journal
systemctl show kinflow-update.service -p Result -p ExecMainStatus > /proof/result
say done yes
"""


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    folder = tmp_path / "proof"
    folder.mkdir()
    writer = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 180))
    for number in range(40):
        writer.write(np.full((180, 320, 3), 100 + number, np.uint8))
    writer.release()
    (folder / "run.sh").write_text(SCRIPT)
    return folder


def releases(folder: Path, repository: Path) -> None:
    """usb: version 1.0 with its installer and the maintainers' root. good, bad: sources whose current version works and
    does not."""
    maintainer = Maintainer(folder / "maintainer", (*PACKAGES, "edge_server"))
    made = maintainer.bundle("1.0")
    lay_out_installer(repository, made)
    (made / "system" / "root.json").write_bytes(maintainer.root)
    (made / bundle.MANIFEST).unlink()
    manifest = bundle.describe(made, "1.0", machine_arch(), "2026-01-02T03:04:05Z", (PYTHON,))
    (made / bundle.MANIFEST).write_bytes(bundle.encode(manifest))
    shutil.copytree(made, folder / "usb")
    for name, version, patches in (("good", "1.1", None), ("bad", "1.2", CRASH)):
        maintainer.release(version, patches)
        shutil.copytree(maintainer.public, folder / "releases" / name)


def test_the_updater_works_within_its_units_sandbox(tmp_path: Path, repository: Path, proof: Path) -> None:
    require("debootstrap", "systemd-nspawn")
    if sysconfig.get_python_version() != PYTHON:
        pytest.skip(f"the container's Python is {PYTHON}; its libraries are lent by this one")
    (tmp_path / "made").mkdir()
    releases(tmp_path / "made", repository)
    with overlay(base_root("amd64"), tmp_path / "overlay") as root:
        unit = root / "etc" / "systemd" / "system" / "proof.service"
        unit.write_text(
            "[Service]\nType=oneshot\nExecStart=/bin/bash /proof/run.sh\nTimeoutStartSec=1500\n"
            "ExecStopPost=/bin/systemctl --no-block poweroff\n[Unit]\nAfter=multi-user.target\n"
        )
        wanted = unit.parent / "graphical.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / unit.name).symlink_to("../proof.service")
        lent = sysconfig.get_paths()["purelib"]
        command = ["systemd-nspawn", f"--directory={root}", "--machine=kinflow-update-proof", "--boot"]
        command += ["--private-network", "--register=no", "--keep-unit", f"--bind={proof}:/proof"]
        command += [f"--bind-ro={tmp_path}/made/usb:/usb", f"--bind-ro={tmp_path}/made/releases:/releases"]
        done = subprocess.run([*command, f"--bind-ro={lent}"], capture_output=True, timeout=1700, check=False)
    if not (proof / "out.log").exists():
        pytest.skip(f"a container with systemd does not boot here: {done.stderr[-300:]!r}")

    def read(name: str) -> str:
        path = proof / name
        return path.read_text(errors="replace").strip() if path.exists() else ""

    log = read("out.log")[-6000:] + read("journal")[-4000:]
    assert (read("said-edge"), read("said-agent"), read("said-online"), read("said-done")) == (
        "0",
        "0",
        "yes",
        "yes",
    ), log
    ends = {name: json.loads(read(f"status-{name}.json")) for name in ("good", "bad", "back")}
    assert (ends["good"]["version"], ends["good"]["last"]["result"]) == ("1.1", "committed"), log
    assert (ends["bad"]["version"], ends["bad"]["last"]["result"]) == ("1.1", "rolled-back"), log
    assert ends["bad"]["last"]["reason"]["code"] == "crashed"
    assert (ends["back"]["version"], ends["back"]["last"]["reason"]["code"]) == ("1.0", "operator"), log
    for name, version in (("good", "1.1"), ("bad", "1.1"), ("back", "1.0")):
        assert read(f"current-{name}") == f"versions/{version}"
        assert json.loads(read(f"reports-{name}")) == {"agent": version, "edge": version}, log
        status = dict(line.split(":\t") for line in read(f"status-{name}").splitlines())
        assert status.keys() == BOUNDS, log
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert read(f"mounts-{name}").splitlines() == [
            "/usr ro",
            "/etc ro",
            "/var/lib/kinflow rw",
            "/opt/kinflow/versions rw",
        ]
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert "0" not in status["Uid"].split()
    assert read("versions-good").split() == ["1.0", "1.1"]
    assert read("versions-bad").split() == ["1.0", "1.1"]
    assert read("versions-back").split() == ["1.0"]
    assert "failed" not in read("failed"), log
    assert read("result").splitlines() == ["Result=success", "ExecMainStatus=0"]
