"""Coming in to a broker for a moment: to learn that it serves, or to take the place of whoever goes by that name."""

from __future__ import annotations

import socket
from struct import pack

from node.broker.port import BrokerAddress
from node.errors import BrokerRefused, BrokerUnreachable

TIMEOUT_S = 3.0
CONNACK_BYTES = 4
DISCONNECT = b"\xe0\x00"


def knock(address: BrokerAddress, client_id: str) -> None:
    """Connect to a broker on loopback as `client_id`, wait for its answer, and leave. Whoever was connected by that
    name is thrown out, and its will is published. Raises BrokerUnreachable (KF43) or BrokerRefused (KF42)."""
    try:
        with socket.create_connection((address.host, address.port), TIMEOUT_S) as wire:
            wire.sendall(_connect(address, client_id))
            answer = b""
            while len(answer) < CONNACK_BYTES:
                more = wire.recv(CONNACK_BYTES - len(answer))
                if not more:
                    raise ConnectionResetError("it hung up")
                answer += more
            if answer[3]:
                raise BrokerRefused(host=address.host, port=address.port, detail=f"code {answer[3]}")
            wire.sendall(DISCONNECT)
    except OSError as error:
        raise BrokerUnreachable(host=address.host, port=address.port, detail=error) from error


def _connect(address: BrokerAddress, client_id: str) -> bytes:
    """MQTT 3.1.1, section 3.1: a clean session with user name and password."""
    body = _text("MQTT") + b"\x04\xc2\x00\x0a"
    body += _text(client_id) + _text(address.username or "") + _text(address.password or "")
    return bytes((0x10, len(body) % 128 | 128, len(body) // 128)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return pack("!H", len(encoded)) + encoded
