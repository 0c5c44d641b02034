"""firstrun.sh, run for real in a root folder of its own, with stubs for what only a board has."""

from __future__ import annotations

import configparser
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_configs.card import card
from firmware_configs.firstrun import cmdline_addition, firstrun
from firmware_configs.order import Camera, Order
from firmware_configs.wifi import CONNECTION, wifi
from protocol.ids import DeviceId

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP5qjefi4fAR2fCoJwOqubqlbX1ylYpiKPJazhEdjL0 o'hara $(id) `id`"
COMMANDS = ("systemctl", "raspi-config", "rfkill", "useradd", "passwd", "chown", "sync")


@pytest.fixture
def boot(tmp_path: Path, stubs: Callable[..., Path]) -> Callable[[Order], Path]:
    """Lay a Bookworm card's folders out, run the script as the kernel's command line would, return the root folder."""
    path = stubs(*COMMANDS)

    def run(asked: Order) -> Path:
        root = tmp_path / f"root-{len(list(tmp_path.iterdir()))}"
        for folder in ("boot/firmware", "etc", "home", "var/lib/systemd/rfkill"):
            (root / folder).mkdir(parents=True)
        (root / "etc/hostname").write_text("raspberrypi\n")
        (root / "etc/hosts").write_text("127.0.0.1\tlocalhost\n127.0.1.1\t\traspberrypi\n")
        (root / "var/swap").touch()
        (root / "var/lib/systemd/rfkill/platform-soc:wlan").write_text("1\n")
        (root / "boot/firmware/cmdline.txt").write_text(f"console=tty1 rootwait {cmdline_addition(asked)}\n")
        script = root / "boot/firmware/firstrun.sh"
        script.write_text(firstrun(asked, card(asked)))
        done = subprocess.run(
            ["/bin/bash", script],
            env={"PATH": f"{path}:{os.environ['PATH']}", "KINFLOW_ROOT": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return root

    return run


@pytest.fixture
def full(order: Callable[..., Order]) -> Order:
    return order(
        "pi4",
        device=DeviceId("north-1"),
        wifi=wifi("Kaffee & Küche; $(reboot)", "correct horse", "CH"),
        ssh_keys=(KEY,),
        cameras=(Camera("camera-1", "rtsp://u:it's$HOME`id`@cam"),),
    )


def test_every_file_lies_where_the_plan_says(boot: Callable[[Order], Path], full: Order) -> None:
    root = boot(full)
    for one in card(full).files:
        path = root / one.path.lstrip("/")
        assert path.read_text() == one.content, one.path
        assert stat.S_IMODE(path.stat().st_mode) == one.mode, one.path


def test_units_are_enabled_as_systemd_reads_it(boot: Callable[[Order], Path], full: Order) -> None:
    units = boot(full) / "etc/systemd/system"
    assert (units / "multi-user.target.wants/kinflow-first-boot.service").resolve().is_file()
    assert (units / "swap.target.wants/kinflow-zram.service").resolve().is_file()


def test_the_next_boot_is_an_ordinary_one(boot: Callable[[Order], Path], full: Order, tmp_path: Path) -> None:
    root = boot(full)
    assert (root / "boot/firmware/cmdline.txt").read_text() == ("console=tty1 rootwait cfg80211.ieee80211_regdom=CH\n")
    assert not (root / "boot/firmware/firstrun.sh").exists()
    assert (root / "etc/hostname").read_text() == "north-1\n"
    assert "127.0.1.1\tnorth-1\n" in (root / "etc/hosts").read_text()
    assert not (root / "var/swap").exists()
    assert (root / "var/lib/systemd/rfkill/platform-soc:wlan").read_text() == "0\n"
    calls = (tmp_path / "calls").read_text()
    assert "raspi-config nonint do_wifi_country CH" in calls
    assert "disable dphys-swapfile.service" in calls


def test_the_operator_logs_in_by_key_alone(boot: Callable[[Order], Path], full: Order, tmp_path: Path) -> None:
    root = boot(full)
    assert (root / "home/kinflow-admin/.ssh/authorized_keys").read_text() == KEY + "\n"
    assert (root / "etc/ssh/sshd_config.d/10-kinflow.conf").read_text() == "PasswordAuthentication no\n"
    calls = (tmp_path / "calls").read_text()
    assert "useradd --create-home --shell /bin/bash --groups sudo kinflow-admin" in calls
    assert "passwd --lock kinflow-admin" in calls
    assert "enable ssh.service" in calls


def test_without_a_key_there_is_no_login(
    boot: Callable[[Order], Path], order: Callable[..., Order], tmp_path: Path
) -> None:
    root = boot(order("pi4"))
    calls = (tmp_path / "calls").read_text()
    assert "useradd" not in calls
    assert "disable ssh.service" in calls
    assert list((root / "home").iterdir()) == []


# What a name may hold, and a shell would like to read.
names = st.text("aZ9 '\"$`\\;&|<>(){}[]#!*?~=%é\u4e2d", min_size=1, max_size=10).filter(
    lambda text: len(text.encode()) <= 32
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names, source=names)
def test_no_text_becomes_a_command(
    boot: Callable[[Order], Path], order: Callable[..., Order], name: str, source: str
) -> None:
    asked = order("pi4", wifi=wifi(name, "correct horse", "CH"), cameras=(Camera("c", source),))
    root = boot(asked)
    keyfile = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    keyfile.read_string((root / CONNECTION.lstrip("/")).read_text())
    assert bytes(int(one) for one in keyfile["wifi"]["ssid"].rstrip(";").split(";")).decode() == name
    assert (root / "etc/kinflow/kinflow.toml").read_text() == next(
        one.content for one in card(asked).files if one.path == "/etc/kinflow/kinflow.toml"
    )
