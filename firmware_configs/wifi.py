"""A Wi-Fi network, and its key instead of its password."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from firmware_configs.errors import WifiInvalid

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")

CONNECTION = "/etc/NetworkManager/system-connections/kinflow-wifi.nmconnection"


@dataclass(frozen=True)
class Wifi:
    """psk: 64 hexadecimal digits, which open this one network and don't tell the password. country: ISO 3166, CH."""

    ssid: str
    psk: str
    country: str

    def __repr__(self) -> str:
        return f"Wifi(ssid={self.ssid!r}, country={self.country!r})"

    def connection(self) -> str:
        """The file at CONNECTION, for NetworkManager. The name stands there as bytes: whatever characters it has,
        nothing can be read into it."""
        name = "".join(f"{byte};" for byte in self.ssid.encode())
        return (
            "[connection]\nid=kinflow-wifi\ntype=wifi\nautoconnect=true\n\n"
            f"[wifi]\nmode=infrastructure\nssid={name}\n\n"
            f"[wifi-security]\nkey-mgmt=wpa-psk\npsk={self.psk}\n\n"
            "[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
        )


def wifi(ssid: str, password: str, country: str) -> Wifi:
    """Raises WifiInvalid (KF232). The key is IEEE 802.11i's: PBKDF2-HMAC-SHA1, 4096 rounds, salted by the name."""
    name = ssid.encode()
    if not 1 <= len(name) <= 32:
        raise WifiInvalid(detail="a network's name has 1 to 32 bytes")
    if any(ord(one) < 32 for one in ssid):
        raise WifiInvalid(detail="the network's name holds a control character")
    if not re.fullmatch(r"[A-Z]{2}", country):
        raise WifiInvalid(detail="name the country whose radio rules hold, by two capital letters: --country CH")
    if _HEX_KEY.fullmatch(password):
        return Wifi(ssid, password.lower(), country)
    if not 8 <= len(password) <= 63 or not all(" " <= one <= "~" for one in password):
        raise WifiInvalid(detail="its password has 8 to 63 printable ASCII characters")
    return Wifi(ssid, hashlib.pbkdf2_hmac("sha1", password.encode(), name, 4096, 32).hex(), country)
