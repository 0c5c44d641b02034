"""A broker's address as a person writes it."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from node.broker.port import BrokerAddress
from node.errors import BrokerAddressInvalid

PORTS = {"mqtt": 1883, "mqtts": 8883}
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_broker(url: str) -> BrokerAddress:
    """Read `mqtt://user:password@host:1883` or `mqtts://…`; user, password and port may be left out, and odd characters
    are percent-encoded. Raises BrokerAddressInvalid (KF33), which never repeats the user or the password.
    """
    if any(character.isspace() or not character.isprintable() for character in url):
        raise BrokerAddressInvalid(detail="it contains a space or a control character")
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in PORTS:
        raise BrokerAddressInvalid(detail="it must begin with mqtt:// or mqtts://")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BrokerAddressInvalid(detail="the host or the port is no such thing (a port is 1 to 65535)") from error
    if not host:
        raise BrokerAddressInvalid(detail="it names no host")
    if port == 0:
        raise BrokerAddressInvalid(detail="port 0 can't be connected to")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BrokerAddressInvalid(
            detail="nothing may follow the host and port; percent-encode /, ? and # in a user name or password"
        )
    return BrokerAddress(
        host=host,
        port=port or PORTS[scheme.lower()],
        tls=scheme.lower() == "mqtts",
        username=_decoded(parts.username),
        password=_decoded(parts.password),
    )


def format_broker(address: BrokerAddress, *, with_password: bool = False) -> str:
    """The address as a URL that parse_broker reads; without the password unless asked, so that it may be shown."""
    entry = "" if address.username is None else quote(address.username, safe="")
    if with_password and address.password is not None:
        entry += ":" + quote(address.password, safe="")
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{'mqtts' if address.tls else 'mqtt'}://{entry + '@' if entry else ''}{host}:{address.port}"


def _decoded(text: str | None) -> str | None:
    if text is None:
        return None
    if _BAD_ESCAPE.search(text):
        raise BrokerAddressInvalid(detail="a % in the user name or password must be written %25")
    return unquote(text)
