"""firstrun.sh for Raspberry Pi OS before Trixie: run once, before the network, by an addition to the kernel's command
line; then the board starts again."""

from __future__ import annotations

import shlex

from firmware_configs.card import Card, CardFile
from firmware_configs.order import Order
from firmware_configs.wifi import CONNECTION, Wifi

CMDLINE = (
    "systemd.run=/boot/firmware/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"
)
_END = "KINFLOW-END-OF-FILE"


def cmdline_addition(order: Order) -> str:
    """What is appended to the one line of cmdline.txt."""
    country = f"cfg80211.ieee80211_regdom={order.wifi.country} " if order.wifi else ""
    return f"{country}{CMDLINE}"


def firstrun(order: Order, card: Card) -> str:
    """KINFLOW_ROOT is another root than /, for tests. No step may stop the next: nobody is there to look."""
    parts = [
        _HEAD,
        f"name={shlex.quote(order.host)}",
        _HOST_NAME,
        *[_lay(one) for one in card.files],
        *([_wifi(order.wifi)] if order.wifi else []),
        _login(order),
        *[f"enable {unit}" for unit in card.units],
        *([_CARD] if order.board.on_card else []),
        _TAIL,
    ]
    return "\n".join(parts) + "\n"


def _lay(file: CardFile) -> str:
    body = file.content if file.content.endswith("\n") else file.content + "\n"
    return f"lay {file.mode:04o} {shlex.quote(file.path)} << '{_END}'\n{body}{_END}"


def _wifi(wifi: Wifi) -> str:
    return "\n".join([_lay(CardFile(CONNECTION, wifi.connection(), 0o600)), f"country {wifi.country}"])


def _login(order: Order) -> str:
    if not order.ssh_keys:
        return "disable ssh.service\ndisable userconfig.service"
    user = shlex.quote(order.user)
    keys = "\n".join(order.ssh_keys) + "\n"
    sudo = CardFile("/etc/sudoers.d/010_kinflow", f"{order.user} ALL=(ALL) NOPASSWD:ALL\n", 0o440)
    password = CardFile("/etc/ssh/sshd_config.d/10-kinflow.conf", "PasswordAuthentication no\n")
    return "\n".join(
        [
            f"add_user {user}",
            f"keys_of {user} << '{_END}'\n{keys}{_END}",
            _lay(sudo),
            _lay(password),
            "disable userconfig.service",
            "enable ssh.service",
        ]
    )


_HEAD = """#!/bin/bash
# Made by `kinflow firmware make`. Run once; it removes itself. What it does afterwards: kinflow-first-boot.service.
set +e
umask 022
ROOT=${KINFLOW_ROOT:-}
BOOT=$ROOT/boot/firmware
[ -d "$BOOT" ] || BOOT=$ROOT/boot

# lay MODE PATH: standard input becomes that file; nobody reads it before it has its mode.
lay() {
    mkdir -p "$ROOT$(dirname "$2")"
    rm -f "$ROOT$2"
    (umask 077 && cat > "$ROOT$2")
    chmod "$1" "$ROOT$2"
}

# At this point systemd is not yet up: units are linked, and started at the next boot.
enable() {
    local unit=$ROOT/etc/systemd/system/$1 target
    if [ -f "$unit" ]; then
        target=$(sed -n 's/^WantedBy=//p' "$unit")
        mkdir -p "$ROOT/etc/systemd/system/$target.wants"
        ln -sf "../$1" "$ROOT/etc/systemd/system/$target.wants/$1"
    else
        systemctl ${ROOT:+--root="$ROOT"} enable "$1"
    fi
}

disable() { systemctl ${ROOT:+--root="$ROOT"} disable "$1"; }

country() {
    raspi-config nonint do_wifi_country "$1"
    rfkill unblock wifi
    for one in "$ROOT"/var/lib/systemd/rfkill/*:wlan; do
        if [ -f "$one" ]; then echo 0 > "$one"; fi
    done
}

add_user() {
    id "$1" > /dev/null 2>&1 || useradd --create-home --shell /bin/bash --groups sudo "$1"
    passwd --lock "$1"
}

keys_of() {
    local home=$ROOT/home/$1
    mkdir -p "$home/.ssh"
    cat > "$home/.ssh/authorized_keys"
    chmod 700 "$home/.ssh"
    chmod 600 "$home/.ssh/authorized_keys"
    chown -R "$1:" "$home/.ssh"
}
"""

_HOST_NAME = """old=$(tr -d ' \\t\\n\\r' < "$ROOT/etc/hostname" 2> /dev/null)
printf '%s\\n' "$name" > "$ROOT/etc/hostname"
if [ -n "$old" ] && [ -f "$ROOT/etc/hosts" ]; then
    sed -i "s/127\\.0\\.1\\.1.*$old/127.0.1.1\\t$name/g" "$ROOT/etc/hosts"
fi"""

_CARD = """disable dphys-swapfile.service
rm -f "$ROOT/var/swap\""""

_TAIL = r"""for one in systemd.run systemd.run_success_action systemd.unit; do
    sed -i "s| $one=[^ ]*||g" "$BOOT/cmdline.txt"
done
rm -f "$BOOT/firstrun.sh"
sync
exit 0"""
