"""The seed of Ubuntu Server's installer: a PC that installs itself, and becomes the same as from a cloud image."""

from __future__ import annotations

from firmware_configs.card import Card
from firmware_configs.cloud_init import config, network
from firmware_configs.order import Order
from firmware_configs.yaml import Value, emit


def autoinstall(order: Order, card: Card) -> str:
    """The whole first disk is written over: README.txt says so before anybody boots it."""
    wanted: dict[str, Value] = {
        "version": 1,
        "locale": "en_US.UTF-8",
        "keyboard": {"layout": "us"},
        "network": network(order),
        "storage": {"layout": {"name": "lvm", "sizing-policy": "all"}},
        "ssh": {"install-server": bool(order.ssh_keys), "allow-pw": False},
        "packages": ["mosquitto"] if order.tier == "edge" else [],
        "shutdown": "reboot",
        "user-data": config(order, card),
    }
    return "#cloud-config\n" + emit({"autoinstall": wanted})
