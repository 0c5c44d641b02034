"""cloud-init's three files: Raspberry Pi OS from Trixie on, Debian's and Ubuntu's cloud images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from firmware_configs.card import Card
from firmware_configs.order import Order
from firmware_configs.yaml import Value, emit


def user_data(order: Order, card: Card) -> str:
    """For https://cloudinit.readthedocs.io: what becomes of the system on its first boot, and never again."""
    return "#cloud-config\n" + emit(config(order, card))


def config(order: Order, card: Card) -> Mapping[str, Value]:
    wanted: dict[str, Value] = {
        "hostname": order.host,
        "manage_etc_hosts": True,
        # Nobody logs in by a password, and without a key nobody logs in at all.
        "ssh_pwauth": False,
        "disable_root": True,
        "users": users(order),
        "write_files": [
            {"path": one.path, "permissions": f"{one.mode:04o}", "owner": "root:root", "content": one.content}
            for one in card.files
        ],
        "runcmd": [*_wifi_commands(order), *card.commands, *_start(card), *_ssh(order)],
    }
    if order.wifi:
        # The Wi-Fi of a Raspberry Pi is switched off until a country is known.
        wanted["bootcmd"] = ["rfkill unblock wifi || true"]
    return wanted


def users(order: Order) -> list[Value]:
    if not order.ssh_keys:
        # An empty list would be refused by older versions, and none at all makes the image's own first user.
        return ["nobody"]
    return [
        {
            "name": order.user,
            "gecos": "Operator",
            "groups": ["sudo"],
            "shell": "/bin/bash",
            "lock_passwd": True,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": list(order.ssh_keys),
        }
    ]


def network_config(order: Order) -> str:
    return emit(network(order))


def network(order: Order) -> dict[str, Value]:
    """Netplan, version 2: the cable by DHCP, and the Wi-Fi where there is one. Neither holds up the boot."""
    by_dhcp: dict[str, Value] = {"dhcp4": True, "optional": True}
    # A Raspberry Pi has one socket of a known name. Other machines' names are matched, which takes Netplan.
    cable = {"eth0": by_dhcp} if order.board.on_card else {"cable": {"match": {"name": "e*"}, **by_dhcp}}
    found: dict[str, Value] = {"version": 2, "ethernets": cable}
    if order.wifi:
        found["wifis"] = {
            "wlan0": {
                "dhcp4": True,
                "optional": True,
                "regulatory-domain": order.wifi.country,
                # 64 digits are the key itself, by Netplan's rule: the password stays off the card.
                "access-points": {order.wifi.ssid: {"password": order.wifi.psk}},
            }
        }
    return found


def meta_data(order: Order) -> str:
    """A new instance for each card that was made: cloud-init would take a card that was changed for a known one."""
    seed = f"{order.host} {order.made_at_s} {order.edge}"
    return emit({"instance-id": f"kinflow-{hashlib.sha256(seed.encode()).hexdigest()[:12]}"})


def _wifi_commands(order: Order) -> list[str]:
    if not order.wifi:
        return []
    return [f"command -v raspi-config && raspi-config nonint do_wifi_country {order.wifi.country}"]


def _start(card: Card) -> list[str]:
    # Without waiting: the first boot's work may take as long as it takes for the edge to be switched on.
    return [f"systemctl enable --now --no-block {unit}" for unit in reversed(card.units)]


def _ssh(order: Order) -> list[str]:
    # Raspberry Pi OS asks for a first user on the screen until there is one.
    wizard = "systemctl disable --now userconfig.service || true"
    return [wizard, f"systemctl {'enable' if order.ssh_keys else 'disable'} --now ssh.service || true"]
