"""How a controller is spoken to: SNMPv3 with authentication and privacy, unless somebody insists. Keys from a file."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from edge_server.errors import CabinetKeysUnusable, CabinetSecurityWeak
from protocol.cabinet import Cabinet
from protocol.ids import IntersectionId

FOLDER = "cabinets"
# RFC 3414, section 11.2: a password has at least eight characters.
SHORTEST_KEY = 8
WEAK_AUTHENTICATION = ("none", "md5", "sha-1")
WEAK_PRIVACY = ("none", "des")


@dataclass(frozen=True)
class User:
    """name: the SNMPv3 user, or with v1 and v2c the community. Keys are never shown."""

    name: str = field(repr=False)
    authentication_key: str = field(default="", repr=False)
    privacy_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Security:
    version: str
    authentication: str
    privacy: str

    @property
    def level(self) -> str:
        if self.authentication == "none":
            return "noAuthNoPriv"
        return "authNoPriv" if self.privacy == "none" else "authPriv"


def security_of(place: IntersectionId, cabinet: Cabinet) -> Security:
    """Raises CabinetSecurityWeak (KF470) for what can be forged, unless `insecure` is set."""
    security = Security(cabinet.version, cabinet.authentication, cabinet.privacy)
    weakness = weakness_of(security)
    if weakness is not None and not cabinet.insecure:
        raise CabinetSecurityWeak(intersection=place, detail=weakness)
    return security


def weakness_of(security: Security) -> str | None:
    """Why it can be forged or read, None when it can't."""
    if security.version != "v3":
        return f"by SNMP{security.version}"
    if security.authentication in WEAK_AUTHENTICATION:
        return "without authentication" if security.authentication == "none" else f"with {security.authentication}"
    if security.privacy in WEAK_PRIVACY:
        return "without privacy" if security.privacy == "none" else f"with {security.privacy}"
    return None


def key_path(home: Path, place: IntersectionId) -> Path:
    return home / FOLDER / f"{place}.toml"


def user_of(place: IntersectionId, cabinet: Cabinet, security: Security, home: Path) -> User:
    """The user with its keys, from `cabinets/<intersection>.toml` in the state folder.

    Raises CabinetKeysUnusable (KF473) when the file is missing, readable by others, or no such file; and
    CabinetSecurityWeak (KF470) for the community that everybody tries first."""
    path = key_path(home, place)
    keys = _read(path)
    if security.version != "v3":
        community = _text(path, keys, "community", 1)
        if community.lower() in ("public", "private") and not cabinet.insecure:
            raise CabinetSecurityWeak(intersection=place, detail="with a community that everybody tries first")
        return User(community)
    return User(
        cabinet.user,
        "" if security.authentication == "none" else _text(path, keys, "authentication", SHORTEST_KEY),
        "" if security.level != "authPriv" else _text(path, keys, "privacy", SHORTEST_KEY),
    )


def _read(path: Path) -> dict[str, object]:
    try:
        others = path.stat().st_mode & 0o077
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CabinetKeysUnusable(path=path, detail=type(error).__name__) from error
    if others:
        raise CabinetKeysUnusable(path=path, detail="others than its owner may read it")
    if path.stat().st_uid not in (os.getuid(), 0):
        raise CabinetKeysUnusable(path=path, detail="it belongs to somebody else")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # The parser's own text may quote the line, and with it a key.
        raise CabinetKeysUnusable(path=path, detail="it is no TOML") from None


def _text(path: Path, keys: dict[str, object], name: str, shortest: int) -> str:
    value = keys.get(name)
    if not isinstance(value, str) or len(value) < shortest:
        raise CabinetKeysUnusable(path=path, detail=f"{name!r} is not there, or shorter than {shortest} characters")
    return value
