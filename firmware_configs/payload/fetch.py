#!/usr/bin/env python3
"""Part of a first boot, by Python's own library alone (3.10 and newer), as nothing else is there yet.

fetch look HOST PORT               ends with 0 when something answers there
fetch get URL FILE SHA256 CA_FILE  fetch into FILE, going on where an earlier try was cut off. SHA256 and CA_FILE may
                                   be empty, but not both: one of them proves where the file comes from.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 30.0
CHUNK = 1 << 20


def look(host: str, port: str) -> int:
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError:
        return 1
    return 0


def get(url: str, target: Path, sha256: str, authority: str) -> int:
    if not sha256 and not authority:
        print("kinflow: this card knows neither the edge's authority nor its bundle's hash", file=sys.stderr)
        return 2
    part = target.with_name(target.name + ".part")
    try:
        _download(url, part, _context(authority))
    except (OSError, ValueError, TypeError) as error:
        print(f"kinflow: {url} could not be fetched: {error}", file=sys.stderr)
        return 1
    if sha256 and _digest(part) != sha256:
        part.unlink()
        print(f"kinflow: what {url} gave is not the bundle that this card was made for", file=sys.stderr)
        return 1
    part.rename(target)
    return 0


def _context(authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The authority belongs to one site and lets only its edge servers be servers, whose names and addresses change.
    context.check_hostname = False
    if authority:
        context.load_verify_locations(cafile=authority)
    else:
        # The hash is what is trusted then; whoever answers can do no more than waste our time.
        context.verify_mode = ssl.CERT_NONE
    return context


def _download(url: str, part: Path, context: ssl.SSLContext) -> None:
    begun = part.stat().st_size if part.exists() else 0
    if not url.startswith("https://"):
        raise ValueError("only https:// is fetched")
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (judged above)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # It is all there, or it is another file by now: the next try begins anew.
            part.unlink()
        raise
    missing = int(answer.headers["Content-Length"])
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        while chunk := answer.read(CHUNK):
            missing -= file.write(chunk)
    if missing:
        # Python's library takes an answer that was cut off for a short one.
        raise ConnectionError(f"it was cut off, {missing} bytes before its end")


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["look"] and len(arguments) == 3:
        return look(arguments[1], arguments[2])
    if arguments[:1] == ["get"] and len(arguments) == 5:
        return get(arguments[1], Path(arguments[2]), arguments[3], arguments[4])
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main(sys.argv[1:]))
