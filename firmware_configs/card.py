"""What a first boot lays down and runs, in whatever form the system takes it: a pure function of the order."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from importlib.resources import files

from firmware_configs.join_code import pin_of
from firmware_configs.order import Order

FIRST_BOOT = "kinflow-first-boot.service"
ZRAM = "kinflow-zram.service"
SETTINGS = "/etc/kinflow"
_PROGRAMS = "/usr/local/lib/kinflow"
_UNITS = "/etc/systemd/system"


@dataclass(frozen=True)
class CardFile:
    """mode: of the file; all belong to root. secret: holds what must not be read by others."""

    path: str
    content: str
    mode: int = 0o644

    @property
    def secret(self) -> bool:
        return self.mode & 0o077 == 0


@dataclass(frozen=True)
class Card:
    """units are enabled; commands are run as root once the files are there, a failing one stops nothing."""

    files: tuple[CardFile, ...]
    units: tuple[str, ...]
    commands: tuple[str, ...]


def card(order: Order) -> Card:
    laid = [
        CardFile(f"{_PROGRAMS}/first-boot", _payload("first-boot.sh"), 0o755),
        CardFile(f"{_PROGRAMS}/fetch", _payload("fetch.py"), 0o755),
        CardFile(f"{_PROGRAMS}/zram", _payload("zram.sh"), 0o755),
        CardFile(f"{_UNITS}/{FIRST_BOOT}", _payload("kinflow-first-boot.service")),
        CardFile(f"{_UNITS}/{ZRAM}", _payload(ZRAM, ZRAM_PERCENT=round(order.board.zram_share * 100))),
        CardFile(
            "/etc/systemd/system.conf.d/kinflow-watchdog.conf",
            _payload("watchdog.conf", WATCHDOG_S=order.board.watchdog_s),
        ),
        CardFile(
            "/etc/systemd/journald.conf.d/kinflow.conf",
            _payload("journald-card.conf" if order.board.on_card else "journald-disk.conf"),
        ),
        CardFile(f"{SETTINGS}/first-boot.conf", _conf(order), 0o600),
    ]
    if order.board.on_card:
        laid.append(CardFile("/etc/sysctl.d/80-kinflow.conf", _payload("sysctl-card.conf")))
    if order.edge:
        conf = _payload("timesyncd.conf", EDGE=order.edge)
        laid.append(CardFile("/etc/systemd/timesyncd.conf.d/kinflow.conf", conf))
    if order.join:
        laid.append(CardFile(f"{SETTINGS}/join-code", f"{order.join}\n", 0o600))
    if order.authority:
        laid.append(CardFile(f"{SETTINGS}/edge-ca.pem", order.authority))
    settings = settings_file(order)
    if settings:
        laid.append(CardFile(f"{SETTINGS}/kinflow.toml", settings, 0o600))
    return Card(tuple(laid), (FIRST_BOOT, ZRAM), _commands(order))


def settings_file(order: Order) -> str:
    """kinflow.toml of the new device; empty when the defaults say it all. TOML quotes a text as JSON does."""
    lines = []
    if order.device:
        lines += ["[device]", f"id = {json.dumps(order.device)}", ""]
    for camera in order.cameras:
        lines += ["[[agent.cameras]]", f"id = {json.dumps(camera.id)}", f"source = {json.dumps(camera.source)}", ""]
    return "\n".join(lines)


def _conf(order: Order) -> str:
    """What first-boot.sh reads: assignments of the shell."""
    values = {
        "TIER": order.tier,
        "EDGE": order.edge,
        "EDGE_PORT": str(order.edge_port),
        "MADE_AT": str(order.made_at_s),
        "BUNDLE_SHA256": order.bundle_sha256,
        "EDGE_PIN": pin_of(order.join) if order.join else "",
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _commands(order: Order) -> tuple[str, ...]:
    lines = [
        # The watchdog and the journal's limits hold from now on, not from the next boot.
        "systemctl daemon-reload",
        "systemctl daemon-reexec",
        "systemctl restart systemd-journald",
    ]
    if order.board.on_card:
        lines += [
            "sysctl --quiet --load=/etc/sysctl.d/80-kinflow.conf",
            # Raspberry Pi OS before Trixie swaps onto the card.
            "systemctl disable --now dphys-swapfile.service",
            "rm -f /var/swap",
        ]
    if order.edge:
        lines.append("systemctl try-restart systemd-timesyncd")
    return tuple(lines)


def _payload(name: str, **values: object) -> str:
    text = (files(__package__) / "payload" / name).read_text("utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text
