"""The systemd units: each is hardened as far as its work allows, by systemd's own judgement."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

WORST = 2.5
VALUES = {
    "BIN": "/opt/kinflow/bin",
    "PREFIX": "/opt/kinflow",
    "HOME": "/var/lib/kinflow",
    "STATE": "kinflow",
    "USER": "kinflow",
    "GROUPS": "video render",
    "SERIALGROUPS": "dialout",
    "SYSTEMCTL": "/usr/bin/systemctl",
    "MEMORY": "80%",
}
SERVICES = ("agent", "edge", "controllers", "cloud", "update", "restart", "time")


def rendered(repository: Path, unit: str) -> str:
    text = (repository / "firmware_configs" / "system" / "units" / unit).read_text()
    return re.sub(r"@([A-Z]+)@", lambda found: VALUES[found[1]], text)


def systemd_version() -> int:
    """0 without one."""
    if shutil.which("systemd-analyze") is None:
        return 0
    said = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"systemd (\d+)", said)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("service", SERVICES)
def test_exposure_is_low(tmp_path: Path, repository: Path, service: str) -> None:
    if systemd_version() < 250:
        pytest.skip("needs systemd-analyze of systemd 250 or newer")
    unit = tmp_path / f"kinflow-{service}.service"
    unit.write_text(rendered(repository, unit.name))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= WORST


@pytest.mark.parametrize("tier", ["agent", "edge", "cloud"])
def test_what_a_service_owes_its_manager(repository: Path, tier: str) -> None:
    lines = rendered(repository, f"kinflow-{tier}.service").splitlines()
    wanted = {"Type=notify", "NotifyAccess=main", "Restart=always", "NoNewPrivileges=yes", "ProtectSystem=strict"}
    wanted |= {"CapabilityBoundingSet=", "AmbientCapabilities=", "User=kinflow", "StartLimitIntervalSec=0"}
    assert wanted <= set(lines)
    names = {line.partition("=")[0] for line in lines}
    assert {"WatchdogSec", "MemoryMax", "CPUWeight", "LogRateLimitBurst", "SystemCallFilter"} <= names


def test_one_service_may_set_the_clock_and_nothing_else(repository: Path) -> None:
    may = [name for name in SERVICES if "CAP_SYS_TIME" in rendered(repository, f"kinflow-{name}.service")]
    assert may == ["time"]
    lines = rendered(repository, "kinflow-time.service").splitlines()
    assert {"CapabilityBoundingSet=CAP_SYS_TIME", "AmbientCapabilities=CAP_SYS_TIME", "User=kinflow"} <= set(lines)
    # Which version of the kernel's start it is has to be readable: a clock is stepped once after each.
    assert not [line for line in lines if line.startswith("ProcSubset=")]


def test_every_placeholder_is_filled(repository: Path) -> None:
    """By install.sh as well: what it does not know would stay in the unit."""
    script = (repository / "firmware_configs" / "system" / "services.sh").read_text()
    for unit in (repository / "firmware_configs" / "system" / "units").iterdir():
        for name in re.findall(r"@([A-Z]+)@", unit.read_text()):
            assert name in VALUES
            assert f"s|@{name}@|" in script


@pytest.mark.parametrize(
    ("where", "says", "limit"),
    [
        ("TIER=agent UNDER=", '{"profile": {"unit_memory_mb": 307}}', "307M"),
        ("TIER=agent UNDER=", "no JSON at all", "80%"),
        ("TIER=agent UNDER=/mnt/card", '{"profile": {"unit_memory_mb": 307}}', "80%"),
        ("TIER=edge UNDER=", '{"profile": {"unit_memory_mb": 307}}', "80%"),
    ],
    ids=["as-the-board-has", "unknown", "for-another-machine", "an-edge-server"],
)
def test_an_agent_may_take_what_its_board_leaves_it(
    tmp_path: Path, repository: Path, where: str, says: str, limit: str
) -> None:
    kinflow = tmp_path / "bin" / "kinflow"
    kinflow.parent.mkdir()
    kinflow.write_text(f"#!/bin/sh\n[ \"$1\" = hardware ] && echo '{says}'\n")
    kinflow.chmod(0o755)
    script = f"set -euo pipefail; {where} PREFIX={tmp_path}; . firmware_configs/system/services.sh"
    done = subprocess.run(
        ["bash", "-c", f"{script}; memory_limit"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == (limit, 0), done.stderr
