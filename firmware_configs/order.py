"""What a card is to become: everything that was asked for, judged before a file is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from firmware_configs.board import Board
from firmware_configs.errors import EdgeNameInvalid, LoginNameInvalid, SshKeyInvalid
from firmware_configs.wifi import Wifi
from protocol.ids import DeviceId

Tier = Literal["agent", "edge"]

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]{40,}={0,3}( [^\x00-\x1f]*)?"
)

# Users and groups that Debian's base system has, and our own service's: a person's login needs a name of its own.
_TAKEN = frozenset(
    [
        "root",
        "daemon",
        "bin",
        "sys",
        "sync",
        "games",
        "man",
        "lp",
        "mail",
        "news",
        "uucp",
        "proxy",
        "www-data",
        "backup",
        "list",
        "irc",
        "nobody",
        "adm",
        "tty",
        "disk",
        "kmem",
        "dialout",
        "fax",
        "voice",
        "cdrom",
        "floppy",
        "tape",
        "sudo",
        "audio",
        "dip",
        "operator",
        "src",
        "shadow",
        "utmp",
        "video",
        "sasl",
        "plugdev",
        "staff",
        "users",
        "nogroup",
        "input",
        "render",
        "netdev",
        "gpio",
        "i2c",
        "spi",
        "ssh",
        "sshd",
        "messagebus",
        "kinflow",
    ]
)


@dataclass(frozen=True)
class Camera:
    """source: as `--camera` takes it; it may hold a password."""

    id: str
    source: str = field(repr=False)


@dataclass(frozen=True)
class Order:
    """edge, join: empty for an edge server of one's own. made_at_s: seconds since 1970; a first boot's clock is not
    earlier. authority: the edge's CA certificate (PEM), bundle_sha256: of the bundle to install; either proves where
    the bundle comes from. bundle: the name of its file on the card."""

    board: Board
    tier: Tier
    made_at_s: int
    edge: str = ""
    edge_port: int = 8800
    join: str = field(default="", repr=False)
    device: DeviceId | None = None
    wifi: Wifi | None = None
    ssh_keys: tuple[str, ...] = ()
    user: str = "kinflow-admin"
    cameras: tuple[Camera, ...] = ()
    authority: str = ""
    bundle_sha256: str = ""

    @property
    def host(self) -> str:
        return self.device or f"kinflow-{self.tier}"


def edge_name(text: str) -> str:
    """A host name or an address. Raises EdgeNameInvalid (KF234)."""
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if "://" in text or "/" in text:
        raise EdgeNameInvalid(edge=text[:80], detail="give the name alone, without a scheme or a path")
    if not _HOST_NAME.fullmatch(text) or len(text) > 253 or text.rpartition(".")[2].isdigit():
        raise EdgeNameInvalid(edge=text[:80], detail="it is neither a host name nor an address")
    # An edge server announces itself as NAME.local; a bare name is that one.
    return text if "." in text else f"{text}.local"


def login_name(text: str) -> str:
    """Raises LoginNameInvalid (KF237)."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", text):
        raise LoginNameInvalid(name=text[:40], detail="it has lower-case letters, digits and hyphens, at most 32")
    if text in _TAKEN:
        raise LoginNameInvalid(name=text, detail="the system has a user or a group of that name")
    return text


def ssh_keys(files: Sequence[Path]) -> tuple[str, ...]:
    """The public keys in these files. Raises SshKeyInvalid (KF233), above all for a private key."""
    found: list[str] = []
    for path in files:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SshKeyInvalid(path=path, detail=getattr(error, "strerror", None) or "it is not text") from error
        if "PRIVATE KEY" in text:
            raise SshKeyInvalid(path=path, detail="it is a private key")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        if not lines:
            raise SshKeyInvalid(path=path, detail="it is empty")
        for line in lines:
            if not _KEY.fullmatch(line):
                raise SshKeyInvalid(path=path, detail="a line in it is no public key")
            found.append(line)
    return tuple(found)
