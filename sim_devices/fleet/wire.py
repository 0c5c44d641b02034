"""As much of MQTT 3.1.1 as a simulated device needs, as bytes. Pure. Numbers are sections of the OASIS standard."""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack, unpack_from

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"


def connect(client_id: str, username: str, password: str, keepalive_s: int, will: tuple[str, bytes]) -> bytes:
    """CONNECT (3.1) with a clean session and a retained QoS 1 will: (topic, payload). Without a user name the
    certificate says who it is."""
    entry = _text(username) + _text(password) if username else b""
    flags = (0x80 | 0x40 if username else 0) | 0x20 | 0x08 | 0x04 | 0x02
    body = _text("MQTT") + pack("!BBH", 4, flags, keepalive_s)
    body += _text(client_id) + _text(will[0]) + _bytes(will[1]) + entry
    return _packet(0x10, body)


def publish(topic: str, payload: bytes, packet_id: int, retained: bool = False) -> bytes:
    """PUBLISH (3.3) at QoS 1."""
    return _packet(0x32 | retained, _text(topic) + pack("!H", packet_id) + payload)


def subscribe(topic_filter: str, packet_id: int) -> bytes:
    """SUBSCRIBE (3.8) at QoS 0."""
    return _packet(0x82, pack("!H", packet_id) + _text(topic_filter) + b"\x00")


def payload_of(flags: int, body: bytes) -> bytes:
    """The payload of a received PUBLISH."""
    (length,) = unpack_from("!H", body)
    return body[2 + length + (2 if flags & 0x06 else 0) :]


class Reader:
    """Bytes as they come, packets as they are complete: (type, flags, body)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        self._rest += data
        while (found := _head(self._rest)) is not None:
            start, length = found
            if len(self._rest) < start + length:
                return
            head, body = self._rest[0], self._rest[start : start + length]
            self._rest = self._rest[start + length :]
            yield head >> 4, head & 0x0F, body


def _head(data: bytes) -> tuple[int, int] | None:
    """Where the body begins and how long it is (2.2.3); None while the head is not complete."""
    length = shift = 0
    for at in range(1, min(len(data), 5)):
        length |= (data[at] & 0x7F) << shift
        if not data[at] & 0x80:
            return at + 1, length
        shift += 7
    return None


def _packet(head: int, body: bytes) -> bytes:
    length, size = len(body), b""
    while True:
        length, digit = length >> 7, length & 0x7F
        size += bytes([digit | 0x80 if length else digit])
        if not length:
            return bytes([head]) + size + body


def _text(text: str) -> bytes:
    return _bytes(text.encode())


def _bytes(data: bytes) -> bytes:
    return pack("!H", len(data)) + data
