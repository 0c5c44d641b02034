"""A GPS receiver on a serial line."""

from __future__ import annotations

import os
import select
import termios
import time

from node.errors import GpsSilent
from node.time.nmea import LONGEST, Listening, parse

# A sentence comes up to a second after the second that it tells of.
ERROR_MS = 1_000
_SPEEDS = {4_800: termios.B4800, 9_600: termios.B9600, 38_400: termios.B38400, 115_200: termios.B115200}


def read(path: str, speed: int, within_s: float) -> tuple[int, int]:
    """UTC and our monotonic clock at that moment, in milliseconds. Raises GpsSilent (KF172)."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise GpsSilent(source=path, detail=error.strerror or str(error)) from error
    try:
        _make_raw(handle, speed)
        return _listen(path, handle, time.monotonic() + within_s)
    except (OSError, termios.error) as error:
        raise GpsSilent(source=path, detail=str(error)) from error
    finally:
        os.close(handle)


def _make_raw(handle: int, speed: int) -> None:
    """8 bits, no parity, nothing translated. What is no terminal (a file, a pipe) is read as it is."""
    if not os.isatty(handle):
        return
    settings = termios.tcgetattr(handle)
    settings[0] = termios.IGNBRK
    settings[1] = 0
    settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    settings[3] = 0
    settings[4] = settings[5] = _SPEEDS[speed]
    termios.tcsetattr(handle, termios.TCSANOW, settings)
    # What has lain in the buffer is old.
    termios.tcflush(handle, termios.TCIFLUSH)


def _listen(path: str, handle: int, deadline: float) -> tuple[int, int]:
    listening, rest = Listening(), b""
    while (left_s := deadline - time.monotonic()) > 0:
        if not select.select([handle], [], [], left_s)[0]:
            break
        now_ms = time.monotonic_ns() // 1_000_000
        try:
            piece = os.read(handle, 4_096)
        except BlockingIOError:
            continue
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        rest = rest[-LONGEST:]
        for line in lines:
            sentence = parse(line)
            if sentence is not None:
                listening = listening.hear(sentence, now_ms)
                if listening.settled is not None:
                    return listening.settled
    raise GpsSilent(source=path, detail=_why(listening))


def _why(listening: Listening) -> str:
    if not listening.heard:
        return "no sentence RMC or ZDA with a right checksum came"
    if listening.contradicted:
        return "its sentences contradict each other"
    return "its sentences do not agree yet" if listening.valid else "it sees no satellites yet"
