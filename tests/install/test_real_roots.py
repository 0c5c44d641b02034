"""install.sh on real Debian systems, without a network, from a real bundle, to an agent that runs and is heard.

An amd64 system boots with its own systemd in a container; an arm64 one runs in a chroot, its programs under qemu. What
can't be run here, the boot of a board, is named in docs/install.md. See tests/install/roots.py for the command.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from firmware_configs.bundle.make import Order, make
from firmware_configs.bundle.target import TARGETS
from tests.install.roots import base_root, mounted, overlay, require, require_arm64

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

# The processor of a Pi 5, as its kernel tells it: qemu-user shows programs the host's.
PI_5 = (
    "processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
    "dcpop asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
)

PROLOGUE = """
exec > /proof/out.log 2>&1
set -x
health() {
    python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:8800/healthz").read().decode())'
}
say() { printf '%s\\n' "$2" > "/proof/said-$1"; }
until_online() {
    for _ in $(seq "$1"); do
        kinflow edge devices --json > /proof/devices.json
        if grep -q '"role":"agent"\\|"role": "agent"' /proof/devices.json &&
            grep -q '"online"' /proof/devices.json; then say online yes; return; fi
        sleep 1
    done
}
"""

WITH_SYSTEMD = (
    PROLOGUE
    + """
# A person's earlier data is there; a root that is there already is what a user has.
install=/usb/kinflow-*-x86_64/install.sh
bash $install --yes edge; say edge $?
bash $install --yes agent --camera /var/lib/kinflow/clip.avi; say agent $?
install -o kinflow -g kinflow -m 600 /proof/clip.avi /var/lib/kinflow/clip.avi
until_online 60
for unit in agent edge; do
    systemctl show kinflow-$unit -p ActiveState -p User -p NRestarts -p StatusText > /proof/unit-$unit
done
systemd-analyze security --no-pager > /proof/security
health > /proof/health
tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID kinflow-agent)/status | grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' \
    > /proof/status
ctypes='import ctypes; print(ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)())'
systemd-run --wait --pipe -p User=kinflow -p MemoryDenyWriteExecute=yes /opt/kinflow/current/bin/python -c "$ctypes" \
    > /proof/callback
bash $install --yes agent; say again $?
systemctl show -P NRestarts kinflow-agent > /proof/restarts-before
# The looking loop hangs: reading a pipe that nobody writes to never ends.
setpriv --reuid kinflow --regid kinflow --clear-groups mkdir -p /var/lib/kinflow/cameras
setpriv --reuid kinflow --regid kinflow --clear-groups mkfifo /var/lib/kinflow/cameras/camera-1.toml
for _ in $(seq 120); do
    if [ "$(systemctl show -P NRestarts kinflow-agent)" != "$(cat /proof/restarts-before)" ]; then break; fi
    sleep 1
done
journalctl -u kinflow-agent --no-pager > /proof/journal
rm -f /var/lib/kinflow/cameras/camera-1.toml
for _ in $(seq 60); do systemctl is-active --quiet kinflow-agent && { say back yes; break; }; sleep 1; done
/opt/kinflow/bin/install.sh --yes uninstall all; say uninstall $?
find / -xdev -name '*kinflow*' -not -path '/proof/*' -not -path '/usb/*' -not -path '/proc/*' -not -path '/sys/*' \
    -not -path '/run/*' > /proof/left
getent passwd kinflow > /proof/user
say done yes
"""
)

IN_CHROOT = (
    PROLOGUE
    + """
install=/usb/kinflow-*-arm64/install.sh
bash $install --yes agent --camera /var/lib/kinflow/clip.avi; say agent $?
bash $install --yes edge; say edge $?
install -o kinflow -g kinflow -m 600 /proof/clip.avi /var/lib/kinflow/clip.avi
kinflow edge run > /proof/edge.log 2>&1 & edge=$!
for _ in $(seq 120); do [ -e /var/lib/kinflow/broker-password ] && break; sleep 1; done
kinflow agent run > /proof/agent.log 2>&1 & agent=$!
until_online 240
health > /proof/health
id -u kinflow > /proof/uid
stat -c %u /proc/$agent > /proof/agent-uid
/opt/kinflow/current/bin/python -c 'import llama_cpp, platform; print(platform.machine())
print(llama_cpp.llama_print_system_info().decode())' > /proof/llama
kill $agent $edge
wait $agent; say agent-ended $?
wait $edge; say edge-ended $?
/opt/kinflow/bin/install.sh --yes uninstall all --purge; say uninstall $?
find / -xdev -name '*kinflow*' -not -path '/proof/*' -not -path '/usb/*' -not -path '/proc/*' -not -path '/sys/*' \
    -not -path '/dev/*' > /proof/left
say done yes
"""
)


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    folder = tmp_path / "proof"
    folder.mkdir()
    writer = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (640, 360))
    noise = np.random.default_rng(1)
    for number in range(60):
        picture = np.full((360, 640, 3), 110.0)
        picture[200:240, number * 9 : number * 9 + 60] = 30
        writer.write(np.clip(picture + noise.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
    writer.release()
    return folder


def usb(folder: Path, repository: Path, arch: str) -> Path:
    order = Order(TARGETS[arch], repository, ("agent", "edge"), ("3.11",), int(time.time()))
    make(order, folder, print)
    return folder


def said(proof: Path) -> dict[str, str]:
    return {one.name.removeprefix("said-"): one.read_text().strip() for one in proof.glob("said-*")}


def log(proof: Path) -> str:
    return (proof / "out.log").read_text(errors="replace")[-6000:] if (proof / "out.log").exists() else "no log"


def test_amd64_with_its_own_systemd_and_without_a_network(tmp_path: Path, repository: Path, proof: Path) -> None:
    require("debootstrap", "systemd-nspawn")
    stick = usb(tmp_path / "usb", repository, "x86_64")
    (proof / "run.sh").write_text(WITH_SYSTEMD)
    with overlay(base_root("amd64"), tmp_path / "overlay") as root:
        unit = root / "etc" / "systemd" / "system" / "proof.service"
        unit.write_text(
            "[Service]\nType=oneshot\nExecStart=/bin/bash /proof/run.sh\nTimeoutStartSec=900\n"
            "ExecStopPost=/bin/systemctl --no-block poweroff\n[Unit]\nAfter=multi-user.target\n"
        )
        wanted = unit.parent / "graphical.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / unit.name).symlink_to("../proof.service")
        command = ["systemd-nspawn", f"--directory={root}", "--machine=kinflow-proof", "--boot", "--private-network"]
        binds = [f"--bind={proof}:/proof", f"--bind-ro={stick}:/usb"]
        done = subprocess.run(
            [*command, "--register=no", "--keep-unit", *binds], capture_output=True, timeout=1200, check=False
        )
    found = said(proof)
    if not (proof / "out.log").exists():
        pytest.skip(f"a container with systemd does not boot here: {done.stderr[-300:]!r}")
    assert found.get("done") == "yes", log(proof)
    assert {found[name] for name in ("edge", "agent", "again", "uninstall")} == {"0"}, log(proof)
    assert found.get("online") == "yes", log(proof)
    assert json.loads((proof / "health").read_text())["ok"] is True
    for tier in ("agent", "edge"):
        unit_text = (proof / f"unit-{tier}").read_text()
        assert {"ActiveState=active", "User=kinflow", "NRestarts=0", "StatusText=running"} <= set(unit_text.split("\n"))
    exposure = dict(re.findall(r"^(kinflow-\S+)\s+([0-9.]+)", (proof / "security").read_text(), re.M))
    assert {"kinflow-agent.service", "kinflow-edge.service"} <= exposure.keys()
    assert max(map(float, exposure.values())) <= 2.5
    status = dict(line.split(":\t") for line in (proof / "status").read_text().splitlines())
    assert int(status["CapEff"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split()
    # llama.cpp calls back into Python: that works although memory may not be made executable.
    assert (proof / "callback").read_text().strip() == "7"
    # A loop that hangs: named, ended by systemd, started anew, and well again.
    journal = (proof / "journal").read_text()
    assert "looking hangs" in journal
    assert "Watchdog timeout" in journal
    assert found.get("back") == "yes"
    left = (proof / "left").read_text().split()
    assert left
    assert all(one.startswith("/var/lib/kinflow") for one in left)
    assert (proof / "user").read_text() == ""


def test_arm64_under_qemu_and_without_a_network(tmp_path: Path, repository: Path, proof: Path) -> None:
    require_arm64()
    stick = usb(tmp_path / "usb", repository, "arm64")
    (proof / "run.sh").write_text(IN_CHROOT)
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(PI_5)
    with overlay(base_root("arm64"), tmp_path / "overlay") as root, mounted(root, usb=stick, proof=proof):
        subprocess.run(["mount", "--bind", cpuinfo, root / "proc" / "cpuinfo"], check=True)
        clean = [
            "/usr/bin/env",
            "-i",
            "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "LANG=C.UTF-8",
        ]
        inside = ["chroot", str(root), *clean, "bash", "/proof/run.sh"]
        # A network of its own, with nothing in it but itself.
        command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *inside]
        subprocess.run(command, timeout=1400, check=False)
    found = said(proof)
    assert found.get("done") == "yes", log(proof)
    assert {found[name] for name in ("agent", "edge", "agent-ended", "edge-ended", "uninstall")} == {"0"}, log(proof)
    assert found.get("online") == "yes", log(proof) + (proof / "agent.log").read_text()[-2000:]
    assert json.loads((proof / "health").read_text())["ok"] is True
    assert (proof / "agent-uid").read_text() == (proof / "uid").read_text() != "0\n"
    machine, features = (proof / "llama").read_text().strip().split("\n")
    assert machine == "aarch64"
    assert "DOTPROD = 1" in features
    assert (proof / "left").read_text() == ""
