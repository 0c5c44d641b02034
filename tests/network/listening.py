"""Somebody who hears all that crosses one cable. Run on the switch of the lab, until it is ended:

python -m tests.network.listening INTERFACE FILE

read() puts the connections together again afterwards.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import pack, unpack, unpack_from

ALL, IPV4, TCP = 0x0003, 0x0800, 6
FRAME_LIMIT = 70_000


@dataclass(frozen=True)
class Stream:
    """One direction of one connection, put together again."""

    source: str
    target: str
    port: int
    said: bytes


def listen(interface: str, path: Path) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as ear:
        ear.bind((interface, 0))
        out = path.open("wb", buffering=0)
        while True:
            frame = ear.recv(FRAME_LIMIT)
            out.write(pack("!I", len(frame)) + frame)


def read(path: Path) -> list[Stream]:
    pieces: dict[tuple[str, int, str, int], dict[int, bytes]] = {}
    for frame in _frames(path.read_bytes()):
        found = _segment(frame)
        if found is not None:
            ends, number, said = found
            mine = pieces.setdefault(ends, {})
            if len(said) > len(mine.get(number, b"")):
                mine[number] = said
    return [Stream(ends[0], ends[2], ends[3], _joined(mine)) for ends, mine in pieces.items()]


def _frames(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(data):
        (length,) = unpack_from("!I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def _segment(frame: bytes) -> tuple[tuple[str, int, str, int], int, bytes] | None:
    """(its ends, its first byte's number, what it says) of a frame of TCP that says something."""
    if unpack("!H", frame[12:14]) != (IPV4,) or frame[23] != TCP:
        return None
    header = 14 + (frame[14] & 15) * 4
    end = 14 + unpack("!H", frame[16:18])[0]
    source_port, target_port, number = unpack_from("!HHI", frame, header)
    said = frame[header + (frame[header + 12] >> 4) * 4 : end]
    ends = socket.inet_ntoa(frame[26:30]), source_port, socket.inet_ntoa(frame[30:34]), target_port
    return (ends, number, said) if said else None


def _joined(pieces: dict[int, bytes]) -> bytes:
    """In the order of their numbers; what was sent twice counts once."""
    found, at = b"", min(pieces)
    for number in sorted(pieces):
        found += pieces[number][max(0, at - number) :]
        at = max(at, number + len(pieces[number]))
    return found


if __name__ == "__main__":
    listen(sys.argv[1], Path(sys.argv[2]))
