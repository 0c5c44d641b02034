"""A tar of files that is unpacked over a root folder, for systems that take no first settings: a Jetson's."""

from __future__ import annotations

import io
import tarfile

from firmware_configs.card import Card
from firmware_configs.order import Order
from firmware_configs.wifi import CONNECTION

_KEYS = "/etc/ssh/authorized_keys.d"


def overlay(order: Order, card: Card) -> bytes:
    """Everything belongs to root, units are enabled by their links, and the same order gives the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in card.files:
            _add(tar, order, file.path, file.content.encode(), file.mode)
        for unit in card.units:
            content = next(one.content for one in card.files if one.path == f"/etc/systemd/system/{unit}")
            target = next(line[9:] for line in content.splitlines() if line.startswith("WantedBy="))
            link = tarfile.TarInfo(f"etc/systemd/system/{target}.wants/{unit}")
            link.type, link.linkname, link.mtime = tarfile.SYMTYPE, f"../{unit}", order.made_at_s
            tar.addfile(link)
        if order.wifi:
            _add(tar, order, CONNECTION, order.wifi.connection().encode(), 0o600)
        if order.ssh_keys:
            # The user is made on the host that flashes: the keys wait for whoever has that name.
            keys = f"AuthorizedKeysFile .ssh/authorized_keys {_KEYS}/%u\nPasswordAuthentication no\n"
            _add(tar, order, "/etc/ssh/sshd_config.d/10-kinflow.conf", keys.encode(), 0o644)
            _add(tar, order, f"{_KEYS}/{order.user}", ("\n".join(order.ssh_keys) + "\n").encode(), 0o644)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, order: Order, path: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size, entry.mode, entry.mtime = len(content), mode, order.made_at_s
    entry.uname = entry.gname = "root"
    tar.addfile(entry, io.BytesIO(content))
