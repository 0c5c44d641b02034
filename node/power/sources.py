"""Where the state of the mains is read: Network UPS Tools by its own TCP protocol, or a file such as a GPIO's value."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from node.errors import UpsSilent
from node.power.policy import Reading

NUT_PORT = 3493
TIMEOUT_S = 5.0
LIMIT_BYTES = 4_096
_VARIABLE = re.compile(r'VAR \S+ \S+ "((?:[^"\\]|\\.)*)"')

Source = Callable[[], Reading]


def open_source(text: str, on_battery: str) -> Source:
    """nut://host:port/ups or file:/path. Each call of what is returned reads once, and raises UpsSilent (KF197)."""
    parts = urlsplit(text)
    if parts.scheme == "file" and parts.path:
        return lambda: read_file(Path(parts.path), on_battery)
    name = parts.path.strip("/")
    if parts.scheme == "nut" and parts.hostname and re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        host, port = parts.hostname, parts.port or NUT_PORT
        return lambda: read_nut(host, port, name)
    raise UpsSilent(source=text, detail="it is neither nut://host:port/name nor file:/path")


def read_file(path: Path, on_battery: str) -> Reading:
    try:
        return Reading(path.read_text("ascii").strip() == on_battery)
    except (OSError, UnicodeDecodeError) as error:
        raise UpsSilent(source=str(path), detail=str(error)) from error


def read_nut(host: str, port: int, name: str) -> Reading:
    """One connection, two questions. upsd answers `VAR NAME ups.status "OB LB"`, or `ERR REASON`."""
    where = f"nut://{host}:{port}/{name}"
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as line, line.makefile("rb") as answers:
            status = _ask(line, answers.readline, name, "ups.status")
            charge = _ask(line, answers.readline, name, "battery.charge")
            line.sendall(b"LOGOUT\n")
    except OSError as error:
        raise UpsSilent(source=where, detail=str(error)) from error
    if status is None:
        raise UpsSilent(source=where, detail="it does not tell ups.status")
    return reading_of(status, charge)


def reading_of(status: str, charge: str | None) -> Reading:
    """OB: on battery, LB: low battery, FSD: the UPS's own master has ordered everybody to shut down."""
    words = status.split()
    try:
        percent = float(charge) if charge is not None else None
    except ValueError:
        percent = None
    return Reading("OB" in words or "FSD" in words, percent, "LB" in words or "FSD" in words)


def _ask(line: socket.socket, answer: Callable[[int], bytes], name: str, variable: str) -> str | None:
    line.sendall(f"GET VAR {name} {variable}\n".encode("ascii"))
    said = answer(LIMIT_BYTES)
    if not said.endswith(b"\n"):
        raise OSError("it ended in the middle of an answer")
    text = said.decode("ascii", "replace").strip()
    if text.startswith("ERR ") and text != "ERR VAR-NOT-SUPPORTED":
        raise OSError(f"it answers {text[:100]!r}")
    match = _VARIABLE.fullmatch(text)
    return re.sub(r"\\(.)", r"\1", match[1]) if match else None
